"""Variants of a model side by side, as Markdown, with what the paper reports beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shotstream.evaluation.targets import Reached, against_teacher, means, over_a_long_story, reached
from shotstream.evaluation.variants import ABLATIONS, LONG, STUDENT, TABLE, TEACHER, Variant
from shotstream.media.files import write_text

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
"""What stands between them in a page is written anew."""

PAPER: Mapping[str, float] = {
    "intra_shot_subject": 0.825,
    "intra_shot_background": 0.819,
    "inter_shot_semantic": 0.762,
    "inter_shot_subject": 0.654,
    "inter_shot_background": 0.645,
    "transition_control": 0.978,
    "text_alignment": 0.234,
    "dynamic_degree": 0.636,
    "frames_per_second": 15.95,
}
"""Table 1, ShotStream's row: Wan 1.3B at 480x832 on one H200 (arXiv 2603.25746)."""
PAPER_INTER_SHOT_SUBJECT: Mapping[str, float] = {
    "student": 0.654,
    "no-indicator": 0.507,
    "stage-3-only": 0.604,
    "stage-4-only": 0.583,
    "first-frames": 0.618,
}
"""The paper's ablations, in inter-shot subject consistency."""

COLUMNS: Mapping[str, str] = {
    "prompt_adherence": "Prompt adherence",
    "attribute_consistency": "Attribute consistency",
    "intra_shot_subject": "Intra-shot",
    "inter_shot_subject": "Inter-shot",
    "transition_control": "Transition control",
    "dynamic_degree": "Dynamic degree",
    "saturation": "Saturation",
    "frames_per_second": "Frames/s",
}
"""Metric -> head of its column. At small scale one feature serves subject, background and semantic."""

Reports = Mapping[str, Mapping[str, Any]]
"""Name of a variant -> what its metrics.json holds; a variant that could not be built is not there."""


def write_tables(folder: Path, reports: Reports, page: Path | None = None) -> None:
    """Write tables.md and ablations.json, and put the tables into a page.

    Args:
        folder: Where both go.
        reports: Of the variants, the student among them.
        page: With `BEGIN` and `END` in it.

    Raises:
        MediaError: If a file cannot be written.
        ValueError: If the page has no place for the tables.
    """
    targets = _targets_of(reports)
    text = tables(reports, targets)
    kept = {
        name: {key: report[key] for key in ("summary", "by_shot", "seeds")}
        for name, report in reports.items()
    }
    student = reports[STUDENT.name]
    facts = {key: student[key] for key in ("date", "shotstream", "commit", "hardware", "settings", "judge")}
    everything = {**facts, "targets": targets, "variants": kept}
    write_text(folder / "ablations.json", json.dumps(everything, indent=1) + "\n")
    write_text(folder / "tables.md", text + "\n")
    if page is not None:
        write_text(page, insert(page.read_text(encoding="utf-8"), text))


def _targets_of(reports: Reports) -> dict[str, Reached]:
    student, teacher, long = (reports.get(name) for name in (STUDENT.name, TEACHER.name, LONG.name))
    assert student is not None, "the student can always be built"
    figures = means(student["summary"])
    if teacher is not None:
        figures |= against_teacher(student["summary"], teacher["summary"])
    if long is not None:
        figures |= over_a_long_story(long["by_shot"])
    return reached(figures)


def tables(reports: Reports, targets: Mapping[str, Reached]) -> str:
    """Lay out what was measured.

    Args:
        reports: Of the variants, the student among them.
        targets: From `shotstream.evaluation.targets.reached`.

    Returns:
        Markdown.
    """
    some = reports[STUDENT.name]
    settings = some["settings"]
    return "\n\n".join(
        [
            f"{some['finished']} held-out stories of {settings['shots']} shots, seeds from "
            f"{settings['seed']}, the same for all; {some['hardware']}; commit `{some['commit']}`. Means, "
            "with 95 % intervals bootstrapped over stories.",
            "### Table 1",
            _table(TABLE, reports),
            "The paper's row (Wan 1.3B, 480x832, one H200, other features: figures do not compare, orders "
            "may): " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in PAPER.items()) + ".",
            "### Ablations",
            _table((STUDENT, *ABLATIONS), reports, PAPER_INTER_SHOT_SUBJECT),
            "### Targets",
            _targets(targets),
        ]
    )


def insert(page: str, text: str) -> str:
    """Put text between the marks of a page.

    Raises:
        ValueError: If the page has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for tables; put the lines {BEGIN} and {END} into it.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _table(variants: Sequence[Variant], reports: Reports, paper: Mapping[str, float] | None = None) -> str:
    head = ["", *COLUMNS.values()] + (["Paper: inter-shot subject"] if paper else [])
    lines = [_row(head), _row(["---"] * len(head))]
    for variant in variants:
        if variant.name not in reports:
            continue
        summary = reports[variant.name]["summary"]
        cells = [variant.title, *(_cell(summary.get(name)) for name in COLUMNS)]
        if paper:
            known = paper.get(variant.name)
            cells.append("" if known is None else f"{known:.3f}")
        lines.append(_row(cells))
    return "\n".join(lines)


def _cell(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return ""
    mean, low, high = summary["mean"], summary["low"], summary["high"]
    digits = 3 if mean < 10 else 1
    spread = "" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{mean:.{digits}f}{spread}"


def _targets(targets: Mapping[str, Reached]) -> str:
    lines = [_row(["", "Target, trained on a GPU / a CPU", "Figure", ""]), _row(["---"] * 4)]
    for entry in targets.values():
        asked, figure = f"{entry['trained_on_gpu']:g} / {entry['trained_on_cpu']:g}", entry["figure"]
        reached = "reached" if figure >= entry["trained_on_cpu"] else "not reached"
        lines.append(_row([entry["title"], asked, f"{figure:.3f}", reached]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
