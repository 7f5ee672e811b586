"""The report as one HTML page that needs nothing but itself: no scripts, no requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from shotstream.evaluation.adherence import ATTRIBUTE_CONSISTENCY, PROMPT_ADHERENCE
from shotstream.evaluation.catalogue import METRICS, Metric
from shotstream.evaluation.measure import Summary

_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #22242a; --faint: #6b6f7a; --line: #dcdde2;
  --bar: #5b7fc7; --wrong: #b3261e; --wrong-paper: #fbe9e7; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181c; --ink: #e3e4e8; --faint: #9a9da8;
  --line: #34363e; --bar: #7d9fe0; --wrong: #ff8a80; --wrong-paper: #3a2224; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 2rem 0 0; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; font-weight: normal; }
thead th { color: var(--faint); } .number { text-align: right; font-variant-numeric: tabular-nums; }
.faint { color: var(--faint); } .bar { fill: var(--bar); } .track { fill: var(--line); }
.prompt_adherence { stroke: var(--bar); }
.attribute_consistency { stroke: var(--faint); stroke-dasharray: 4 3; }
polyline { fill: none; stroke-width: 2; } svg text { fill: var(--faint); font-size: 11px; }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.shots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
figure { margin: 0; } figure img { width: 100%; display: block; } figcaption { margin: .3rem 0; }
figure table { font-size: .85em; width: 100%; }
.wrong { color: var(--wrong); background: var(--wrong-paper); }
.wide { overflow-x: auto; }
"""
_BAR_WIDTH, _BAR_HEIGHT = 180, 12
_PLOT_WIDTH, _PLOT_HEIGHT, _MARGIN = 480, 140, 30


def page(report: Mapping[str, Any], folder: Path) -> str:
    """Lay out a report.

    Args:
        report: What metrics.json holds.
        folder: Where the stills that its stories name are.

    Returns:
        HTML.
    """
    settings = report["settings"]
    title = f"{settings.get('model') or settings.get('clips')}: {report['finished']} stories judged"
    unfinished = report["asked_for"] - report["finished"]
    stopped = (
        f"<p><strong>Stopped early: {unfinished} more were asked for.</strong></p>" if unfinished else ""
    )
    stories = "".join(_story(story, folder) for story in report["stories"])
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head>
<body>
<h1>{escape(title)}</h1>
{stopped}
{_summary(report)}
{_absent(report["absent"])}
{_targets(report["targets"])}
{_by_shot(report["by_shot"])}
<h2>How it was made</h2>
{_facts(report)}
<h2>Stories</h2>
<p class="faint">First, middle and last frame of every shot, and what the judge read in it where it is known
what was to be seen. &#10007; marks what differs from what was asked; &ldquo;kept&rdquo; compares with what
was read in the first shot of that character or place.</p>
{stories}
</body>
</html>
"""


def _summary(report: Mapping[str, Any]) -> str:
    features = report["settings"]["features"]
    rows = [_summary_row(name, summary, features) for name, summary in report["summary"].items()]
    return f"""<div class="wide"><table>
