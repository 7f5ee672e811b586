"""Contact sheets: rows of pictures with small captions (Pillow)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shotstream.media.pictures import pillow

_PAPER = (24, 24, 28)
_INK = (225, 225, 230)
_MARGIN = 8  # pixels around every picture
_FONT_SIZE = 13  # pixels


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
    if not rows or not all(rows):
        raise ValueError("A contact sheet needs at least one row, and at least one picture in every row.")
    captions = captions or [[""]] * len(rows)
    strips = [_row(pictures, texts, scale) for pictures, texts in zip(rows, captions, strict=True)]
    width = max(strip.width for strip in strips)
    sheet = pillow().new("RGB", (width, sum(strip.height for strip in strips) + _MARGIN), _PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return np.asarray(sheet)


def _row(pictures: Sequence[np.ndarray], texts: Sequence[str], scale: int) -> Any:
    if len(texts) not in (1, len(pictures)):
        raise ValueError(
            f"A row of {len(pictures)} pictures has {len(texts)} captions; give one, or one for each."
        )
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
