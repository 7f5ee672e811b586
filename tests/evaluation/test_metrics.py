"""The paper's metrics against numbers worked out by hand."""

import math

import pytest
import torch

from shotstream.evaluation.metrics import (
    aesthetic,
    dynamic_degree,
    inter_shot_consistency,
    intra_shot_consistency,
    key_frames,
    mean_with_interval,
    text_alignment,
    transition_control,
)

pytestmark = pytest.mark.unit

EAST, NORTH, WEST = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)
SLANT = (3.0, 4.0)  # cosine 0.6 to the east, 0.8 to the north; not of length 1


def features(*rows):
    return torch.tensor(rows)


def test_intra_shot_compares_with_the_first_and_the_previous_frame():
    shot = features(EAST, SLANT, NORTH)
    # frame 1: first 0.6, previous 0.6 -> 0.6; frame 2: first 0, previous 0.8 -> 0.4; their mean 0.5
    assert intra_shot_consistency([shot]) == pytest.approx(0.5)
    # the second shot stands still: mean of 0.5 and 1, not weighted by its 5 frames
    assert intra_shot_consistency([shot, features(*[EAST] * 5)]) == pytest.approx(0.75)


def test_intra_shot_counts_opposite_frames_as_nothing():
    assert intra_shot_consistency([features(EAST, WEST)]) == 0.0
    # frame 2: first 1, previous -1 -> 0, so 0.5; frame 1: 0
    assert intra_shot_consistency([features(EAST, WEST, EAST)]) == pytest.approx(0.25)


def test_intra_shot_passes_over_shots_of_one_frame():
    assert intra_shot_consistency([features(NORTH), features(EAST, SLANT)]) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="no shot has two frames"):
        intra_shot_consistency([features(NORTH)])


def test_inter_shot_is_the_mean_over_key_frames_and_pairs_of_shots():
    still, turning = features(EAST, EAST, EAST), features(EAST, SLANT, NORTH)
    # rows of `still` are alike, so a third of 1 + 0.6 + 0
    assert inter_shot_consistency([still, turning]) == pytest.approx(1.6 / 3)
    # three pairs of shots: 1.6/3, and each against the north: 0 and (0 + 0.8 + 1)/3
    north = features(NORTH)
    assert inter_shot_consistency([still, turning, north]) == pytest.approx((1.6 / 3 + 0 + 1.8 / 3) / 3)
    assert inter_shot_consistency([features(EAST), features(WEST)]) == pytest.approx(-1)


def test_inter_shot_looks_at_key_frames_only_and_takes_them_alone():
    assert [key_frames(count) for count in (1, 2, 4, 5)] == [(0, 0, 0), (0, 1, 1), (0, 2, 3), (0, 2, 4)]
    whole = features(EAST, WEST, SLANT, WEST, NORTH)  # its key frames are east, slant, north
    other = features(SLANT)
    # against the slant: 0.6, 1, 0.8
    assert inter_shot_consistency([whole, other]) == pytest.approx(2.4 / 3)
    assert inter_shot_consistency([whole[[0, 2, 4]], other]) == pytest.approx(2.4 / 3)


def test_inter_shot_needs_two_shots():
    with pytest.raises(ValueError, match="the story has 1; give at least 2"):
        inter_shot_consistency([features(EAST, NORTH)])


@pytest.mark.parametrize("damaged", [torch.full((2, 2), torch.nan), torch.empty(0, 2), torch.ones(2)])
def test_features_that_are_none_are_refused(damaged):
    with pytest.raises(ValueError, match="features must be finite numbers"):
        inter_shot_consistency([damaged, features(EAST)])


def test_text_alignment_is_the_cosine_of_each_shot_to_its_own_caption():
    shots = [features(SLANT), features((5.0, 0.0), NORTH)]
    # the second shot's mean of east and north lies at 45 degrees, whatever the length of its features
    assert text_alignment(shots, features(EAST, NORTH)) == pytest.approx((0.6 + math.sqrt(0.5)) / 2)
    assert text_alignment(shots, features(NORTH, WEST)) == pytest.approx((0.8 - math.sqrt(0.5)) / 2)
    with pytest.raises(ValueError, match="there are 2 and 1"):
        text_alignment(shots, features(EAST))
    with pytest.raises(ValueError, match="there are 0 and 0"):
        text_alignment([], torch.empty(0, 2))


