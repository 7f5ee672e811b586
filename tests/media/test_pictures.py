from __future__ import annotations

import resource
import struct
import sys
import zlib
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from shotstream.media.pictures import decode_picture, encode_jpeg, prepare_file, prepare_image, read_picture
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


def profile_bytes(name: str) -> bytes:
    """A colour profile: red and green swapped."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes())
    red, green = (profile.index(tag, 128) for tag in (b"rXYZ", b"gXYZ"))
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    described = profile.index(b"mluc")
    return bytes(profile.replace(b"s\0R\0G\0B", b"o\0w\0n\0s")) if described else bytes(profile)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)
def test_colours_become_srgb_by_the_profile(kind, mode):
    image = image_module.new("RGB", (8, 8), (250, 10, 10)).convert(mode)
    swapped = decode_picture(saved(image, kind, icc_profile=profile_bytes("sRGB")), most_pixels=MOST)
    red, green, blue = swapped[4, 4].tolist()
    assert green > 200
    assert max(red, blue) < 60
    damaged = decode_picture(saved(image, kind, icc_profile=b"not a profile"), most_pixels=MOST)
    assert np.abs(damaged[4, 4].astype(int) - (250, 10, 10)).max() < 16


def test_it_is_said_that_transparent_parts_are_white():
    image = image_module.new("RGBA", (4, 4), (255, 0, 0, 255))
    assert prepare_file(saved(image, "PNG")).notes == []
    image.putalpha(100)
    (note,) = prepare_file(saved(image, "PNG")).notes
    assert "white" in note


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "YCbCr", "HSV", "La", "RGBa"]
)
def test_an_image_is_prepared_as_its_file_is(mode):
    if mode == "I;16":
        image = image_module.fromarray((np.asarray(picture("L")).astype(np.uint16) << 8) + 7)
    elif mode == "I":
        image = image_module.fromarray(np.asarray(picture("L")).astype(np.int32) << 8)
    elif mode in ("La", "RGBa"):
        image = picture(mode.upper()).convert(mode)
    else:
        image = picture(mode)
    before = np.asarray(image).copy()
    grey = mode in ("L", "LA", "I", "I;16", "La")
    own = mode if mode in ("1", "P") else "L" if grey else "RGB"
    wanted = np.asarray(picture(own).convert("RGB")).astype(int)
    seen = prepare_image(image).pixels
    assert np.abs(seen - wanted).mean() < 8
    assert np.array_equal(np.asarray(image), before)


def test_an_image_without_levels_is_refused():
    with pytest.raises(ValueError, match="mode F"):
        prepare_image(picture("L").convert("F"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(64, 32), (4096, 64)])
def test_every_orientation_is_obeyed_at_every_size(orientation, size):
    upright = picture("L", size)
    exif = image_module.Exif()
    exif[0x0112] = orientation
    seen = decode_picture(saved(upright, "PNG", exif=exif), most_pixels=MOST)
    scale = max(1, size[0] // 2048)
    small = np.asarray(upright.resize((size[0] // scale, size[1] // scale))).astype(int)
    turned = {1: small, 2: small[:, ::-1], 3: small[::-1, ::-1], 4: small[::-1]}
    turned |= {5: small.T, 6: small.T[:, ::-1], 7: small.T[::-1, ::-1], 8: small.T[::-1]}
    assert seen.shape[:2] == turned[orientation].shape
    assert np.abs(seen[..., 0] - turned[orientation]).mean() < 6


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG file of few bytes that takes long: every scan goes over all blocks."""

    def part(kind: int, data: bytes) -> bytes:
        return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data

    def bits(text: str) -> bytes:
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")

    blocks = ((side + 7) // 8) ** 2
    head = part(0xDB, bytes([0] + [1] * 64))
    head += part(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    head += part(0xC4, bytes([0x00, 1] + [0] * 15 + [0])) + part(0xC4, bytes([0x10, 1] + [0] * 15 + [0xE0]))
    first = part(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bits("0" * blocks)
    other = part(0xDA, bytes([1, 1, 0, 1, 63, 0])) + bits(("0" + "1" * 14) * -(-blocks // 32767))
    return b"\xff\xd8" + head + first + other * (scans - 1) + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded():
    assert decode_picture(many_scans(800, 64), most_pixels=MOST).shape == (800, 800, 3)
    with pytest.raises(ValueError, match=r"more than 64 scans.*save it"):
        decode_picture(many_scans(800, 65), most_pixels=MOST)


def test_what_stands_behind_a_jpeg_or_in_its_thumbnail_is_no_scan():
    data = saved(picture(), "JPEG", progressive=True, comment=b"\xff\xda" * 100) + b"\xff\xda" * 100
    assert decode_picture(data, most_pixels=MOST).shape == (32, 64, 3)


def test_long_and_thin_pictures_are_refused():
    with pytest.raises(ValueError, match=r"a side may have 16,384 at most"):
        decode_picture(bomb(100_000, 4), most_pixels=MOST)


def test_a_picture_is_read_from_a_path(tmp_path):
    file = tmp_path / "fox.png"
    with pytest.raises(ValueError, match=r"fox\.png cannot be read .*check its path"):
        read_picture(file)
    file.write_text("a fox")
    with pytest.raises(ValueError, match=r"fox\.png: This is not a picture"):
        read_picture(file)
    file.write_bytes(saved(picture(), "PNG"))
    assert np.array_equal(read_picture(file).pixels, np.asarray(picture()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_a_large_picture_is_given_back():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    data = saved(image_module.new("RGB", (4000, 4000), "red"), "PNG", compress_level=1)
    decode_picture(data)
    before = resident()
    decode_picture(data)
    assert resident() - before < 20e6, "one decoded copy has 48 MB"
