"""How often a judge sees what an eye saw: labels of generated frames against the judge's answers.

docs/judge.md has the rule by which frames were labelled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from shotstream.world.judge import CLEAN, SPOILT, UNCLEAR, Questions

Answers = Mapping[str, str]
"""Question of the judge -> answer."""
FIGURES, ACTION = "figures", "action"
"""The one question whose answer may differ from frame to frame, and the one that no single frame answers."""
NORMAL_QUANTILE = 1.959964
"""Of a 95 % interval."""


class LabelledFrame(NamedTuple):
    """What an eye saw in a frame."""

    story: int
    """Seed of the held-out story."""
    shot: int
    """From 0."""
    frame: int
    """Of the shot, from 0."""
    answers: Answers


class Agreement(NamedTuple):
    """Of one question: how often judge and eye say the same."""

    right: int
    """Where both give the same answer, of `clear`."""
    clear: int
    """Where the eye could tell."""
    both_unclear: int
    """Where neither could tell, of `unclear`."""
    unclear: int
    """Where the eye could not tell."""

    @property
    def share(self) -> float:
        """Right of what the eye could tell; NaN where it could tell nothing."""
        return self.right / self.clear if self.clear else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share, as if all were independent of each other."""
        return wilson(self.right, self.clear)


def read_labels(path: Path) -> list[LabelledFrame]:
    """Read a file of labels, a line of JSON for every frame.

    Raises:
        ValueError: If a line cannot be read.
    """
    return [LabelledFrame(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def label_shots(frames: Iterable[LabelledFrame]) -> list[LabelledFrame]:
    """Labels of whole shots, from those of their frames, which stand together.

    A shot's figures are clean where those of all its frames are. What frames differ in otherwise is unclear.
    """
    shots = []
    for _, group in groupby(frames, key=lambda label: (label.story, label.shot)):
        labels = list(group)
        seen = [label.answers for label in labels]
        answers = {
            name: answer if all(other[name] == answer for other in seen) else UNCLEAR
            for name, answer in seen[0].items()
        }
        answers[FIGURES] = CLEAN if all(other[FIGURES] == CLEAN for other in seen) else SPOILT
        shots.append(labels[0]._replace(answers=answers))
    return shots


def agree(seen: Sequence[Answers], read: Sequence[Answers], questions: Questions) -> dict[str, Agreement]:
    """Compare what an eye saw with what a judge reads, question by question.

    Args:
        seen: By the eye, of every picture or shot; a question that is not there is not asked.
        read: By the judge, of the same in the same order.
        questions: Those of the judge.

    Raises:
        ValueError: If there are more of one than of the other.
    """
    if len(seen) != len(read):
        raise ValueError(f"{len(seen)} were seen and {len(read)} read; give what was read of each.")
    found = {}
    for name in questions:
        pairs = [(eye[name], judge[name]) for eye, judge in zip(seen, read, strict=True) if name in eye]
        clear = [eye == judge for eye, judge in pairs if eye != UNCLEAR]
        unclear = [judge == UNCLEAR for eye, judge in pairs if eye == UNCLEAR]
        if pairs:
            found[name] = Agreement(sum(clear), len(clear), sum(unclear), len(unclear))
    return found


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a fraction; 0 to 1 of nothing."""
    if count == 0:
        return 0.0, 1.0
    share, square = right / count, NORMAL_QUANTILE**2
    middle = share + square / (2 * count)
    reach = NORMAL_QUANTILE * sqrt(share * (1 - share) / count + square / (4 * count**2))
    low, high = ((middle + sign * reach) / (1 + square / count) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def agreement_table(of_shots: Mapping[str, Agreement], of_frames: Mapping[str, Agreement]) -> str:
    """Both agreements as a table in Markdown, in percent, a line for every question."""
    rows = [
        "| question | whole shots | the eye unsure, the judge too | single frames |",
        "| --- | --- | --- | --- |",
    ]
    for name, shots in of_shots.items():
        unsure = f"{shots.both_unclear} of {shots.unclear}" if shots.unclear else ""
        rows.append(f"| {name} | {_cell(shots)} | {unsure} | {_cell(of_frames.get(name))} |")
    return "\n".join(rows)


def _cell(found: Agreement | None) -> str:
    if found is None or not found.clear:
        return ""
    low, high = found.interval
    return f"{100 * found.share:.0f} ({100 * low:.0f} to {100 * high:.0f}), {found.right} of {found.clear}"
