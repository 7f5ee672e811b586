from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest

from shotstream.media.files import MediaError
from shotstream.media.films import FragmentedFilm, remux
from shotstream.media.live import decode_chunk, encode_chunk
from tests.media.moving import moving

av = pytest.importorskip("av")
pytestmark = pytest.mark.unit

LENGTHS = (9, 12, 1, 12)
RATES = [12, 16, 7.5, 24000 / 1001]


def chunks(fps: float = 12) -> list[list[bytes]]:
    return [encode_chunk(moving(frames, first=10 * n), fps) for n, frames in enumerate(LENGTHS)]


def times(film) -> list[Fraction]:
    with av.open(film) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [packet.pts * packet.time_base for packet in packets]


def pictures(film) -> np.ndarray:
    with av.open(film) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def boxes(data: bytes) -> list[str]:
    names, start = [], 0
    while start < len(data):
        names.append(data[start + 4 : start + 8].decode())
        start += int.from_bytes(data[start : start + 4], "big")
    return names


def test_a_film_has_the_frames_of_its_chunks_bit_for_bit(tmp_path):
    made = chunks()
    assert remux(iter(made), 12, tmp_path / "film.mp4") == sum(LENGTHS)
    wanted = np.concatenate([decode_chunk(units) for units in made])
    assert np.array_equal(pictures(str(tmp_path / "film.mp4")), wanted)
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("fps", RATES)
def test_every_frame_of_a_film_has_its_time(tmp_path, fps):
    remux(chunks(fps), fps, tmp_path / "film.mp4")
    rate = Fraction(fps).limit_denominator(1001)
    assert times(str(tmp_path / "film.mp4")) == [n / rate for n in range(sum(LENGTHS))]
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames) == (rate, sum(LENGTHS))
        assert stream.duration * stream.time_base == sum(LENGTHS) / rate


def test_a_film_can_be_entered_at_every_chunk(tmp_path):
    remux(chunks(), 12, tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 9, 21, 22]


def test_a_film_plays_while_it_is_loaded(tmp_path):
    remux(chunks(), 12, tmp_path / "film.mp4")
    order = boxes((tmp_path / "film.mp4").read_bytes())
    assert order.index("moov") < order.index("mdat")


@pytest.mark.parametrize("nothing", [[], [[]], [[b"no video"]]])
def test_no_film_without_pictures(tmp_path, nothing):
    with pytest.raises(ValueError, match="film"):
        remux(nothing, 12, tmp_path / "film.mp4")
    with pytest.raises(ValueError, match="film"):
        FragmentedFilm(12).add(nothing[0] if nothing else [])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gives_one_sentence_and_leaves_nothing(small_disk):
    noise = np.random.default_rng(0).integers(0, 256, (20, 128, 128, 3), dtype=np.uint8)
    with pytest.raises(MediaError, match=r"film\.mp4: the disk is full; free some space"):
        remux([encode_chunk(noise, 12)], 12, small_disk / "film.mp4")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("fps", RATES)
def test_fragments_are_one_film_together(fps):
    made = chunks(fps)
    film = FragmentedFilm(fps)
    data = BytesIO(b"".join(film.add(units) for units in made))
    rate = Fraction(fps).limit_denominator(1001)
    assert times(data) == [n / rate for n in range(sum(LENGTHS))]
    data.seek(0)
    assert np.array_equal(pictures(data), np.concatenate([decode_chunk(units) for units in made]))


def test_every_chunk_is_sent_whole_and_at_once():
    film = FragmentedFilm(12)
    sent = [film.add(units) for units in chunks()]
    assert [boxes(data) for data in sent] == [["ftyp", "moov", "moof", "mdat"]] + [["moof", "mdat"]] * 3
    for units, data in zip(chunks(), sent, strict=True):
        assert all(unit.split(b"\0\0\1")[-1] in data for unit in units)


def test_fragments_are_numbered():
    film = FragmentedFilm(12)
    sent = [film.add(units) for units in chunks()]
    numbers = [data[data.index(b"mfhd") + 8 :][:4] for data in sent]
    assert [int.from_bytes(number, "big") for number in numbers] == [1, 2, 3, 4]


def test_a_viewer_can_come_in_at_any_chunk():
    film = FragmentedFilm(12, first_frame=21)
    data = BytesIO(b"".join(film.add(units) for units in chunks()[2:]))
    assert times(data) == [Fraction(n, 12) for n in range(21, 34)]


def test_a_refused_chunk_leaves_the_film_as_it_was():
    film = FragmentedFilm(12)
    with pytest.raises(ValueError, match="no frame"):
        film.add([])
    assert film.add(chunks()[0]) == FragmentedFilm(12).add(chunks()[0])
