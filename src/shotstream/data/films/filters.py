"""Which shots are left out, and why: each has one reason, the first that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.scan import hash_distance
from shotstream.data.films.settings import FilmSettings
from shotstream.data.films.shots import MeasuredShot

BLACK_FRACTION = 0.9
_BANDS = 4
_LENGTH_TOLERANCE = 0.1

REASONS = {
    "unreadable": "the file cannot be read",
    "captions": "the film has captions of its shots, but not as many as shots",
    "hdr": "high dynamic range, which would look flat",
    "interlaced": "interlaced",
    "small": "the picture is smaller than the settings allow",
    "short": "too short for a chunk",
    "long": "longer than the settings allow",
    "black": "nothing to be seen",
    "frozen": "nothing moves",
    "flicker": "pictures change wildly",
    "text": "full of text, such as titles and credits",
    "duplicate": "nearly the same as an earlier shot",
    "alone": "no neighbour is left to make a story with",
    "uncaptioned": "nobody says what it shows",
}
"""All reasons in the order in which they are asked."""


def reason_of(shot: MeasuredShot, settings: FilmSettings, made: ClipFormat) -> str | None:
    """Say why a shot is left out by itself; None if it is not."""
    least = settings.least_scale
    tests: dict[str, Callable[[], bool]] = {
        "hdr": lambda: bool(shot.hdr),
        "interlaced": lambda: shot.interlaced,
        "small": lambda: shot.height < least * made.height or shot.width < least * made.width,
        "short": lambda: shot.frames < made.least_frames,
        "long": lambda: shot.end - shot.start > settings.longest_seconds,
        "black": lambda: shot.black >= BLACK_FRACTION,
        "frozen": lambda: shot.change_high < settings.least_change,
        "flicker": lambda: shot.change_median > settings.most_change,
        "text": lambda: shot.text > settings.most_text,
    }
    return next((reason for reason, holds in tests.items() if holds()), None)


class Duplicates:
    """Shots seen so far, by the hashes of their first, middle and last frames.

    Hashes that differ in few bits agree in a part, so only shots with a part in common are compared.

    Args:
        bits: How far each hash of a duplicate may be away.
    """

    def __init__(self, bits: int):
        self._bits = bits
        self._hashes: list[np.ndarray] = []
        self._frames: list[int] = []
        self._by_band: dict[tuple[int, bytes], list[int]] = {}

    def seen(self, shot: MeasuredShot) -> bool:
        """Whether a shot nearly like this one was given before; if not, it is remembered."""
        own = np.stack([np.frombuffer(bytes.fromhex(part), np.uint8) for part in shot.hashes])  # [3, 8]
        bands = [(number, own[1, 2 * number : 2 * number + 2].tobytes()) for number in range(_BANDS)]
        near = {other for band in bands for other in self._by_band.get(band, ())}
        if any(self._alike(own, shot.frames, other) for other in near):
            return True
        for band in bands:
            self._by_band.setdefault(band, []).append(len(self._hashes))
        self._hashes.append(own)
        self._frames.append(shot.frames)
        return False

    def _alike(self, own: np.ndarray, frames: int, other: int) -> bool:
        difference = abs(frames - self._frames[other])
        return difference <= _LENGTH_TOLERANCE * frames and bool(
            (hash_distance(own, self._hashes[other]) <= self._bits).all()
        )


def runs_of(kept: Sequence[bool]) -> list[tuple[int, int]]:
    """First and end of every run of neighbours that are kept."""
    edges = np.flatnonzero(np.diff([False, *kept, False])).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def split_run(length: int, least: int, most: int) -> list[int]:
    """Share the shots of a run among as few stories as `most` allows, as evenly as can be.

    Returns:
        The number of shots of each story; those of too few shots are left out.
    """
    stories = -(-length // most)
    sizes = [length // stories + (number < length % stories) for number in range(stories)]
    return [size for size in sizes if size >= least]
