"""How much of a picture is covered by lines of letters: titles, credits, subtitles.

No network reads here. A letter is a spot that is brighter or darker than what is around it; letters make a
line if they stand side by side, are alike in height, stroke and brightness, and differ in width. Handwriting,
letters that touch, and letters on ground of their own brightness are not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LOOK_HEIGHT = 360
"""Rows that pictures have when they are looked at; smaller films are enlarged."""
LEAST_LETTERS = 8
"""Of a picture; with fewer it counts as one without text."""
_MEANS = ((31, 18.0), (91, 18.0), (91, 55.0))
"""Pixels around a spot, and by how much of 255 it differs from their mean."""
_MOST_SPOTS = 1500
"""More are a texture, such as grass."""
_LEAST_PART = 0.15
"""Of all spots that are in lines; in a texture some are by chance (noise: 0.05 to 0.11)."""
_LEAST_OF_LINE = 5
_LEAST_VARIETY = 0.2
"""Of widths and fillings in a line, standard deviation by mean: windows and fences are alike."""
_GAP = 1.6
"""Between letters, in heights of one; a space is less."""


@dataclass(frozen=True)
class _Spots:
    """N spots of a picture, from left to right."""

    left: np.ndarray
    top: np.ndarray
    right: np.ndarray
    bottom: np.ndarray
    area: np.ndarray
    stroke: np.ndarray
    """Half the width of the thickest part."""
    level: np.ndarray
    """Mean brightness, 0..255."""

    @property
    def height(self) -> np.ndarray:
        return self.bottom - self.top

    @property
    def width(self) -> np.ndarray:
        return self.right - self.left

    def take(self, chosen: np.ndarray) -> _Spots:
        return _Spots(**{name: values[chosen] for name, values in vars(self).items()})


def lettered_fraction(picture: np.ndarray) -> float:
    """Part of a picture that lines of letters cover, 0..1; 0 for less than `LEAST_LETTERS` letters.

    Args:
        picture: uint8 [LOOK_HEIGHT, W, 3] RGB.
    """
    import cv2

    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # [H, W]
    covered, letters = np.zeros(luma.shape, bool), 0
    for size, contrast in _MEANS:
        mean = cv2.boxFilter(luma, cv2.CV_32F, (size, size), borderType=cv2.BORDER_REPLICATE)
        for mask in (luma - mean > contrast, mean - luma > contrast):
            spots = _spots(luma, mask.astype(np.uint8))
            lines = list(_lines(spots))
            if sum(len(line.left) for line in lines) < _LEAST_PART * len(spots.left):
                continue
            for line in lines:
                covered[line.top.min() : line.bottom.max(), line.left.min() : line.right.max()] = True
                letters += len(line.left)
    return float(covered.mean()) if letters >= LEAST_LETTERS else 0.0


def _spots(luma: np.ndarray, mask: np.ndarray) -> _Spots:
    """Connected parts of a mask that could be letters."""
    import cv2

    labels: np.ndarray
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    left, top, width, height, area = boxes.T
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    stroke = np.zeros(count, np.float32)
    np.maximum.at(stroke, labels.ravel().astype(np.intp), distance.ravel())
    level = np.bincount(labels.ravel(), luma.ravel(), count) / area
    found = _Spots(left, top, left + width, top + height, area, stroke, level)
    fits = (height >= 5) & (height <= 0.3 * len(luma)) & (width <= 1.8 * height) & (width >= 0.1 * height)
    chosen = np.flatnonzero(fits & (area > 0.2 * width * height) & (np.arange(count) > 0))
    return found.take(chosen[np.argsort(left[chosen], kind="stable")])


def _lines(spots: _Spots) -> Iterator[_Spots]:
    """Lines of letters among spots."""
    if not _LEAST_OF_LINE <= len(spots.left) <= _MOST_SPOTS:
        return
    following: dict[int, int] = {}
    for number in range(len(spots.left)):
        neighbour = _neighbour(spots, number)
        if neighbour is not None and neighbour not in following.values():
            following[number] = neighbour
    for number in set(following) - set(following.values()):
        chain = [number]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        line = spots.take(np.array(chain))
        if len(chain) >= _LEAST_OF_LINE and _is_text(line):
            yield line


def _neighbour(spots: _Spots, number: int) -> int | None:
    """The spot to the right that could be the next letter; None if there is none."""
    height = spots.height[number]
    gap = spots.left - spots.right[number]
    near = (spots.left > spots.left[number]) & (gap < _GAP * height) & (gap > -0.35 * height)
    others = np.flatnonzero(near)
    if not len(others):
        return None
    lower, higher = np.minimum(spots.height[others], height), np.maximum(spots.height[others], height)
    top, bottom = (
        np.abs(spots.top[others] - spots.top[number]),
        np.abs(spots.bottom[others] - spots.bottom[number]),
    )
    shared = np.minimum(spots.bottom[others], spots.bottom[number]) - np.maximum(
        spots.top[others], spots.top[number]
    )
    thin = np.minimum(spots.stroke[others], spots.stroke[number])
    thick = np.maximum(spots.stroke[others], spots.stroke[number])
    on_one_line = (bottom < 0.2 * higher) | (bottom < 0.4 * higher) & (top < 0.2 * higher)  # or it goes below
    alike = (higher < 2 * lower) & (shared > 0.6 * lower) & (thin > 0.5 * thick)
    same = np.abs(spots.level[others] - spots.level[number]) < 20
    chosen = others[on_one_line & alike & same]
    return int(chosen[0]) if len(chosen) else None


def _is_text(line: _Spots) -> bool:
    """Whether the spots of a line differ as letters do, and are several strokes high."""
    filled = line.area / (line.width * line.height)
    variety = line.width.std() / line.width.mean() + filled.std() / filled.mean()
    return variety >= _LEAST_VARIETY and line.height.mean() >= 4.4 * float(np.median(line.stroke))
