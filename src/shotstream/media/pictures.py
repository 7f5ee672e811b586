"""Still pictures in and out (Pillow): PNG files, JPEG for pages, and whatever strangers hand in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.files import write_bytes

_LONGEST_SIDE = 2048
_KINDS = ("JPEG", "PNG", "WEBP")


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture, ``uint8 [H, W, 3]``, as a PNG file, whole or not at all.

    Raises:
        ImportError: If Pillow is not installed.
        MediaError: If the file cannot be written.
    """
    write_bytes(path, encode_png(picture))


def encode_png(picture: np.ndarray) -> bytes:
    """Encode a picture, ``uint8 [H, W, 3]``, as PNG.

    Raises:
        ImportError: If Pillow is not installed.
    """
    file = BytesIO()
    pillow().fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def read_png(path: Path) -> np.ndarray:
    """Read a picture that `write_png` has written, ``uint8 [H, W, 3]``.

    Raises:
        ImportError: If Pillow is not installed.
        OSError: If there is none, or it is damaged.
    """
    try:
        with pillow().open(path) as image:
            return np.array(image.convert("RGB"))
    except (SyntaxError, ValueError) as damage:  # Pillow's words for some kinds of it
        raise OSError(f"{path} is damaged: {damage}") from damage


def encode_jpeg(frame: np.ndarray, quality: int = 85) -> bytes:
    """Encode a frame, ``uint8 [H, W, 3]``, as JPEG.

    Args:
        frame: The picture.
        quality: 1 (smallest) to 95 (best).

    Raises:
        ImportError: If Pillow is not installed.
    """
    file = BytesIO()
    pillow().fromarray(np.ascontiguousarray(frame)).save(file, format="JPEG", quality=quality)
    return file.getvalue()


def decode_picture(data: bytes, *, most_pixels: int) -> np.ndarray:
    """Decode a picture that a stranger handed in: JPEG, PNG or WebP, of an animation the first frame.

    It is turned as its EXIF orientation says, laid on white where it is transparent, and made smaller when
    its longer side has more than 2048 pixels.

    Args:
        data: The file.
        most_pixels: A larger picture is refused before any of it is decoded.

    Returns:
        The picture, ``uint8 [H, W, 3]``.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If it is no such picture, is damaged or is too large; the message is for the stranger.
    """
    image = _open(data)
    if image.width * image.height > most_pixels:
        raise ValueError(
            f"The picture has {image.width} x {image.height} pixels, but it may have {most_pixels:,} in all; "
            "make it smaller and try again."
        )
    try:
        return _decoded(image)
    except Exception as error:  # decoders meet damage with errors of many kinds
        raise ValueError("The picture is damaged or incomplete; save it again and try that file.") from error


def pillow() -> Any:
    """Pillow's ``Image`` module, imported when it is first needed.

    Raises:
        ImportError: If it is not installed; the message is the line that installs it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Pictures need Pillow: pip install "shotstream[video]"') from error
    return Image


def _open(data: bytes) -> Any:
    """Read what the file says of itself, without decoding it."""
    image_module = pillow()
    try:
        return image_module.open(BytesIO(data), formats=_KINDS)
    except image_module.DecompressionBombError as error:
        raise ValueError("The picture has far too many pixels; make it smaller and try again.") from error
    except Exception as error:  # as above
        raise ValueError("This is not a picture that can be read; give a JPEG, PNG or WebP file.") from error


def _decoded(image: Any) -> np.ndarray:
    from PIL import ImageOps

    image = _in_colour(ImageOps.exif_transpose(image))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.array(image)


def _in_colour(image: Any) -> Any:
    if image.mode.startswith("I"):  # 16 bits of grey
        grey = np.asarray(image).astype(np.uint32) >> 8
        return pillow().fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        paper = pillow().new("RGBA", image.size, "white")
        image = pillow().alpha_composite(paper, image.convert("RGBA"))
    return image.convert("RGB")
