"""What the small model is meant to reach on held-out stories, and what it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from shotstream.evaluation.measure import Summary

OPENING, ENDING = slice(0, 5), slice(15, 20)
"""Shots of a long story that are compared."""


class Target(NamedTuple):
    """Where a figure should be."""

    title: str
    trained_on_gpu: float
    """Least value for a model of the larger preset."""
    trained_on_cpu: float
    """Least value for a model of the smaller one."""


TARGETS: Mapping[str, Target] = {
    "prompt_adherence.character": Target("Kind and colour", 0.95, 0.85),
    "prompt_adherence.accessory": Target("Accessory", 0.90, 0.75),
    "prompt_adherence.place": Target("Place", 0.98, 0.97),
    "prompt_adherence.framing": Target("Framing", 0.95, 0.95),
    "prompt_adherence.action": Target("Action", 0.85, 0.70),
    "attribute_consistency": Target("Hidden attributes as in the first shot", 0.90, 0.75),
    "transition_control": Target("Cuts where asked (transition control)", 1.0, 1.0),
    "student_by_teacher": Target("Prompt adherence, student / teacher", 0.97, 0.97),
    "speed_by_teacher": Target("Frames per second, student / teacher", 10.0, 10.0),
    "ending_minus_opening": Target("Prompt adherence, shots 16-20 minus shots 1-5", -0.05, -0.05),
}


class Reached(TypedDict):
    """A target beside its figure."""

    title: str
    trained_on_gpu: float
    trained_on_cpu: float
    figure: float


def reached(figures: Mapping[str, float]) -> dict[str, Reached]:
    """Put targets beside their figures, those that there are figures for."""
    return {
        name: Reached(**target._asdict(), figure=figures[name])
        for name, target in TARGETS.items()
        if name in figures
    }


def means(summary: Mapping[str, Summary]) -> dict[str, float]:
    """The means of a summary, by metric."""
    return {name: entry["mean"] for name, entry in summary.items()}


def against_teacher(student: Mapping[str, Summary], teacher: Mapping[str, Summary]) -> dict[str, float]:
    """How a student compares with its teacher, told the same stories."""
    own, taught = means(student), means(teacher)
    pairs = {"student_by_teacher": "prompt_adherence", "speed_by_teacher": "frames_per_second"}
    return {name: own[key] / taught[key] for name, key in pairs.items() if own.get(key) and taught.get(key)}


def over_a_long_story(by_shot: list[dict[str, Any]]) -> dict[str, float]:
    """How its last shots compare with its first; nothing is said of fewer than 20."""
    opening, ending = (
        [shot["prompt_adherence"] for shot in by_shot[part] if "prompt_adherence" in shot]
        for part in (OPENING, ENDING)
    )
    if len(by_shot) < ENDING.stop or not opening or not ending:
        return {}
    return {"ending_minus_opening": sum(ending) / len(ending) - sum(opening) / len(opening)}
