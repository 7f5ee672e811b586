"""Shots of a scanned film: where they begin and end, and what was seen in each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from shotstream.data.films.decode import FilmFacts, grid_frames
from shotstream.data.films.film_input import FilmInput
from shotstream.data.films.scan import FilmScan
from shotstream.data.films.second_opinion import either

PLAIN_SPREAD = 8.0
"""Standard deviation of the brightness, of 255, below which a dark picture shows nothing."""


class MeasuredShot(BaseModel):
    """A shot of a film and what was measured of it."""

    model_config = ConfigDict(frozen=True)

    file: str
    digest: str
    """SHA-256 of the file."""
    number: int
    """In its film, from 0."""
    start: float
    """Seconds."""
    end: float
    frames: int
    """At the model's frame rate."""
    height: int
    """Pixels without bars, upright."""
    width: int
    bars: tuple[float, float, float, float]
    """At top, bottom, left, right, parts of the height or width."""
    black: float
    """Part of the frames that show nothing."""
    change_high: float
    """Change of brightness from one frame to the next, mean of the picture, 0..255: its 95th percentile."""
    change_median: float
    """Its median."""
    text: float = 0.0
    """Part of the picture that lines of letters cover, 0..1, median of the looks."""
    hashes: tuple[str, str, str]
    """Of the first, middle and last frame, hexadecimal."""
    hdr: str = ""
    interlaced: bool = False
    caption: str = ""


def shots_of(
    film: FilmInput,
    scans: Sequence[tuple[FilmFacts, FilmScan]],
    digests: Sequence[str],
    fps: float,
    black_level: float,
) -> list[MeasuredShot]:
    """Cut a film into its shots, as they are given or as they were found.

    Args:
        film: What is known of it.
        scans: Facts and scan of each of its files.
        digests: SHA-256 of each.
        fps: The model's frames per second.
        black_level: Brightness, of 255, below which a plain picture is black.

    Returns:
        Its shots in order, without those of no frame.
    """
    found = []
    spans = film.spans or (None,) * len(film.files)
    for place, (path, (facts, seen), digest) in enumerate(zip(film.files, scans, digests, strict=True)):
        if len(film.files) == 1:
            bounds = _bounds(film, seen)
        elif (span := spans[place]) is None:
            bounds = [(0, len(seen.seconds))]
        else:
            bounds = _given_bounds([span], film.unit, seen)
        for first, last in bounds:
            measured = _measure(facts, seen, first, last, fps, black_level)
            found.append({"file": str(path), "digest": digest, **measured})
    told = film.shot_captions or ()
    captions = told if len(told) == len(found) else [""] * len(found)
    return [
        MeasuredShot(number=number, caption=caption, **shot)
        for number, (shot, caption) in enumerate(zip(found, captions, strict=True))
    ]


def captions_fit(film: FilmInput, shots: Sequence[MeasuredShot]) -> bool:
    """Whether a film has no captions of its shots, or as many as shots."""
    return film.shot_captions is None or len(film.shot_captions) == len(shots)


def _bounds(film: FilmInput, seen: FilmScan) -> list[tuple[int, int]]:
    """First frame of each shot, and the first after it."""
    count = len(seen.seconds)
    if film.spans is None:
        second = [] if seen.second_cuts is None else seen.second_cuts.tolist()
        cuts = [0, *either(seen.cuts.tolist(), second), count]
        return list(pairwise(cuts))
    return _given_bounds(film.spans, film.unit, seen)


def _given_bounds(
    spans: Sequence[tuple[float, float]], unit: Literal["seconds", "frames"], seen: FilmScan
) -> list[tuple[int, int]]:
    count = len(seen.seconds)
    bounds = []
    for start, end in spans:
        if unit == "seconds":
            start, end = seen.frame_at(start), seen.frame_at(end) if end < seen.end else count
        bounds.append((int(min(start, count)), int(min(end, count))))
    return [(first, last) for first, last in bounds if first < last]


def _measure(
    facts: FilmFacts, seen: FilmScan, first: int, last: int, fps: float, black_level: float
) -> dict[str, Any]:
    inside = slice(first, last)
    change = seen.change[first + 1 : last] if last - first > 1 else np.zeros(1, np.float32)
    dark = (seen.spread[inside] < PLAIN_SPREAD) & (seen.brightness[inside] < black_level)
    start, end = seen.time_of(first), seen.time_of(last)
    top, bottom, left, right = seen.bars.tolist()
    hashes = tuple(seen.hashes[frame].tobytes().hex() for frame in (first, (first + last) // 2, last - 1))
    return {
        "start": start,
        "end": end,
        "frames": grid_frames(start, end, fps),
        "height": round(facts.height * (1 - top - bottom)),
        "width": round(facts.width * (1 - left - right)),
        "bars": (top, bottom, left, right),
        "black": float(dark.mean()),
        "change_high": float(np.percentile(change, 95)),
        "change_median": float(np.median(change)),
        "text": _median_text(seen.text[inside]),
        "hashes": hashes,
        "hdr": facts.hdr,
        "interlaced": facts.interlaced,
    }


def _median_text(looks: np.ndarray) -> float:
    """Median of the frames that were looked at; 0 if none was."""
    known = looks[~np.isnan(looks)]
    return float(np.median(known)) if len(known) else 0.0
