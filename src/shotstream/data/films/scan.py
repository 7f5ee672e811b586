"""One look at every frame of a film: where it cuts, how bright it is, how much changes, bars and text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from shotstream.data.films.decode import FilmError, FilmFacts, frames_of, picture_of, probe
from shotstream.data.films.lettering import LOOK_HEIGHT, lettered_fraction
from shotstream.data.films.second_opinion import INPUT_SIZE, TransitionDetector
from shotstream.media.cuts import CutDetector
from shotstream.media.files import atomic_path, write_errors

MIN_CONTENT, MIN_RATIO = 15.0, 2.2
"""Least change of a cut, and least ratio to the changes around it (`shotstream.media.cuts`).

In 30 drawn stories a cut had 17 and 3.2 at least; what was none had 12.1 where its ratio was above 2.2. A
shot with a cut inside spoils more than a shot in two halves, so the ratio is lower than the library's 3.
"""
SCAN_HEIGHT = 144
"""Most rows of the pictures that are looked at."""
TEXT_SECONDS = 0.5
"""From one look for text to the next."""
BAR_LEVEL = 10.0
"""Mean brightness, of 255, that no row or column of a black bar ever reaches."""
MOST_BARS = 0.4
"""Largest part of the height or width that bars can take at each side; more is a dark film."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class FilmScan:
    """What was seen of N frames."""

    seconds: np.ndarray
    """When each frame is shown, float64 [N]."""
    end: float
    """When the last one is no longer shown, seconds."""
    brightness: np.ndarray
    """Mean brightness of each frame, 0..255, float32 [N]."""
    spread: np.ndarray
    """Standard deviation of the brightness in each frame, float32 [N]."""
    change: np.ndarray
    """Mean absolute change of brightness from the frame before, 0..255, float32 [N]."""
    hashes: np.ndarray
    """Perceptual hash of each frame (difference hash, 64 bits), uint8 [N, 8]."""
    cuts: np.ndarray
    """First frames of new shots that PySceneDetect found, int64."""
    second_cuts: np.ndarray | None
    """Those that TransNetV2 found; None if it was not asked."""
    text: np.ndarray
    """Part of each frame that lines of letters cover, 0..1, float32 [N]; NaN where nobody looked."""
    bars: np.ndarray
    """Black bars at top, bottom, left, right, parts of the height or width, float64 [4]."""

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        with atomic_path(path) as part, write_errors(path):
            np.savez_compressed(part, **{k: v for k, v in values.items() if v is not None})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {field.name: file.get(field.name) for field in fields(cls)}
        values["end"] = float(values["end"])
        return cls(**values)

    def frame_at(self, seconds: float) -> int:
        """Number of the frame whose time is nearest."""
        return int(np.abs(self.seconds - seconds).argmin())

    def time_of(self, frame: int) -> float:
        """When a frame begins; the end of the film for the number after the last."""
        return float(self.seconds[frame]) if frame < len(self.seconds) else self.end


def scan(path: Path, second_opinion: bool = False) -> tuple[FilmFacts, FilmScan]:
    """Look at all frames of a film.

    Args:
        path: The file.
        second_opinion: Whether TransNetV2 looks for cuts, too.

    Raises:
        FilmError: If the file cannot be read.
        ImportError: If PySceneDetect, PyAV or TransNetV2 is missing.
    """
    facts = probe(path)
    watcher = _Watcher(facts, second_opinion)
    rows = min(SCAN_HEIGHT, facts.height)
    columns = max(16, round(rows * facts.width / facts.height))
    for seconds, frame, _ in frames_of(path):
        watcher.add(seconds, picture_of(frame, rows, columns), frame)
    if not watcher.seconds:
        raise FilmError(f"{path} is a video without frames")
    return facts, watcher.finish()


class _Watcher:
    """Gathers what a scan says, frame by frame."""

    def __init__(self, facts: FilmFacts, second_opinion: bool):
        self._fps = facts.fps
        self._text_size = LOOK_HEIGHT, max(16, round(LOOK_HEIGHT * facts.width / facts.height))
        self._cuts = CutDetector(facts.fps, min_content=MIN_CONTENT, min_ratio=MIN_RATIO)
        self._second = TransitionDetector() if second_opinion else None
        self.seconds: list[float] = []
        self._figures: list[tuple[float, float, float]] = []
        self._hashes: list[np.ndarray] = []
        self._found: list[int] = []
        self._text: dict[int, float] = {}
        self._next_text = -float("inf")
        self._former: np.ndarray | None = None
        self._rows: np.ndarray | float = 0.0
        self._columns: np.ndarray | float = 0.0

    def add(self, seconds: float, picture: np.ndarray, frame: Any) -> None:
        self._found += self._cuts.add(picture)
        if self._second is not None:
            self._second.add(picture_of(frame, *INPUT_SIZE))
        luma = picture @ _LUMA  # [rows, columns]
        if seconds >= self._next_text:
            self._text[len(self.seconds)] = lettered_fraction(picture_of(frame, *self._text_size))
            self._next_text = seconds + TEXT_SECONDS
        former = luma if self._former is None else self._former
        self.seconds.append(seconds)
        self._figures.append((luma.mean(), luma.std(), np.abs(luma - former).mean()))
        self._hashes.append(difference_hash(luma))
        self._rows = np.maximum(self._rows, luma.mean(axis=1))
        self._columns = np.maximum(self._columns, luma.mean(axis=0))
        self._former = luma

    def finish(self) -> FilmScan:
        brightness, spread, change = np.array(self._figures, np.float32).T
        seconds = np.array(self.seconds)
        text = np.full(len(seconds), np.nan, np.float32)
        text[list(self._text)] = list(self._text.values())
        gap = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / self._fps
        return FilmScan(
            seconds=seconds,
            end=float(seconds[-1]) + gap,
            brightness=brightness,
            spread=spread,
            change=change,
            hashes=np.stack(self._hashes),
            cuts=np.array(self._found, np.int64),
            second_cuts=None if self._second is None else np.array(self._second.finish(), np.int64),
            text=text,
            bars=np.array([*_bars(np.asarray(self._rows)), *_bars(np.asarray(self._columns))]),
        )


def difference_hash(luma: np.ndarray) -> np.ndarray:
    """Hash a picture by whether it gets brighter from each of 8x9 fields to the next (64 bits, uint8 [8]).

    Args:
        luma: Brightness [H, W], at least 8x9.
    """
    rows = np.linspace(0, luma.shape[0], 9).astype(int)[:-1]
    columns = np.linspace(0, luma.shape[1], 10).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0), columns, axis=1)
    areas = np.outer(np.diff([*rows, luma.shape[0]]), np.diff([*columns, luma.shape[1]]))
    fields_ = sums / areas  # [8, 9]
    return np.packbits((fields_[:, 1:] > fields_[:, :-1]).astype(np.uint8))


def hash_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bits by which hashes ``uint8 [..., 8]`` differ, 0..64 each."""
    return np.unpackbits(np.bitwise_xor(one, other).astype(np.uint8), axis=-1).sum(axis=-1)


def _bars(levels: np.ndarray) -> Iterator[float]:
    """Parts that are always dark at the beginning and the end of a line of brightness."""
    bright = np.flatnonzero(levels > BAR_LEVEL)
    if not len(bright):
        yield from (0.0, 0.0)
        return
    for dark in (int(bright[0]), len(levels) - 1 - int(bright[-1])):
        # a row more: the edge of a bar may share one with the picture
        part = (dark + 1) / len(levels) if dark else 0.0
        yield part if part <= MOST_BARS else 0.0
