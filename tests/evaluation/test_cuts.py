"""Cuts found in films whose cuts are known, and matched to those asked for."""

import sys
from itertools import combinations, permutations

import numpy as np
import pytest

from shotstream.evaluation.cuts import CutMatch, detect_cuts, match_cuts
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

pytestmark = pytest.mark.unit


def panning(seed, frames, height=64, width=96):
    """Plain tiles of 8x8 pixels in random colours, moving two pixels a frame."""
    colours = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 4, 3), dtype=np.uint8)
    wall = colours.repeat(8, axis=0).repeat(8, axis=1)  # [H, 2W, 3]
    return np.stack([wall[:, 2 * t : 2 * t + width] for t in range(frames)])


def test_cuts_are_found_at_their_frame():
    film = np.concatenate([panning(seed, frames) for seed, frames in enumerate([13, 21, 33, 13])])
    assert detect_cuts(film, fps=12) == [13, 34, 67]


@pytest.mark.parametrize("size", [(32, 48), (120, 208)])
def test_the_size_of_the_picture_does_not_matter(size):
    film = np.concatenate([panning(seed, 13, *size) for seed in range(2)])
    assert detect_cuts(film, fps=16) == [13]


def test_a_pan_is_no_cut():
    assert detect_cuts(panning(0, 40), fps=12) == []


def test_cuts_of_a_drawn_story_stay_in_one_place_and_are_found():
    story = sample_story(0, shots=3, frames=13)
    film = np.concatenate([draw_shot(story, shot, height=64, width=96) for shot in range(3)])
    assert detect_cuts(film, fps=12) == [13, 26]


def test_shots_can_be_too_short_to_count():
    film = np.concatenate([panning(seed, frames) for seed, frames in enumerate([13, 8, 13])])
    assert detect_cuts(film, fps=12) == [13, 21]
    assert detect_cuts(film, fps=12, min_shot_frames=9) == [13]
    assert detect_cuts(film[:3], fps=12) == []


def test_only_pictures_can_be_cut():
    with pytest.raises(ValueError, match=r"these are float32 \[4, 8, 8, 3\]"):
        detect_cuts(np.zeros((4, 8, 8, 3), np.float32), fps=12)
    with pytest.raises(ValueError, match="0 frames are too few"):
        detect_cuts(np.zeros((0, 8, 8, 3), np.uint8), fps=12)


def test_a_missing_detector_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(ImportError, match=r'pip install "shotstream\[evaluate\]"'):
        detect_cuts(panning(0, 6), fps=12)


def matched(asked, detected, tolerance=8, penalty=20):
    return match_cuts(asked, detected, tolerance_frames=tolerance, penalty_frames=penalty)


def test_matching_by_hand():
    assert matched([10, 20], [20, 11]) == CutMatch(offset_frames=1, missing=0, extra=0)  # 10-11 and 20-20
    assert matched([10, 20], [40]) == CutMatch(0, missing=2, extra=1)
    assert matched([], [3, 4]) == CutMatch(0, 0, extra=2)
    assert matched([10], [18, 19]) == CutMatch(8, 0, extra=1)
    # the nearest pair 20-16 taken first would leave 10 and 27 over; the cheapest is 10-16 and 20-27
    assert matched([10, 20], [16, 27]) == CutMatch(13, 0, 0)
    # where a match costs more than two penalties, none is better
    assert matched([10], [17], penalty=3) == CutMatch(0, 1, 1)


def cheapest(asked, detected, tolerance, penalty):
    """Cost of the best of all one-to-one matchings, tried one after the other."""
    costs = []
    for count in range(min(len(asked), len(detected)) + 1):
        for left in combinations(asked, count):
            for right in permutations(detected, count):
                offsets = [abs(one - other) for one, other in zip(left, right, strict=True)]
                if all(offset <= tolerance for offset in offsets):
                    costs.append(sum(offsets) + penalty * (len(asked) + len(detected) - 2 * count))
    return min(costs)


def test_no_matching_is_cheaper():
    random = np.random.default_rng(0)
    for _ in range(60):
        asked, detected = (random.integers(1, 40, random.integers(0, 5)).tolist() for _ in range(2))
        tolerance, penalty = random.integers(1, 15, 2).tolist()
        best = matched(asked, detected, tolerance, penalty).cost(penalty)
        assert best == cheapest(asked, detected, tolerance, penalty)
