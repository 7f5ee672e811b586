"""One film of several, cut to cut, without encoding anything again (PyAV)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from shotstream.media.files import atomic_path, write_errors
from shotstream.media.films import SoundTrack
from shotstream.media.video import pyav


def join_films(films: Sequence[Path], path: Path, sound: Iterable[np.ndarray] | None = None) -> None:
    """Write films one after the other as one; their pictures and the time between these stay as they are.

    Args:
        films: Files that `VideoWriter` has written, of one picture size and frame rate; at least one.
        path: Final name, ``*.mp4``; whole or absent.
        sound: What is heard with it, as `mix_sounds` gives it; it is encoded as AAC.

    Raises:
        ImportError: If PyAV is not installed.
        MediaError: If the file cannot be written, or one of the films not be read.
        ValueError: If there are no films.
    """
    if not films:
        raise ValueError(f"No films were given for {path}, so there is none to write.")
    av = pyav()
    with write_errors(path):
        delay = max(_delay(film) for film in films)
    with atomic_path(path) as part, write_errors(path), av.open(str(part), "w", format="mp4") as joined:
        stream, track, clock = None, None, Fraction(0)  # seconds
        for film in films:
            start = clock
            with av.open(str(film)) as container:
                video = container.streams.video[0]
                if stream is None:
                    stream = joined.add_stream_from_template(video)
                    track = None if sound is None else SoundTrack(joined, sound)
                for packet in container.demux(video):
                    if packet.pts is None or packet.duration is None:  # the mark at the end
                        continue
                    packet.pts += round(start / packet.time_base)
                    packet.dts = round((clock - delay) / packet.time_base)
                    clock += packet.duration * packet.time_base
                    packet.stream = stream
                    joined.mux(packet)
                    if track:
                        track.write_until(clock)
        if track:
            track.close()


def _delay(film: Path) -> Fraction:
    """Seconds by which a film is decoded before it is shown: those of one or two frames need none."""
    with pyav().open(str(film)) as container:
        first = next(container.demux(container.streams.video[0]))
        return (first.pts - first.dts) * first.time_base
