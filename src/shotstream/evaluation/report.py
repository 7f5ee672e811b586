"""What an evaluation found, as metrics.json for programs and report.html for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shotstream.evaluation.adherence import Mark, shares
from shotstream.evaluation.extractors import Extractors
from shotstream.evaluation.measure import summarise, why_absent
from shotstream.evaluation.page import page
from shotstream.evaluation.results import Record
from shotstream.evaluation.targets import means, over_a_long_story, reached
from shotstream.machine.provenance import now
from shotstream.media.files import write_text


def write_report(
    folder: Path,
    records: Sequence[Record],
    *,
    settings: dict[str, Any],
    hardware: str,
    asked_for: int,
    extractors: Extractors,
    judge: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write metrics.json and report.html.

    Args:
        folder: Of the results; its stills go into the page.
        records: Of the films that were measured, at least one.
        settings: As in `Results`.
        hardware: What computed, in a line.
        asked_for: How many films were to be measured.
        extractors: What consistency and text alignment were computed from.
        judge: `judge_facts` of the judge that read the shots, if one did.

    Returns:
        What metrics.json holds.

    Raises:
        MediaError: If a file cannot be written.
    """
    assert records, "a report is about at least one film"
    summary = summarise([record["values"] for record in records])
    by_shot = _by_shot(records)
    report = {
        "date": now(),
        "shotstream": settings["shotstream"],
        "commit": settings["commit"],
        "hardware": hardware,
        "weights_sha256": settings.get("weights_sha256"),
        "settings": settings,
        "judge": judge,
        "asked_for": asked_for,
        "finished": len(records),
        "seeds": [record["seed"] for record in records],
        "summary": summary,
        "targets": reached(means(summary) | over_a_long_story(by_shot)),
        "by_shot": by_shot,
        "absent": why_absent(summary, extractors),
        "stories": list(records),
    }
    write_text(folder / "metrics.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "report.html", page(report, folder))
    return report


def _by_shot(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Shares of right marks of the first shots of all stories, of the second ones, and so on."""
    rows = []
    for number in range(max(len(record["shots"]) for record in records)):
        shots = [record["shots"][number] for record in records if number < len(record["shots"])]
        marks = [[Mark(**mark) for mark in shot["marks"]] for shot in shots]
        rows.append({"shot": number + 1, "stories": len(shots), **shares(marks)})
    return rows
