"""Still pictures in and out (Pillow): PNG files, JPEG for pages, and whatever people hand in."""

from __future__ import annotations

import ctypes
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shotstream.media.files import write_bytes

MOST_PIXELS = 40_000_000
"""Larger pictures are refused before they are decoded."""
_MOST_SIDE = 16_384
_MOST_BYTES = 64 * 2**20
_MOST_SCANS = (
    64  # of a JPEG file: cameras and programs write 1 to about 20, and each costs time for every pixel
)
_LARGE_PIXELS = 4_000_000
_LONGEST_SIDE = 2048
_KINDS = ("JPEG", "PNG", "WEBP")
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class PreparedPicture(NamedTuple):
    """A picture as models take it."""

    pixels: np.ndarray
    """uint8 ``[H, W, 3]``, sRGB, its longer side at most 2048 pixels."""
    notes: list[str]
    """What was changed that its owner may not expect, in sentences."""


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


def decode_picture(data: bytes, *, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Return the pixels of `prepare_file`."""
    return prepare_file(data, most_pixels=most_pixels).pixels


def read_picture(path: Path) -> PreparedPicture:
    """Read a picture that a person names; see `prepare_file`.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If there is none, or it cannot be used; the message names the file.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"The picture has more than {_MOST_BYTES >> 20} MiB; make it smaller.")
        return prepare_file(path.read_bytes())
    except OSError as error:
        raise ValueError(f"the picture {path} cannot be read ({error.strerror}); check its path") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def prepare_file(data: bytes, *, most_pixels: int = MOST_PIXELS) -> PreparedPicture:
    """Decode and prepare a picture that somebody handed in: JPEG, PNG or WebP; of an animation, frame one.

    Pixels, sides and the scans of a progressive JPEG are counted before any of it is decoded, so that a
    small file cannot take much time or memory.

    Args:
        data: The file.
        most_pixels: A larger picture is refused.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If it is no such picture, is damaged or is too large; the message is for its owner.
    """
    image = _open(data)
    _check_size(image, most_pixels)
    if image.format in ("JPEG", "MPO") and _count_scans(data) > _MOST_SCANS:
        raise ValueError(
            f"The picture is a JPEG of more than {_MOST_SCANS} scans, which take too long to decode; save it "
            "again and try that file."
        )
    large = image.width * image.height > _LARGE_PIXELS
    try:
        image.draft(None, (_LONGEST_SIDE, _LONGEST_SIDE))  # a JPEG is decoded no larger than it is needed
        return prepare_image(image)
    except Exception as error:  # decoders meet damage with errors of many kinds
        raise ValueError("The picture is damaged or incomplete; save it again and try that file.") from error
    finally:
        image.close()
        if large:
            _give_back_memory()


def prepare_image(image: Any) -> PreparedPicture:
    """Prepare a PIL image of any mode.

    It is turned as its EXIF orientation says, its colours become sRGB by its colour profile, 16 bits become
    8, what is transparent becomes white, and it is made smaller if a side has more than 2048 pixels.

    Args:
        image: The image; it stays as it is.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If its numbers are not levels of colours (mode F).
    """
    from PIL import ImageOps

    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(_no_larger(_eight_bits(image)))
    notes: list[str] = []
    alpha = None
    if image.has_transparency_data:
        image = _with_alpha(image)
        alpha = image.getchannel("A")
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
        if alpha.getextrema()[0] < 255:
            notes.append("The picture is transparent in places; they are white now.")
    image = _in_srgb(image, profile)
    if alpha is not None:
        paper = pillow().new("RGB", image.size, "white")
        paper.paste(image, mask=alpha)
        image = paper
    return PreparedPicture(np.array(image), notes)


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


def _check_size(image: Any, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        raise ValueError(
            f"The picture has {width} x {height} pixels, but it may have {most_pixels:,} in all; "
            "make it smaller and try again."
        )
    if max(width, height) > _MOST_SIDE:
        raise ValueError(
            f"The picture has {width} x {height} pixels, but a side may have {_MOST_SIDE:,} at most; "
            "cut it and try again."
        )


def _count_scans(data: bytes) -> int:
    """Number of scans of a JPEG file; one too many at most."""
    scans, place = 0, 2
    while scans <= _MOST_SCANS and (marker := _MARKER.search(data, place)):
        kind, place = marker[1][0], marker.end()
        if kind == _END_OF_IMAGE:
            break
        scans += kind == _START_OF_SCAN
        place += int.from_bytes(data[place : place + 2])
    return scans


def _eight_bits(image: Any) -> Any:
    """The image with 8 bits a channel."""
    if image.mode == "F":
        raise ValueError("a picture of mode F has no known range; convert it to L or RGB first")
    if image.mode.startswith("I"):  # 16 bits of grey
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255)
        return pillow().fromarray(grey.astype(np.uint8))
    return image


def _no_larger(image: Any) -> Any:
    """The image, made smaller if a side has more than 2048 pixels; done first, as copies take memory."""
    scale = _LONGEST_SIDE / max(image.size)
    if scale >= 1:
        return image
    if image.mode in ("1", "P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, pillow().Resampling.BICUBIC, reducing_gap=2.0)


def _with_alpha(image: Any) -> Any:
    """The image as RGBA, or as LA if it is grey."""
    if image.mode in ("LA", "La"):
        return image.convert("LA")
    return image.convert("RGBA")


def _in_srgb(image: Any, profile: bytes | None) -> Any:
    """The image in RGB, by its colour profile if that is there, can be read and fits the image."""
    from PIL import ImageCms

    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if not profile:
        return image.convert("RGB")
    try:
        own: Any = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = own.profile.xcolor_space.strip()
        named = ImageCms.getProfileDescription(own)
        if _SPACES[image.mode] != space or "sRGB" in named:
            return image.convert("RGB")
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, own, srgb, outputMode="RGB") or image.convert("RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")


_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def _give_back_memory() -> None:
    """Hand freed memory back to the system where the allocator keeps it (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