def test_transition_control_by_hand():
    asked, total = [21, 42, 63, 84], 105  # 5 shots of 21 frames
    assert transition_control(asked, asked, total) == 1.0
    assert transition_control(asked, [22, 42, 60, 84], total) == pytest.approx(math.exp(-4 / 105))
    assert transition_control(asked, [21, 63, 84], total) == pytest.approx(math.exp(-1 / 5))  # one missing
    assert transition_control(asked, [21, 32, 42, 63, 84], total) == pytest.approx(math.exp(-1 / 5))  # extra
    # 10 frames off is within half a shot, 11 is not: one missing and one extra
    assert transition_control(asked, [31, 42, 63, 84], total) == pytest.approx(math.exp(-10 / 105))
    assert transition_control(asked, [10, 42, 63, 84], total) == pytest.approx(math.exp(-42 / 105))


def test_transition_control_takes_tolerance_and_penalty():
    score = transition_control([20], [25, 30], 40, tolerance_frames=4, penalty_frames=7)
    assert score == pytest.approx(math.exp(-3 * 7 / 40))
    score = transition_control([20], [25, 30], 40, tolerance_frames=5, penalty_frames=7)
    assert score == pytest.approx(math.exp(-(5 + 7) / 40))


def test_transition_control_without_cuts():
    assert transition_control([], [], 33) == 1.0
    assert transition_control([], [10], 33) == pytest.approx(math.exp(-1))
    assert transition_control([10, 20], [], 30) == pytest.approx(math.exp(-2 / 3))


@pytest.mark.parametrize(("asked", "detected"), [([0], []), ([10], [33]), ([40], [10])])
def test_transition_control_refuses_cuts_outside_the_film(asked, detected):
    with pytest.raises(ValueError, match="outside a film of 33 frames"):
        transition_control(asked, detected, 33)


def test_aesthetic_gives_every_shot_the_same_weight():
    assert aesthetic([torch.tensor([0.2, 0.4]), torch.tensor([0.9])]) == pytest.approx((0.3 + 0.9) / 2)
    for nothing in ([], [torch.empty(0)]):
        with pytest.raises(ValueError, match="nothing to average"):
            aesthetic(nothing)


def test_dynamic_degree_is_the_share_of_shots_above_the_threshold():
    assert dynamic_degree([0.1, 0.5, 0.51, 2.0], threshold=0.5) == 0.5
    assert dynamic_degree([0.187, 0.188]) == 0.5  # VBench's 6 / 256 * 8 = 0.1875 lies between
    with pytest.raises(ValueError, match="no shots"):
        dynamic_degree([])


def test_the_interval_holds_the_mean_and_narrows_with_more_values():
    few, many = mean_with_interval([0.0, 1.0] * 4), mean_with_interval([0.0, 1.0] * 100)
    assert few.mean == many.mean == 0.5
    # of 200 throws of a coin the mean has standard deviation 0.5 / sqrt(200) = 0.0354; 1.96 of it is 0.069
    assert many.low == pytest.approx(0.5 - 0.069, abs=0.01)
    assert many.high == pytest.approx(0.5 + 0.069, abs=0.01)
    assert few.low < many.low < many.high < few.high


def test_the_interval_is_a_function_of_values_and_seed():
    values = [0.1, 0.2, 0.4, 0.8, 0.9, 0.95]
    assert mean_with_interval(values, seed=3) == mean_with_interval(values, seed=3)
    assert mean_with_interval(values, seed=3, resamples=50) != mean_with_interval(values, 4, resamples=50)
    assert mean_with_interval([0.7, 0.7]) == pytest.approx((0.7, 0.7, 0.7))


@pytest.mark.parametrize("values", [[], [0.5], [0.5, math.nan]])
def test_an_interval_needs_two_finite_values(values):
    with pytest.raises(ValueError, match="needs 2 finite values"):
        mean_with_interval(values)
