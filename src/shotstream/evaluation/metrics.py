"""The paper's metrics, as functions of features, scores and cuts.

Legend: T frames of one shot, D width of a feature, S shots of one story. Features need not be normalised.
Every function judges one story; `mean_with_interval` sums up many.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from shotstream.evaluation.cuts import match_cuts
from shotstream.evaluation.dynamics import DYNAMIC_SPEED


def intra_shot_consistency(shots: Sequence[Tensor]) -> float:
    """How alike the frames of a shot are (paper: intra-shot subject and background consistency).

    Frame t >= 1 scores the mean of its cosines to frame 0 and to frame t - 1, a negative cosine counting as 0
    (so far VBench); a shot scores the mean of its frames t >= 1, a story the mean of its shots. A shot of one
    frame has nothing to compare and does not count.

    Args:
        shots: Features of all frames of every shot, [T, D] each: DINO's for the subject, CLIP's for the
            background.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: If no shot has two frames, or a feature is not finite.
    """
    scores = [_frame_consistency(_unit(shot)).mean() for shot in shots if len(shot) > 1]
    if not scores:
        raise ValueError("no shot has two frames to compare; give the features of all frames of a shot.")
    return torch.stack(scores).mean().item()


def inter_shot_consistency(shots: Sequence[Tensor]) -> float:
    """How alike the shots of a story are (paper: inter-shot semantic, subject and background consistency).

    The score of two shots is the mean of the 9 cosines between first, middle and last frame of the one and
    those of the other; a story scores the mean over all pairs of its shots. What is compared is up to the
    features: of whole pictures, of subjects cut out, of backgrounds.

    Args:
        shots: Features of every shot, [T, D] each, of all frames or of its `key_frames` alone; [1, D] where
            one feature stands for the shot (a shot of one frame, a video model).

    Returns:
        From -1 to 1.

    Raises:
        ValueError: If there are fewer than two shots, or a feature is missing or not finite.
    """
    if len(shots) < 2:
        raise ValueError(
            f"shots are compared with each other, and the story has {len(shots)}; give at least 2."
        )
    keys = [_unit(shot)[list(key_frames(len(shot)))] for shot in shots]  # [3, D] each
    return torch.stack([(one @ other.T).mean() for one, other in combinations(keys, 2)]).mean().item()


def key_frames(count: int) -> tuple[int, int, int]:
    """First, middle and last of `count` >= 1 frames; of an even number the later middle one."""
    return 0, count // 2, count - 1


def text_alignment(shots: Sequence[Tensor], captions: Tensor) -> float:
    """How well shots show what their captions say (paper: text alignment).

    A shot's feature is the mean of its frames' normalised features; its score is the cosine to the feature of
    its caption; a story scores the mean over its shots.

    Args:
        shots: Features of every shot, [T, D] each, by a model that puts pictures and words into one space;
            [1, D] for a video model.
        captions: Features of the captions [S, D].

    Returns:
        From -1 to 1.

    Raises:
        ValueError: If there are no shots, more or fewer captions, or a feature is not finite.
    """
    if not shots or len(shots) != len(captions):
        raise ValueError(f"every shot needs its caption, but there are {len(shots)} and {len(captions)}.")
    videos = torch.stack([_unit(shot).mean(dim=0) for shot in shots])  # [S, D]
    return (_unit(videos) * _unit(captions)).sum(dim=-1).mean().item()


def transition_control(
    asked: Sequence[int],
    detected: Sequence[int],
    total_frames: int,
    *,
    tolerance_frames: float | None = None,
    penalty_frames: float | None = None,
) -> float:
    """Whether the film cuts where it was asked to (paper: transition control).

    ``exp(-(E_matched + E_penalty) / F_total)``. Detected cuts are matched to asked ones one to one, at the
    lowest cost (`match_cuts`). E_matched is the sum of the distances of matched cuts in frames, E_penalty is
    `penalty_frames` times the number of cuts left over on either side, F_total the length of the film. The
    paper does not give tolerance and penalty; the defaults grow with the shots, so that a film of n shots
    that misses one cut scores exp(-1/n) at every length and frame rate.

    Args:
        asked: First frames of the shots after the first.
        detected: What `detect_cuts` found.
        total_frames: Length of the film.
        tolerance_frames: Cuts farther apart are not the same cut; half the mean shot length if None.
        penalty_frames: Price of a missing or extra cut; the mean shot length if None.

    Returns:
        Above 0, up to 1 for cuts exactly where they were asked.

    Raises:
        ValueError: If a cut lies outside the film.
    """
    outside = [cut for cut in (*asked, *detected) if not 0 < cut < total_frames]
    if outside:
        raise ValueError(f"a cut at frame {outside[0]} is outside a film of {total_frames} frames.")
    shot_frames = total_frames / (len(asked) + 1)
    tolerance = shot_frames / 2 if tolerance_frames is None else tolerance_frames
    penalty = shot_frames if penalty_frames is None else penalty_frames
    match = match_cuts(asked, detected, tolerance_frames=tolerance, penalty_frames=penalty)
    return torch.tensor(-match.cost(penalty) / total_frames, dtype=torch.float64).exp().item()


def aesthetic(scores: Sequence[Tensor]) -> float:
    """How good the pictures look (paper: aesthetic score): mean over a shot's frames, then over the shots.

    Args:
        scores: A scorer's marks of the frames of every shot, [T] each. VBench, whose range the paper has,
            divides the 0..10 of LAION's predictor by 10.

    Returns:
        In the scorer's range.

    Raises:
        ValueError: If there are no shots, or a shot has no frames.
    """
    if not scores or any(len(shot) == 0 for shot in scores):
        raise ValueError("there is nothing to average; give at least one score for every shot.")
    return torch.stack([shot.double().mean() for shot in scores]).mean().item()


def dynamic_degree(speeds: Sequence[float], threshold: float = DYNAMIC_SPEED) -> float:
    """Share of the shots in which much moves (paper: dynamic degree, there in per cent).

    Args:
        speeds: `motion_speed` of every shot.
        threshold: A shot counts if it is faster than this.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: If there are no shots.
    """
    if not speeds:
        raise ValueError("there are no shots to count; give the speed of at least one.")
    return sum(speed > threshold for speed in speeds) / len(speeds)


class Interval(NamedTuple):
    """A mean and how far to trust it."""

    mean: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of it."""