<thead><tr><th>What</th><th class="number">Mean</th><th>95 % interval</th><th></th>
<th class="number">Films</th><th>How</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>
<p class="faint">Intervals are bootstrapped over films.{escape(_note(features))}</p>"""


def _summary_row(name: str, summary: Summary, features: Mapping[str, str]) -> str:
    metric = METRICS.get(name, Metric(name, "", share=False))
    how = (
        f"{metric.meaning}; features: {features[metric.role]}" if metric.role in features else metric.meaning
    )
    low, high = summary["low"], summary["high"]
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return (
        f'<tr><td>{escape(metric.title)}</td><td class="number">{summary["mean"]:.3f}</td>'
        f"<td>{interval}</td><td>{_bar(summary) if metric.share else ''}</td>"
        f'<td class="number">{summary["n"]}</td><td class="faint">{escape(how)}</td></tr>\n'
    )


def _note(features: Mapping[str, str]) -> str:
    """Say what a reader of the paper would not expect."""
    if not features:
        return ""
    note = " Features are of whole pictures; the paper cuts subject and background out."
    inter = [role for role in ("semantic", "subject", "background") if role in features]
    if len({features[role] for role in inter}) < len(inter):
        note += " Inter-shot figures that share their features are the same number."
    if "judge" in features.values():
        note += " The judge is a small network trained on the story world: only models of that world compare."
    return note


def _bar(summary: Summary) -> str:
    """A bar from 0 to the mean on a track from 0 to 1, and the interval as a line."""
    mean = _x(summary["mean"])
    whisker = ""
    if summary["low"] is not None and summary["high"] is not None:
        middle = _BAR_HEIGHT / 2
        whisker = (
            f'<line class="whisker" x1="{_x(summary["low"]):.1f}" x2="{_x(summary["high"]):.1f}" '
            f'y1="{middle}" y2="{middle}"></line>'
        )
    size = f'width="{_BAR_WIDTH}" height="{_BAR_HEIGHT}"'
    return (
        f'<svg {size} role="img" aria-label="{summary["mean"]:.3f} of 1"><rect class="track" {size}></rect>'
        f'<rect class="bar" width="{mean:.1f}" height="{_BAR_HEIGHT}"></rect>{whisker}</svg>'
    )


def _x(value: float) -> float:
    return min(max(value, 0.0), 1.0) * _BAR_WIDTH


def _absent(reasons: Mapping[str, str]) -> str:
    if not reasons:
        return ""
    rows = "".join(
        f"<tr><td>{escape(METRICS[name].title)}</td><td>{escape(reason)}</td></tr>\n"
        for name, reason in reasons.items()
    )
    return f"<h2>Not measured</h2>\n<table><tbody>{rows}</tbody></table>"


def _targets(targets: Mapping[str, Mapping[str, Any]]) -> str:
    if not targets:
        return ""
    rows = "".join(
        f'<tr><td>{escape(target["title"])}</td><td class="number">{target["figure"]:.3f}</td>'
        f'<td class="number">{target["trained_on_gpu"]:g}</td>'
        f'<td class="number">{target["trained_on_cpu"]:g}</td></tr>\n'
        for target in targets.values()
    )
    head = "<th>What</th><th>Figure</th><th>Target, trained on a GPU</th><th>on a CPU</th>"
    return f"<h2>Targets</h2>\n<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _by_shot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Two lines over the shots of a story: prompt adherence and attribute consistency."""
    lines = ""
    for name in (PROMPT_ADHERENCE, ATTRIBUTE_CONSISTENCY):
        points = [(row["shot"], row[name]) for row in rows if name in row]
        if len(points) > 1:
            where = " ".join(f"{_plot_x(shot, len(rows)):.1f},{_plot_y(share):.1f}" for shot, share in points)
            lines += f'<polyline class="{name}" points="{where}"></polyline>'
    if not lines:
        return ""
    left, right, bottom = _MARGIN, _PLOT_WIDTH, _PLOT_HEIGHT - _MARGIN / 2
    shots = "".join(
        f'<text x="{_plot_x(row["shot"], len(rows)):.1f}" y="{_PLOT_HEIGHT}" text-anchor="middle">'
        f"{row['shot']}</text>"
        for row in rows
    )
    scale = "".join(
        f'<text x="0" y="{_plot_y(share) + 4:.1f}">{share}</text><line class="whisker" x1="{left}" '
        f'x2="{right}" y1="{_plot_y(share):.1f}" y2="{_plot_y(share):.1f}" stroke-opacity="0.15"></line>'
        for share in (0, 0.5, 1)
    )
    return f"""<h2>Shot by shot</h2>
<svg width="{_PLOT_WIDTH + _MARGIN}" height="{bottom + _MARGIN:.0f}" role="img"
aria-label="Shares of right answers over the shots of a story">{scale}{shots}{lines}</svg>
<p class="faint">Solid: prompt adherence, the fraction of what captions say that is right. Dashed: attribute
consistency, the fraction of what no caption says that is as it was first seen.</p>"""


def _plot_x(shot: int, shots: int) -> float:
    return _MARGIN + (_PLOT_WIDTH - _MARGIN) * (shot - 0.5) / shots


def _plot_y(share: float) -> float:
    return 8 + (1 - share) * (_PLOT_HEIGHT - 1.5 * _MARGIN)


def _facts(report: Mapping[str, Any]) -> str:
    facts = {"date": report["date"], "hardware": report["hardware"], **report["settings"]}
    accuracy = (report["judge"] or {}).get("accuracy")
    if accuracy:
        facts["right answers of the judge on drawn held-out shots"] = accuracy
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{_fact(fact)}</td></tr>\n" for name, fact in facts.items()
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _fact(fact: Any) -> str:
    if isinstance(fact, Mapping):
        return escape(", ".join(f"{name}: {value}" for name, value in fact.items()) or "none")
    return escape("unknown" if fact is None else str(fact))


def _story(story: Mapping[str, Any], folder: Path) -> str:
    seed = "" if story["seed"] is None else f" (seed {story['seed']})"
    shots = "".join(_shot(number, shot, folder) for number, shot in enumerate(story["shots"], start=1))
    return (
        f"<section><h3>{escape(story['name'] + seed)}</h3>\n<p>{escape(story['setting'])}</p>\n"
        f'<div class="shots">{shots}</div></section>\n'
    )


def _shot(number: int, shot: Mapping[str, Any], folder: Path) -> str:
    picture = b64encode((folder / shot["still"]).read_bytes()).decode()
    return (
        f'<figure><img alt="Three frames of shot {number}" src="data:image/jpeg;base64,{picture}">'
        f"<figcaption>{number}. {escape(shot['prompt'])}</figcaption>{_marks(shot['marks'])}</figure>\n"
    )


def _marks(marks: Sequence[Mapping[str, Any]]) -> str:
    if not marks:
        return ""
    rows = []
    for mark in marks:
        kept = "kept" if mark["metric"] == ATTRIBUTE_CONSISTENCY else ""
        name = " ".join(filter(None, (mark["stand"], kept, *mark["name"].split("_"))))
        style, sign = ("", "&#10003;") if mark["right"] else (' class="wrong"', "&#10007;")
        cells = [escape(name), escape(mark["asked"]), escape(mark["read"]), sign]
        rows.append(f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "<thead><tr><th></th><th>asked</th><th>read</th><th></th></tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"
