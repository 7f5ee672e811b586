"""Sound files of every kind, with one tone in them."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np

CODECS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
}


def tone(kind: str = "wav", seconds: float = 1.0, hertz: float = 440, loud: float = 0.5) -> bytes:
    """A file: a sine on both sides."""
    rate, file = 48_000, BytesIO()
    sine = loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    form, codec = CODECS[kind]
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.stack([sine, sine]).astype(np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def heard(film: bytes) -> np.ndarray:
    """What is heard with a film: float32 ``[2, N]`` at 48 kHz."""
    with av.open(BytesIO(film)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)
