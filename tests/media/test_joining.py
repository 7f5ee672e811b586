from __future__ import annotations

import numpy as np
import pytest

from shotstream.media.joining import join_films
from shotstream.media.video import read_video, write_video

av = pytest.importorskip("av")
pytestmark = pytest.mark.unit


def moving(count: int, seed: int) -> np.ndarray:
    """Frames that no encoder can leave out."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("fps", [12, 16, 24000 / 1001, 7.5])
def test_the_pictures_and_the_time_between_them_stay(tmp_path, fps):
    films = [tmp_path / f"{number}.mp4" for number in range(4)]
    for number, (film, count) in enumerate(zip(films, (9, 1, 40, 300), strict=True)):
        write_video(film, moving(count, number), fps)
    join_films(films, tmp_path / "story.mp4")
    joined, rate = read_video(tmp_path / "story.mp4")
    assert rate == pytest.approx(fps, abs=1e-3)
    assert np.array_equal(joined, np.concatenate([read_video(film)[0] for film in films]))
    with av.open(str(tmp_path / "story.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(350) / fps, atol=1e-3)


def test_the_same_films_give_the_same_bytes(tmp_path):
    write_video(tmp_path / "a.mp4", moving(20, 0), 12)
    for name in ("one", "two"):
        join_films([tmp_path / "a.mp4"] * 2, tmp_path / f"{name}.mp4")
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_no_films_are_no_film(tmp_path):
    with pytest.raises(ValueError, match="No films"):
        join_films([], tmp_path / "story.mp4")
    with pytest.raises(OSError, match="Could not write"):
        join_films([tmp_path / "nowhere.mp4"], tmp_path / "story.mp4")
    assert list(tmp_path.iterdir()) == []
