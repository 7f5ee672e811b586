from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest

from shotstream.media.pictures import decode_picture, encode_jpeg
from tests.media.moving import moving

image_module = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.unit

MOST = 10_000_000


def saved(image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 32)):
    return image_module.fromarray(moving(1)[0]).convert(mode).resize(size)


def test_jpeg_keeps_the_picture():
    seen = decode_picture(encode_jpeg(moving(1)[0], quality=95), most_pixels=MOST)
    assert np.abs(seen.astype(int) - moving(1)[0]).mean() < 3
    assert len(encode_jpeg(moving(1)[0], quality=30)) < len(encode_jpeg(moving(1)[0], quality=95))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_kinds_that_are_taken(kind, mode):
    seen = decode_picture(saved(picture(mode), kind), most_pixels=MOST)
    wanted = np.asarray(picture(mode).convert("RGB"))
    assert (seen.dtype, seen.shape) == (np.uint8, (32, 64, 3))
    assert np.abs(seen.astype(int) - wanted).mean() < 6


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"), ("RGBA", "WEBP")])
def test_other_modes_become_colours(mode, kind):
    wanted = np.asarray(picture(mode).convert("RGB")).astype(int)
    seen = decode_picture(saved(picture(mode), kind), most_pixels=MOST)
    assert np.abs(seen - wanted).mean() < 8


def test_sixteen_bits_of_grey_become_eight():
    grey = np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)
    seen = decode_picture(saved(image_module.fromarray(grey), "PNG"), most_pixels=MOST)
    assert np.array_equal(seen[..., 0], grey >> 8)


def test_what_is_transparent_is_white():
    image = image_module.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 2, 4))
    seen = decode_picture(saved(image, "PNG"), most_pixels=MOST)
    assert seen[0, 0].tolist() == [0, 0, 255]
    assert seen[0, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_camera_was_held_upright(kind):
    exif = image_module.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    seen = decode_picture(saved(picture(), kind, exif=exif), most_pixels=MOST)
    wanted = np.rot90(np.asarray(picture()), k=-1).astype(int)
    assert seen.shape == (64, 32, 3)
    assert np.abs(seen - wanted).mean() < 6


def test_large_pictures_are_made_smaller():
    seen = decode_picture(saved(image_module.new("RGB", (4096, 1024), "red"), "PNG"), most_pixels=MOST)
    assert seen.shape == (512, 2048, 3)
    assert seen[100, 100].tolist() == [255, 0, 0]


def test_of_an_animation_the_first_frame_is_taken():
    frames = [image_module.new("RGB", (16, 16), colour) for colour in ("lime", "red")]
    for kind in ("PNG", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert decode_picture(data, most_pixels=MOST)[8, 8].tolist() == [0, 255, 0]


def bomb(width: int, height: int) -> bytes:
    """A small PNG file that says it is large; what stands for its pixels is nothing but noise."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", b"noise") + part(b"IEND", b"")


@pytest.mark.parametrize("side", [4000, 100_000])
def test_too_large_a_picture_is_refused_before_it_is_decoded(side):
    with pytest.raises(ValueError, match=r"pixels.*make it smaller"):
        decode_picture(bomb(side, side), most_pixels=MOST)


def test_a_picture_at_the_limit_is_taken():
    data = saved(picture(), "PNG")
    assert decode_picture(data, most_pixels=64 * 32).shape == (32, 64, 3)
    with pytest.raises(ValueError, match="64 x 32 pixels, but it may have 2,047"):
        decode_picture(data, most_pixels=64 * 32 - 1)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(ValueError, match="give a JPEG, PNG or WebP"):
        decode_picture(data, most_pixels=MOST)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PDF"])
def test_other_kinds_are_refused(kind):
    with pytest.raises(ValueError, match="give a JPEG, PNG or WebP"):
        decode_picture(saved(picture(), kind), most_pixels=MOST)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_half_a_picture_is_refused(kind):
    data = saved(picture(size=(256, 256)), kind)
    with pytest.raises(ValueError, match=r"damaged|not a picture"):
        decode_picture(data[: len(data) // 2], most_pixels=MOST)
    with pytest.raises(ValueError, match="damaged"):
        decode_picture(bomb(8, 8), most_pixels=MOST)


@contextmanager
def or_a_sentence():
    """Let a refusal pass, but no other error."""
    try:
        yield
    except ValueError as error:
        if not str(error).endswith(("again.", "file.")):
            raise


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_spoilt_pictures_are_decoded_or_refused_with_a_sentence(kind):
    data = saved(picture(), kind)
    random = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(data)
        for at in random.integers(0, len(data), 3):
            spoilt[at] = random.integers(0, 256)
        with or_a_sentence():
            seen = decode_picture(bytes(spoilt), most_pixels=MOST)
            assert (seen.dtype, seen.shape[2]) == (np.uint8, 3)
