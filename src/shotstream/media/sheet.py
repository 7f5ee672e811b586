"""Contact sheets: rows of pictures with small captions (Pillow)."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.pictures import pillow, write_png

_PAPER = (24, 24, 28)
_INK = (225, 225, 230)
_MARGIN = 8  # pixels around every picture
_FONT_SIZE = 13  # pixels
_LONGEST_SIDE = 16_383
"""Pixels of a sheet's side: what WebP can hold, and less than what JPEG can and browsers show."""


def write_sheets(
    path: Path,
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]] | None = None,
    scale: int = 1,
) -> list[Path]:
    """Write rows of pictures as PNG files: ``NAME.png`` alone or, where one is too small, ``NAME_1.png``, ...

    Sheets of the same name that were written before and have no successor are removed.

    Args:
        path: Name of the only sheet, ``*.png``.
        rows: See `contact_sheets`.
        captions: Likewise.
        scale: Likewise.

    Returns:
        The files.

    Raises:
        ImportError: If Pillow is not installed.
        MediaError: If a file cannot be written.
        ValueError: As for `contact_sheets`.
    """
    sheets = contact_sheets(rows, captions, scale)
    digits = len(str(len(sheets)))
    names = [f"{path.stem}_{number:0{digits}}{path.suffix}" for number in range(1, len(sheets) + 1)]
    files = [path] if len(sheets) == 1 else [path.with_name(name) for name in names]
    for file, sheet in zip(files, sheets, strict=True):
        write_png(file, sheet)
    for former in set(find_sheets(path)).difference(files):
        former.unlink()
    return files


def find_sheets(path: Path) -> list[Path]:
    """The files that `write_sheets` has written by this name."""
    numbered = path.parent.glob(f"{glob.escape(path.stem)}_*{path.suffix}")
    named = [file for file in numbered if file.stem.rpartition("_")[2].isdecimal()]
    return sorted([*([path] if path.is_file() else []), *named])


def contact_sheets(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]] | None = None,
    scale: int = 1,
    longest_side: int = _LONGEST_SIDE,
) -> list[np.ndarray]:
    """Lay out rows of pictures on as few sheets as hold them; a row that is too wide is broken.

    Args:
        rows: See `contact_sheet`.
        captions: Likewise.
        scale: Likewise.
        longest_side: Most pixels of a side of a sheet. A single picture may be larger.

    Returns:
        The sheets, ``uint8 [H, W, 3]`` each.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: As for `contact_sheet`.
    """
    sheets: list[list[Any]] = []
    height = longest_side
    for strip in _strips(rows, captions, scale, longest_side):
        if height + strip.height + _MARGIN > longest_side:
            sheets.append([])
            height = 0
        sheets[-1].append(strip)
        height += strip.height
    return [_stacked(strips) for strips in sheets]


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]] | None = None,
    scale: int = 1,
) -> np.ndarray:
    """Lay out rows of pictures on dark paper.

    Args:
        rows: Pictures, ``uint8 [H, W, 3]``; rows may differ in length, pictures in size.
        captions: Per row either one caption, which runs under the whole row, or one for every picture.
        scale: Whole-number enlargement of every picture (bicubic).

    Returns:
        The sheet, ``uint8 [H, W, 3]``.

    Raises:
        ImportError: If Pillow is not installed; the message is the line that installs it.
        ValueError: If there is no picture, or a row has the wrong number of captions.
    """
    return _stacked(_strips(rows, captions, scale))


def _strips(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]] | None,
    scale: int,
    widest: int | None = None,
) -> list[Any]:
    """Every row as a picture, or as several where one would be wider than `widest` pixels."""
    if not rows or not all(rows):
        raise ValueError("A contact sheet needs at least one row, and at least one picture in every row.")
    strips = []
    for pictures, texts in zip(rows, captions or [[""]] * len(rows), strict=True):
        if len(texts) not in (1, len(pictures)):
            raise ValueError(
                f"A row of {len(pictures)} pictures has {len(texts)} captions; give one, or one for each."
            )
        cell = max(picture.shape[1] for picture in pictures) * scale + _MARGIN
        count = len(pictures) if widest is None else max(1, (widest - _MARGIN) // cell)
        for first in range(0, len(pictures), count):
            own = texts if len(texts) == 1 else texts[first : first + count]
            strips.append(_row(pictures[first : first + count], own, scale))
    return strips


def _stacked(strips: Sequence[Any]) -> np.ndarray:
    width = max(strip.width for strip in strips)
    sheet = pillow().new("RGB", (width, sum(strip.height for strip in strips) + _MARGIN), _PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return np.asarray(sheet)


def _row(pictures: Sequence[np.ndarray], texts: Sequence[str], scale: int) -> Any:
    images = [_enlarged(picture, scale) for picture in pictures]
    lefts = [_MARGIN + sum(image.width + _MARGIN for image in images[:i]) for i in range(len(images))]
    width = lefts[-1] + images[-1].width + _MARGIN
    columns = [image.width for image in images] if len(texts) == len(images) else [width - 2 * _MARGIN]
    wrapped = [_wrap(text, column) for text, column in zip(texts, columns, strict=True)]
    picture_height = max(image.height for image in images)
    text_height = max(len(lines) for lines in wrapped) * (_FONT_SIZE + 4)
    strip = pillow().new("RGB", (width, _MARGIN + picture_height + _MARGIN // 2 + text_height), _PAPER)
    for image, left in zip(images, lefts, strict=True):
        strip.paste(image, (left, _MARGIN))
    for lines, left in zip(wrapped, lefts, strict=False):
        _write_lines(strip, lines, left, _MARGIN + picture_height + _MARGIN // 2)
    return strip


def _write_lines(strip: Any, lines: Sequence[str], left: int, top: int) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((left, top + number * (_FONT_SIZE + 4)), line, fill=_INK, font=_font())


def _wrap(text: str, width: int) -> list[str]:
    """Break `text` into lines of at most `width` pixels (a longer single word stays whole)."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _font().getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _enlarged(picture: np.ndarray, scale: int) -> Any:
    image = pillow().fromarray(np.ascontiguousarray(picture))
    return image.resize((image.width * scale, image.height * scale), resample=pillow().Resampling.BICUBIC)


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=_FONT_SIZE)
