from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from shotstream.media.live import CODEC, decode_chunk, encode_chunk
from tests.media.moving import moving

av = pytest.importorskip("av")
pytestmark = pytest.mark.unit

SEQUENCE, PICTURE, INFORMATION, KEY, OTHER = 7, 8, 6, 5, 1


def units_of(data: bytes) -> list[bytes]:
    """The NAL units of an access unit in Annex B."""
    starts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    assert starts[0] == b"", "an access unit begins with a start code"
    return starts[1:]


def kinds(data: bytes) -> list[int]:
    return [unit[0] & 31 for unit in units_of(data)]


def decibels(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(got.astype(float) - wanted).mean()))


@pytest.mark.parametrize("frames", [1, 9, 12, 40])
def test_a_chunk_is_a_closed_group_of_one_unit_per_frame(frames):
    units = encode_chunk(moving(frames), 12)
    assert len(units) == frames
    assert [kind for kind in kinds(units[0]) if kind != INFORMATION] == [SEQUENCE, PICTURE, KEY]
    assert [kinds(unit) for unit in units[1:]] == [[OTHER]] * (frames - 1)


def test_there_are_no_b_frames():
    codec = av.CodecContext.create("h264", "r")
    pictures = [p for unit in encode_chunk(moving(12), 12) for p in codec.decode(av.Packet(unit))]
    pictures += codec.decode(None)
    names = [av.video.frame.PictureType(picture.pict_type).name for picture in pictures]
    assert "".join(names) == "I" + 11 * "P"


def test_every_frame_can_be_decoded_as_soon_as_its_unit_is_there():
    codec = av.CodecContext.create("h264", "r")
    codec.thread_count = 1
    assert [len(codec.decode(av.Packet(unit))) for unit in encode_chunk(moving(6), 12)] == [1] * 6


def test_the_first_unit_says_the_promised_profile_and_level():
    sequence = units_of(encode_chunk(moving(2), 12)[0])[0]
    assert f"avc1.{sequence[1:4].hex()}" == CODEC


def test_large_pictures_are_cut_into_slices():
    assert [kinds(unit).count(OTHER) for unit in encode_chunk(moving(2, 256, 64), 12)[1:]] == [4]


def test_parameter_sets_are_the_same_in_every_chunk():
    first, second = (units_of(encode_chunk(moving(n, first=n), 12)[0]) for n in (9, 40))
    assert first[:2] == second[:2]


def test_colours_survive_and_are_tagged():
    flat = np.full((4, 32, 48, 3), (200, 60, 30), np.uint8)
    units = encode_chunk(flat, 12)
    assert np.abs(decode_chunk(units).astype(int) - flat).max() <= 4
    codec = av.CodecContext.create("h264", "r")
    codec.thread_count = 1
    picture = codec.decode(av.Packet(units[0]))[0]
    assert (picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc) == (1,) * 4


def test_quality_does_not_fall_along_a_chunk():
    frames = moving(12, 64, 96)
    seen = decode_chunk(encode_chunk(frames, 12))
    quality = [decibels(seen[n], frames[n]) for n in range(12)]
    assert min(quality) > max(34, quality[0] - 1)


def test_the_beginning_of_a_chunk_is_enough_for_a_still():
    units = encode_chunk(moving(6), 12)
    assert np.array_equal(decode_chunk(units[:3]), decode_chunk(units)[:3])


def test_odd_sizes_are_padded():
    odd = moving(2)[:, :31, :63]
    seen = decode_chunk(encode_chunk(odd, 12))
    assert seen.shape == (2, 32, 64, 3)
    assert decibels(seen[:, 31, :63], odd[:, 30]) > 30


BYTES = """
import hashlib, sys
from tests.media.moving import moving
from shotstream.media.live import encode_chunk
print(hashlib.sha256(b"".join(encode_chunk(moving(5, 256, 448), 12))).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept to one core here")
def test_bytes_repeat_whatever_the_number_of_cores():
    one = f"import os\nos.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})\n{BYTES}"
    hashes = {subprocess.check_output([sys.executable, "-c", code]) for code in (BYTES, one)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("frames", "fps", "sentence"),
    [
        (moving(0), 12, "no frames"),
        (moving(1).astype(float), 12, "float64"),
        (moving(1)[0], 12, r"uint8 \[32, 64\]|\[64, 3\]"),
        (moving(1), 0, "fps is 0"),
    ],
)
def test_what_cannot_be_encoded_is_refused(frames, fps, sentence):
    with pytest.raises(ValueError, match=sentence):
        encode_chunk(frames, fps)


@pytest.mark.parametrize("spoil", [lambda units: [], lambda units: units[1:], lambda units: [b"no video"]])
def test_what_cannot_be_decoded_is_refused(spoil):
    with pytest.raises(ValueError, match="A chunk"):
        decode_chunk(spoil(encode_chunk(moving(3), 12)))
