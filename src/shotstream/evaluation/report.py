"""What an evaluation found, as metrics.json for programs and report.html for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shotstream.evaluation.extractors import Extractors
from shotstream.evaluation.measure import summarise, why_absent
from shotstream.evaluation.origin import now
from shotstream.evaluation.page import page
from shotstream.evaluation.results import Record
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
        "absent": why_absent(summary, extractors),
        "stories": list(records),
    }
    write_text(folder / "metrics.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "report.html", page(report, folder))
    return report
