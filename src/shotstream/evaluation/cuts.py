"""Where a film cuts, and how that fits where it was asked to.

A cut is named by the number of the first frame of the new shot, so it is at least 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shotstream.evaluation.frames import check_frames
from shotstream.media.cuts import CutDetector


def detect_cuts(frames: np.ndarray, fps: float, *, min_shot_frames: int = 6) -> list[int]:
    """Find the hard cuts of a film (paper: shot-boundary detector; here PySceneDetect's AdaptiveDetector).

    Cuts in the last two frames are not seen: the detector compares with two frames after the cut.

    Args:
        frames: The whole film, uint8 [T, H, W, 3] RGB; pictures as small as 64x96 will do.
        fps: Frames per second, above 0.
        min_shot_frames: Cuts nearer than this to the last one, or to the start, are not counted.

    Returns:
        First frames of the new shots, rising.

    Raises:
        ImportError: If PySceneDetect is missing, with the line that installs it.
        ValueError: If `frames` are no pictures.
    """
    check_frames(frames)
    detector = CutDetector(fps, min_shot_frames)
    return [cut for frame in frames for cut in detector.add(frame)]


class CutMatch(NamedTuple):
    """How detected cuts fit the asked ones."""

    offset_frames: int
    """Sum of the distances of the matched cuts."""
    missing: int
    """Asked cuts that nothing was matched to."""
    extra: int
    """Detected cuts that nobody asked for."""

    def cost(self, penalty_frames: float) -> float:
        """Offsets, and `penalty_frames` for every missing or extra cut."""
        return self.offset_frames + penalty_frames * (self.missing + self.extra)


def match_cuts(
    asked: Sequence[int], detected: Sequence[int], *, tolerance_frames: float, penalty_frames: float
) -> CutMatch:
    """Match detected cuts to asked ones, one to one, at the lowest `CutMatch.cost`.

    Some cheapest matching keeps the order of the cuts, so dynamic programming over both lists finds it.

    Args:
        asked: Where the cuts should be.
        detected: Where they are.
        tolerance_frames: Cuts farther apart than this are never matched.
        penalty_frames: Price of a missing or extra cut.
    """
    asked, detected = sorted(asked), sorted(detected)
    row = [
        CutMatch(0, 0, extra) for extra in range(len(detected) + 1)
    ]  # of the first 0, 1, ... detected cuts
    for wanted in asked:
        above, row = row, [_plus(row[0], CutMatch(0, 1, 0))]
        for column, found in enumerate(detected):
            options = [_plus(above[column + 1], CutMatch(0, 1, 0)), _plus(row[column], CutMatch(0, 0, 1))]
            if abs(found - wanted) <= tolerance_frames:
                options.append(_plus(above[column], CutMatch(abs(found - wanted), 0, 0)))
            row.append(min(options, key=lambda match: match.cost(penalty_frames)))
    return row[-1]


def _plus(match: CutMatch, more: CutMatch) -> CutMatch:
    return CutMatch(*(one + other for one, other in zip(match, more, strict=True)))
