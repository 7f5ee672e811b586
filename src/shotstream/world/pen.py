"""Drawing with skia in the units of the world: shapes as paths, and a pen that knows the light."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

try:
    import skia
except ModuleNotFoundError as error:
    raise ImportError('The story world needs skia: pip install "shotstream[world]"') from error
except ImportError as error:  # a library of the system that it needs
    raise ImportError(
        f"skia is installed and cannot be loaded: {error}. On Linux without a desktop it needs libraries of "
        "OpenGL: apt-get install libegl1 libgl1"
    ) from error

Colour = tuple[int, int, int]
Light = tuple[float, float, float]
"""What the light leaves of red, green and blue, each in [0, 1]."""
OUTLINE: Colour = (44, 34, 52)


@lru_cache(maxsize=4096)
def oval(x: float, y: float, radius_x: float, radius_y: float) -> skia.Path:
    """An ellipse around (x, y)."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - radius_x, y - radius_y, x + radius_x, y + radius_y))
    return path


@lru_cache(maxsize=4096)
def box(x: float, y: float, width: float, height: float, corner: float = 0.0) -> skia.Path:
    """A box whose middle is x and whose top is y, with round corners."""
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeXYWH(x - width / 2, y, width, height), corner, corner)
    return path


@lru_cache(maxsize=4096)
def polygon(*points: tuple[float, float]) -> skia.Path:
    """A closed shape with straight sides."""
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    return path


@lru_cache(maxsize=4096)
def curve(*points: tuple[float, float]) -> skia.Path:
    """An open smooth line: from the first point, then quadratic arcs (control, end), (control, end), ..."""
    path = skia.Path()
    path.moveTo(*points[0])
    for control, end in zip(points[1::2], points[2::2], strict=True):
        path.quadTo(*control, *end)
    return path


