"""Films of every kind: turned, ten bits deep, of varying rate, odd sizes, broken."""

from fractions import Fraction

import numpy as np
import pytest

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.decode import FilmError, frames_of, grid_frames, picture_of, probe, read_shot
from shotstream.data.films.encode import fit
from shotstream.data.films.scan import scan

from .drawn_films import draw, encode, write_exactly

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def frames():
    return np.concatenate(draw(0, (12, 12)))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_any_codec(tmp_path, frames, name, codec, pixel_format):
    encode(tmp_path / name, frames, codec, pixel_format)
    facts = probe(tmp_path / name)
    assert (facts.height, facts.width, facts.pixel_format) == (96, 144, pixel_format)
    read = read_shot(tmp_path / name, 0, 2, 12, {0, 12, 23})
    for number, picture in read.items():
        assert np.abs(picture.astype(int) - frames[number]).mean() < 8
    assert scan(tmp_path / name)[1].cuts.tolist() == [12]


def test_varying_rate_keeps_its_pace(tmp_path, frames):
    times = np.cumsum(np.where(np.arange(24) % 3 == 0, 0.2, 0.05))
    encode(tmp_path / "a.mkv", frames, "libx264rgb", "rgb24", times)
    seen = scan(tmp_path / "a.mkv")[1]
    np.testing.assert_allclose(seen.seconds - seen.seconds[0], times - times[0], atol=2e-3)
    start, end = seen.time_of(0), seen.end
    count = grid_frames(start, end, 10)
    read = read_shot(tmp_path / "a.mkv", start, end, 10, set(range(count)))
    assert len(read) == count
    for number, picture in read.items():
        shown = np.searchsorted(times - times[0], number / 10 + 0.01, side="right") - 1
        assert np.array_equal(picture, frames[shown]), number


def test_odd_sizes_and_wide_pixels(tmp_path):
    odd = np.concatenate(draw(0, (8,), height=97, width=143))
    write_exactly(tmp_path / "a.mp4", odd)
    assert (probe(tmp_path / "a.mp4").height, probe(tmp_path / "a.mp4").width) == (97, 143)
    assert np.array_equal(read_shot(tmp_path / "a.mp4", 0, 1, 12, {3})[3], odd[3])
    write_exactly(tmp_path / "wide.mp4", odd, sample_aspect_ratio=Fraction(2))
    assert probe(tmp_path / "wide.mp4").width == 286


@pytest.mark.parametrize(("turns", "degrees"), [(1, 90), (2, 180), (3, -90)])
def test_turned_films_stand_upright(frames, turns, degrees):
    """A frame that is to be turned by so many degrees against the clock."""

    class Turned:
        rotation = degrees

        def to_ndarray(self, **_):
            return frames[0]

    upright = picture_of(Turned(), *np.rot90(frames[0], turns).shape[:2])
    assert np.array_equal(upright, np.rot90(frames[0], turns))


def test_what_is_no_film_is_refused_and_a_torn_one_read_to_the_tear(tmp_path, frames):
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(FilmError, match="cannot be read as a video"):
        probe(tmp_path / "text.mp4")
    encode(tmp_path / "whole.mkv", frames, "libx264", "yuv420p")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(content[: len(content) * 2 // 3])
    assert 0 < len(list(frames_of(tmp_path / "torn.mkv"))) < 24


def test_pictures_cover_the_model_s_and_lose_their_bars():
    made = ClipFormat(height=32, width=48, fps=12, shot_frames=33, chunk_frames=3, context_frames=6)
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    assert fit(picture, (0, 0, 0, 0), made) is not picture
    assert np.array_equal(fit(picture, (0, 0, 0, 0), made), picture)
    barred = np.pad(picture, ((8, 8), (0, 0), (0, 0)))
    assert np.array_equal(fit(barred, (8 / 48, 8 / 48, 0, 0), made), picture)
    for size in ((50, 48), (32, 99), (7, 11), (301, 203)):
        other = np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)
        assert fit(other, (0, 0, 0, 0), made).shape == (32, 48, 3)


def test_clips_are_whole_chunks():
    made = ClipFormat(height=32, width=48, fps=12, shot_frames=81, chunk_frames=3, context_frames=6)
    assert [made.latent_frames(n) for n in (8, 9, 16, 20, 21, 80, 81, 500)] == [0, 3, 3, 3, 6, 18, 21, 21]
    assert [made.clip_frames(n) for n in (8, 9, 20, 21, 500)] == [0, 9, 9, 21, 81]
    assert made.least_frames == 9
