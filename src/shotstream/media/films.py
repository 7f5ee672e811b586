"""Films from encoded chunks (``media/live.py``), put together without encoding anything again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.files import atomic_path, write_errors
from shotstream.media.sounds import SAMPLE_RATE
from shotstream.media.video import frame_rate, pyav

_SOUND_BITS = 192_000  # per second


def remux(
    chunks: Iterable[Sequence[bytes]], fps: float, path: Path, sound: Iterable[np.ndarray] | None = None
) -> int:
    """Write an MP4 file from encoded chunks; it plays while it is being loaded.

    Args:
        chunks: For every chunk its H.264 access units, one per frame; all of one picture size. Read one at a
            time.
        fps: Frames per second.
        path: Final name, ``*.mp4``; whole or absent.
        sound: What is heard with it, as `mix_sounds` gives it; it is encoded as AAC.

    Returns:
        How many frames were written.

    Raises:
        ImportError: If PyAV is not installed.
        MediaError: If the file cannot be written.
        ValueError: If there are no chunks, or one is not H.264.
    """
    with atomic_path(path) as part, write_errors(path):
        return _write(chunks, frame_rate(fps), 0, str(part), {"movflags": "faststart"}, sound)


class FragmentedFilm:
    """An MP4 film that grows chunk by chunk, for Media Source Extensions.

    Args:
        fps: Frames per second.
        first_frame: When the first chunk is shown, in frames from the beginning of the film.
    """

    def __init__(self, fps: float, first_frame: int = 0) -> None:
        self._rate = frame_rate(fps)
        self._frame = first_frame
        self._fragments = 0

    def add(self, units: Sequence[bytes]) -> bytes:
        """Put the next chunk into a fragment of its own.

        Args:
            units: Its H.264 access units, one per frame.

        Returns:
            The fragment; before the first one, also the opening that introduces the film.

        Raises:
            ImportError: If PyAV is not installed.
            ValueError: If the chunk is empty or not H.264.
        """
        options = {
            "movflags": "frag_custom+empty_moov+default_base_moof+frag_discont+skip_trailer",
            "fragment_index": str(self._fragments + 1),
            "avoid_negative_ts": "disabled",  # else every fragment would begin at 0
        }
        file = BytesIO()
        self._frame += _write([units], self._rate, self._frame, file, options)
        self._fragments += 1
        data = file.getvalue()
        return data if self._fragments == 1 else data[_opening_bytes(data) :]


def _write(
    chunks: Iterable[Sequence[bytes]],
    rate: Fraction,
    first_frame: int,
    file: str | BytesIO,
    options: dict[str, str],
    sound: Iterable[np.ndarray] | None = None,
) -> int:
    """Write chunks to an MP4 file from the time of `first_frame` on; returns how many frames they have."""
    av = pyav()
    rest = iter(chunks)
    first = next(rest, None)
    if not first:
        raise ValueError("There is no frame, so there is no film to write; give at least one chunk.")
    try:
        template = av.open(BytesIO(first[0]), format="h264")
    except av.FFmpegError as error:
        raise ValueError(f"A film cannot begin with what is not H.264 ({error}).") from error
    frame = first_frame
    with template, av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream_from_template(template.streams.video[0])
        track = None if sound is None else SoundTrack(container, sound)
        for units in chain([first], rest):
            for number, unit in enumerate(units):
                container.mux(_packet(unit, stream, frame, rate, keyframe=number == 0))
                frame += 1
                if track:
                    track.write_until(frame / rate)
        if track:
            track.close()
    return frame - first_frame


class SoundTrack:
    """The sound of a film that is being written, beside its picture.

    Args:
        container: The film; nothing is written yet.
        sound: Blocks of samples, float32 ``[2, N]``.
    """

    def __init__(self, container: Any, sound: Iterable[np.ndarray]) -> None:
        self._container, self._blocks = container, iter(sound)
        self._stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", bit_rate=_SOUND_BITS)
        self._samples = 0

    def write_until(self, seconds: Fraction) -> None:
        """Write what is heard up to a moment of the film."""
        while self._samples < seconds * SAMPLE_RATE and (block := next(self._blocks, None)) is not None:
            frame = pyav().AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, self._samples
            frame.time_base = Fraction(1, SAMPLE_RATE)
            self._container.mux(self._stream.encode(frame))
            self._samples += block.shape[1]

    def close(self) -> None:
        """Write what the encoder still has."""
        self._container.mux(self._stream.encode(None))


def _packet(unit: bytes, stream: Any, frame: int, rate: Fraction, *, keyframe: bool) -> Any:
    packet = pyav().Packet(unit)
    packet.stream = stream
    packet.time_base = 1 / rate
    packet.pts = packet.dts = frame
    packet.duration = 1
    packet.is_keyframe = keyframe
    return packet


def _opening_bytes(film: bytes) -> int:
    """How many bytes stand before the first fragment of a fragmented film."""
    start = 0
    while film[start + 4 : start + 8] != b"moof":
        start += int.from_bytes(film[start : start + 4], "big")
    return start