@lru_cache(maxsize=4096)
def blob(*points: tuple[float, float]) -> skia.Path:
    """A closed smooth shape: corners at the points are rounded from middle to middle of the sides."""
    middles = [
        ((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in zip(points, points[1:] + points[:1], strict=True)
    ]
    path = skia.Path()
    path.moveTo(*middles[-1])
    for point, middle in zip(points, middles, strict=True):
        path.quadTo(*point, *middle)
    path.close()
    return path


def _kept_by_identity(make: Callable[..., skia.Path]) -> Callable[..., skia.Path]:
    """Remembers results. Shapes cannot be hashed: they are told apart by identity, and those above stay."""
    known: dict[tuple, tuple[skia.Path, tuple]] = {}

    def remember(*arguments: Any) -> skia.Path:
        key = tuple(id(given) if isinstance(given, skia.Path) else given for given in arguments)
        if key not in known:
            if len(known) == 4096:
                known.clear()
            known[key] = make(*arguments), arguments  # who is referred to keeps its identity
        return known[key][0]

    return remember


@_kept_by_identity
def joined(one: skia.Path, other: skia.Path) -> skia.Path:
    """Both shapes as one."""
    return skia.Op(one, other, skia.PathOp.kUnion_PathOp)


@_kept_by_identity
def shared(one: skia.Path, other: skia.Path) -> skia.Path:
    """What lies in both shapes."""
    return skia.Op(one, other, skia.PathOp.kIntersect_PathOp)


@_kept_by_identity
def crescent(path: skia.Path, x: float, y: float) -> skia.Path:
    """What is left of a shape beside the same shape moved by (x, y): its side in the shade."""
    moved = skia.Path(path)
    moved.offset(x, y)
    return skia.Op(path, moved, skia.PathOp.kDifference_PathOp)


@_kept_by_identity
def _widened(path: skia.Path, width: float, filled: bool) -> skia.Path:
    """A line with a width, or a shape with a line along its edge, as a shape: made once, filled often."""
    wide = skia.Path()
    _paint(0, width, filled).getFillPath(path, wide)
    return wide


@lru_cache(maxsize=4096)
def _paint(colour: int, width: float = 0.0, filled: bool = True) -> skia.Paint:
    """A brush; with a width it also follows the shape's edge, round."""
    paint = skia.Paint(AntiAlias=True, Color=colour)
    if width:
        both, line = skia.Paint.kStrokeAndFill_Style, skia.Paint.kStroke_Style
        paint.setStyle(both if filled else line)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


class Pen:
    """Draws on its own pixels; lengths are lines of a picture 64 lines high, x is 0 in the middle.

    Args:
        height: Pixels from top to bottom.
        width: Pixels from left to right.
    """

    def __init__(self, height: int, width: int):
        self._pixels = np.zeros((height, width, 4), np.uint8)  # [H, W, RGBA]
        self._surface = skia.Surface(self._pixels)  # must outlive its canvas
        self._canvas = self._surface.getCanvas()
        self._canvas.scale(height / 64, height / 64)
        self._canvas.translate(32 * width / height, 0)
        self.half_width = 32 * width / height
        self.light: Light = (1.0, 1.0, 1.0)
        self.outline = 1.0
        """Width of the line around outlined shapes, in units of the frame that the pen was moved into."""

    def picture(self) -> np.ndarray:
        """A copy of what was drawn: uint8 [H, W, 3]."""
        picture = np.empty((*self._pixels.shape[:2], 3), np.uint8)
        for channel in range(3):  # six times faster than all at once
            picture[..., channel] = self._pixels[..., channel]
        return picture

    def keep(self) -> np.ndarray:
        """All that was drawn, for `bring_back`: [H, W, 4]."""
        return self._pixels.copy()

    def bring_back(self, kept: np.ndarray) -> None:
        """Replaces all that was drawn by what `keep` returned."""
        self._pixels[:] = kept

    def fill(self, path: skia.Path, colour: Colour) -> None:
        """Fills a shape."""
        self._canvas.drawPath(path, _paint(self._lit(colour)))

    def outlined(self, path: skia.Path, colour: Colour) -> None:
        """Fills a shape with a dark line of `outline` around it."""
        self.fill(_widened(path, 2 * self.outline, True), OUTLINE)
        self.fill(path, colour)

    def glow(self, path: skia.Path, colour: Colour) -> None:
        """Fills a shape that shines by itself, whatever the light."""
        self._canvas.drawPath(path, _paint(skia.Color(*colour)))

    def veil(self, path: skia.Path, colour: Colour, opacity: float) -> None:
        """Tints a shape and lets what lies below shine through; `opacity` in [0, 1]."""
        self._canvas.drawPath(path, _paint(skia.ColorSetA(self._lit(colour), round(255 * opacity))))

    def stroke(self, path: skia.Path, width: float, colour: Colour) -> None:
        """Follows a line with a round brush."""
        self.fill(_widened(path, width, False), colour)

    def outlined_stroke(self, path: skia.Path, width: float, colour: Colour) -> None:
        """Follows a line with a round brush, with a dark line on both sides."""
        self.stroke(path, width + 2 * self.outline, OUTLINE)
        self.stroke(path, width, colour)

    def gradient(self, top: float, bottom: float, colours: Sequence[Colour]) -> None:
        """Fills the picture's width between two heights from the first colour to the last."""
        shader = skia.GradientShader.MakeLinear(
            points=[(0, top), (0, bottom)], colors=[self._lit(colour) for colour in colours]
        )
        area = skia.Rect.MakeLTRB(-2 * self.half_width, top, 2 * self.half_width, bottom)
        self._canvas.drawRect(area, skia.Paint(Shader=shader))

    @contextmanager
    def moved(
        self, x: float, y: float, *, turn: float = 0.0, scale: tuple[float, float] = (1, 1)
    ) -> Iterator[None]:
        """Moves the origin to (x, y), turns clockwise by degrees, then scales; undone at the end."""
        self._canvas.save()
        self._canvas.translate(x, y)
        self._canvas.rotate(turn)
        self._canvas.scale(*scale)
        yield
        self._canvas.restore()

    @contextmanager
    def clipped(self, path: skia.Path) -> Iterator[None]:
        """Lets only what falls into the shape be drawn; undone at the end."""
        self._canvas.save()
        self._canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        yield
        self._canvas.restore()

    def _lit(self, colour: Colour) -> int:
        return _lit(colour, self.light)


@lru_cache(maxsize=4096)
def _lit(colour: Colour, light: Light) -> int:
    red, green, blue = (round(part * left) for part, left in zip(colour, light, strict=True))
    return skia.Color(red, green, blue)


@lru_cache(maxsize=4096)
def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with a share of `other` in [0, 1]."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
