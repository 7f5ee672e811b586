import numpy as np
import pytest

from shotstream.evaluation.crispness import chunk_jump, edge_energy, sharpness
from shotstream.evaluation.judged_film import drawn
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit


def blurred(frames):
    wide = np.stack([np.roll(frames.astype(float), shift, axis=2) for shift in (-2, -1, 0, 1, 2)]).mean(0)
    return wide.round().astype(np.uint8)


def test_drawings_are_as_sharp_as_drawings_and_blur_is_less():
    film = drawn(sample_story(7, split="held-out", shots=2, frames=5), height=64, width=96)
    assert sharpness(film) == 1
    film.shots[:] = [blurred(shot) for shot in film.shots]
    assert sharpness(film) < 0.85


def test_edge_energy_counts_both_directions():
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    frames[:, :, 2:] = 30  # one step of 30 in three differences across, none down
    assert edge_energy(frames) == pytest.approx(10)
    assert edge_energy(frames.swapaxes(1, 2)) == pytest.approx(10)


def test_a_film_of_another_world_has_no_sharpness():
    film = drawn(sample_story(7, shots=1, frames=5))
    film.attributes["shots"][0]["prompt"] = "Told otherwise."
    assert sharpness(film) is None


def test_a_jump_where_a_chunk_begins_is_seen():
    steps = np.array([1, 1, 1, 5, 1, 1])  # between seven frames; the second chunk begins with frame 4
    shot = np.broadcast_to(np.cumsum([0, *steps])[:, None, None, None], (7, 4, 4, 3)).astype(np.uint8)
    assert chunk_jump([shot], [[0, 4]]) == pytest.approx(5)
    assert chunk_jump([shot], [[0]]) is None
    assert chunk_jump([shot[:1]], [[0]]) is None