def mean_with_interval(values: Sequence[float], seed: int = 0, resamples: int = 5000) -> Interval:
    """Mean and 95 % bootstrap interval: 2.5th and 97.5th percentile of the means of resampled values.

    Args:
        values: One per story, since the shots of a story are not independent; at least 2, all finite.
        seed: Of the resampling; the same seed gives the same interval.
        resamples: How often as many values are drawn again, with replacement.

    Raises:
        ValueError: If there are too few values or one is not finite.
    """
    sample = torch.tensor(values, dtype=torch.float64)
    if len(sample) < 2 or not sample.isfinite().all():
        raise ValueError(f"an interval needs 2 finite values or more, but these are {list(values)[:5]}.")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(sample), (resamples, len(sample)), generator=generator)
    low, high = sample[drawn].mean(dim=1).quantile(sample.new_tensor([0.025, 0.975])).tolist()
    return Interval(sample.mean().item(), low, high)


def _frame_consistency(frames: Tensor) -> Tensor:
    """Score of every frame but the first [T - 1], from normalised features [T, D]."""
    to_first = (frames[1:] @ frames[0]).clamp(min=0)
    to_previous = (frames[1:] * frames[:-1]).sum(dim=-1).clamp(min=0)
    return (to_first + to_previous) / 2


def _unit(features: Tensor) -> Tensor:
    """Features [T, D] at length 1, in float64; a zero stays zero, and so does its cosine to anything."""
    if features.ndim != 2 or len(features) == 0 or not features.isfinite().all():
        raise ValueError(
            f"features must be finite numbers [T, D] with T >= 1, but these are {list(features.shape)}"
            f" with {int((~features.isfinite()).sum())} that are not; check the extractor and its pictures."
        )
    return functional.normalize(features.double(), dim=-1)
