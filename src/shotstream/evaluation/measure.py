"""From a film to figures, and from the figures of many films to means with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from torch import Tensor

from shotstream.evaluation.adherence import Mark, mark_film, shares
from shotstream.evaluation.catalogue import METRICS
from shotstream.evaluation.crispness import chunk_jump, sharpness
from shotstream.evaluation.cuts import detect_cuts
from shotstream.evaluation.dynamics import motion_speed
from shotstream.evaluation.extractors import Extractors
from shotstream.evaluation.judged_film import Film
from shotstream.evaluation.judging import read_shots
from shotstream.evaluation.metrics import (
    aesthetic,
    dynamic_degree,
    inter_shot_consistency,
    intra_shot_consistency,
    mean_with_interval,
    text_alignment,
    transition_control,
)
from shotstream.evaluation.retakes import measure_again
from shotstream.world.judge import Judge


class Examination(NamedTuple):
    """All that is found out about a film."""

    values: dict[str, float]
    """Metric (a key of `METRICS`) -> value; what cannot be measured is not there."""
    marks: list[list[Mark]]
    """What the judge was asked about every shot; empty lists where nobody knows what is to be seen."""


def measure(film: Film, extractors: Extractors, judge: Judge | None = None) -> dict[str, float]:
    """Measure a film.

    Args:
        film: The film.
        extractors: What consistency and text alignment are computed from.
        judge: Reads the shots of stories of the story world; what it was never taught is not asked.

    Returns:
        Metric (a key of `METRICS`) -> value; what cannot be measured is not there.

    Raises:
        ImportError: If a package is missing, with the line that installs it.
    """
    return examine(film, extractors, judge).values


def examine(film: Film, extractors: Extractors, judge: Judge | None = None) -> Examination:
    """Measure a film as `measure` does, and keep what the judge read of every shot."""
    found = detect_cuts(np.concatenate(film.shots), film.fps)
    values = _consistency(film, extractors)
    values["transition_control"] = transition_control(film.cuts, found, film.frames)
    speeds = [motion_speed(shot, film.fps) for shot in film.shots if len(shot) > 1]
    if speeds:
        values["dynamic_degree"] = dynamic_degree(speeds)
    values["saturation"] = saturation(film.shots)
    crisp = sharpness(film)
    if crisp is not None:
        values["sharpness"] = crisp
    jump = chunk_jump(film.shots, film.chunk_starts) if film.chunk_starts else None
    if jump is not None:
        values["chunk_jump"] = jump
    marks: list[list[Mark]] = [[] for _ in film.shots]
    if judge is not None and film.attributes is not None:
        marks = mark_film(film.attributes, read_shots(judge, film.shots), judge.questions)
    values |= shares(marks)
    if film.told_again is not None and film.attributes is not None:
        values |= measure_again(film.shots[0], film.told_again, film.attributes, judge)
    if film.first_frame_seconds is not None:
        values["first_frame_seconds"] = film.first_frame_seconds
    if film.generating_seconds:
        values["frames_per_second"] = film.frames / film.generating_seconds
    return Examination({name: values[name] for name in METRICS if name in values}, marks)


def check_packages() -> None:
    """Fail now, not after the first film, if a package that `measure` needs is missing.

    Raises:
        ImportError: With the line that installs it.
    """
    black = np.zeros((2, 32, 32, 3), np.uint8)
    detect_cuts(black, fps=1)
    motion_speed(black, fps=1)


def saturation(shots: Sequence[np.ndarray]) -> float:
    """Mean of HSV's saturation, (max - min) / max of a pixel's red, green and blue.

    Args:
        shots: uint8 ``[T, H, W, 3]`` each; every shot weighs the same.

    Returns:
        From 0 (grey) to 1.
    """
    return float(np.mean([np.mean([_frame_saturation(frame) for frame in shot]) for shot in shots]))


class Summary(TypedDict):
    """A metric over all films."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; None of a single film."""
    high: float | None
    """Upper end of it."""
    n: int
    """How many films have it."""


def summarise(films: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Mean and 95 % bootstrap interval of every metric, over the films that have it."""
    summary: dict[str, Summary] = {}
    for name in dict.fromkeys([*METRICS, *(name for film in films for name in film)]):
        values = [film[name] for film in films if name in film]
        if len(values) > 1:
            interval = mean_with_interval(values)
            summary[name] = Summary(mean=interval.mean, low=interval.low, high=interval.high, n=len(values))
        elif values:
            summary[name] = Summary(mean=values[0], low=None, high=None, n=1)
    return summary


def why_absent(metrics: Mapping[str, object], extractors: Extractors) -> dict[str, str]:
    """Why no film has the other metrics: metric -> reason."""
    reasons = {}
    for name, metric in METRICS.items():
        if name not in metrics and metric.role and metric.role not in extractors.by_role:
            reasons[name] = extractors.why_none(metric.role)
        elif name not in metrics:
            reasons[name] = f"needs {metric.needs}"
    return reasons


def _consistency(film: Film, extractors: Extractors) -> dict[str, float]:
    """What is computed from features; the frames go through each extractor once."""
    by_name = {extractor.name: extractor for extractor in extractors.by_role.values()}
    features = {name: [extractor(shot) for shot in film.shots] for name, extractor in by_name.items()}
    of: dict[str, list[Tensor]] = {role: features[name] for role, name in extractors.names.items()}
    several_frames = any(len(shot) > 1 for shot in film.shots)
    values = {}
    for role in ("subject", "background", "semantic"):
        if role in of and role != "semantic" and several_frames:
            values[f"intra_shot_{role}"] = intra_shot_consistency(of[role])
        if role in of and len(film.shots) > 1:
            values[f"inter_shot_{role}"] = inter_shot_consistency(of[role])
    if "aesthetic" in of:
        values["aesthetic"] = aesthetic(of["aesthetic"])
    if "text" in of and all(film.prompts):
        values["text_alignment"] = text_alignment(of["text"], extractors.captions(film.prompts))
    return values


def _frame_saturation(frame: np.ndarray) -> float:
    highest, lowest = frame.max(axis=-1).astype(np.float32), frame.min(axis=-1)
    return float(np.mean((highest - lowest) / np.maximum(highest, 1)))
