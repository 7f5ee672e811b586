"""A page on shards of films: how many of what, what they look like, what was left out and why."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.check import open_splits, read_rejected
from shotstream.data.films.clip_table import clip_rows, write_clip_table
from shotstream.data.films.decode import FilmError, read_shot
from shotstream.data.films.filters import REASONS
from shotstream.data.films.strip import strip
from shotstream.data.shards import Shards
from shotstream.media.files import write_text

MOST_STORIES = 200
"""Shown of each split, evenly spread over it."""
MOST_SAMPLES = 8
"""Shown of each reason."""
_BINS = 12
_STYLE = """
:root { color-scheme: light dark; --faint: #6b6f7a; --line: #8884; --bar: #5b7fc7; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); }
.number { text-align: right; } .faint { color: var(--faint); } rect { fill: var(--bar); }
svg text { fill: var(--faint); font-size: 11px; } figure { margin: 1rem 0; } img { max-width: 100%; }
.plots { display: flex; flex-wrap: wrap; gap: 2rem; } figcaption ol { margin: .2rem 0; }
summary { cursor: pointer; font-weight: 600; margin: 1rem 0; }
"""


def write_report(folder: Path, output: Path) -> Path:
    """Write the page.

    Args:
        folder: What `prepare` made.
        output: The HTML file. Pictures of kept stories stay beside the shards, and are linked.

    Returns:
        The file.

    Raises:
        ValueError: If there are no shards.
    """
    shards = open_splits(folder)
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    made = ClipFormat.model_validate(next(iter(shards.values())).made_with["format"])
    records = [record for own in shards.values() for record in own.records]
    rejected = read_rejected(folder)
    pictures = _relative(folder / "pictures", output.parent)
    stories = "".join(
        f"<h2>{split.capitalize()} stories</h2>{_stories(own.records, pictures)}"
        for split, own in shards.items()
    )
    title = f"Films in {folder.name}"
    write_text(
        output,
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{_counts(summary, shards, made, folder)}
<h2>Histograms</h2><div class="plots">{_histograms(records, made)}</div>
<h2>Licences and sources</h2>{_licences(records)}
<h2>Left out</h2>{_rejected(rejected, made)}
{stories}
</body></html>
""",
    )
    return output


def write_table(folder: Path, output: Path) -> None:
    """Write the shots of all stories as a table that `prepare` reads (.parquet, .arrow, .feather).

    Raises:
        ImportError: If pyarrow is missing, with the line that installs it.
    """
    found = open_splits(folder).items()
    records = [(split, record) for split, shards in found for record in shards.records]
    write_clip_table(output, clip_rows(records))


def _counts(summary: Mapping[str, Any], shards: Mapping[str, Shards], made: ClipFormat, folder: Path) -> str:
    size = sum(path.stat().st_size for own in shards.values() for path in own.folder.glob("*.safetensors"))
    rows = {
        "made for": f"{made.height}x{made.width}, {made.fps:g} per second, at most {made.shot_frames} frames",
        **{f"{split} stories": len(own) for split, own in shards.items()},
        "shots in them": sum(len(record["frames"]) for own in shards.values() for record in own.records),
        "files": summary.get("files", "not known"),
        "hours of film": summary.get("hours", "not known"),
        "shots found": summary.get("shots", "not known"),
        "size of the shards": f"{size / 1e6:.1f} MB",
    }
    rows |= {f"cuts seen by {name}": count for name, count in summary.get("agreement", {}).items()}
    return _table(rows)


def _histograms(records: Sequence[Mapping[str, Any]], made: ClipFormat) -> str:
    frames = [count / made.fps for record in records for count in record["frames"]]
    words = [len(prompt.split()) for record in records for prompt in record["prompts"]]
    return (
        _histogram("shots by seconds", frames)
        + _histogram("clips by latent frames", [n for record in records for n in record["latent_frames"]])
        + _histogram("stories by shots", [len(record["frames"]) for record in records])
        + _histogram("shot captions by words", words)
    )


def _histogram(title: str, values: Sequence[float]) -> str:
    if not values:
        return ""
    if all(float(value).is_integer() for value in values) and max(values) - min(values) < _BINS:
        edges = np.arange(min(values), max(values) + 2) - 0.5
    else:
        edges = np.histogram_bin_edges(values, _BINS)
    counts, _ = np.histogram(values, edges)
    width, height = 360 / len(counts), 90
    bars = "".join(
        f'<rect x="{number * width + 1:.1f}" y="{height * (1 - count / counts.max()):.1f}" '
        f'width="{width - 2:.1f}" height="{height * count / counts.max():.1f}">'
        f"<title>{edges[number]:.4g} to {edges[number + 1]:.4g}: {count}</title></rect>"
        for number, count in enumerate(counts)
    )
    ends = f'<text x="0" y="105">{min(values):.4g}</text><text x="330" y="105">{max(values):.4g}</text>'
    svg = f'<svg width="360" height="110" role="img">{bars}{ends}</svg>'
    return f"<figure><figcaption>{escape(title)} ({len(values)})</figcaption>{svg}</figure>"


def _licences(records: Sequence[Mapping[str, Any]]) -> str:
    unknown = "not known"
    counts = Counter(f"{one['licence'] or unknown} | {one['source'] or unknown}" for one in records)
    return _table({place: f"{stories} stories" for place, stories in counts.most_common(50)})


def _stories(records: Sequence[Mapping[str, Any]], pictures: str) -> str:
    chosen = records
    if len(records) > MOST_STORIES:
        places = np.linspace(0, len(records) - 1, MOST_STORIES).round().astype(int)
        chosen = [records[place] for place in places]
    return (
        f'<p class="faint">{len(chosen)} of {len(records)}: first, middle and last still of each shot</p>'
        + ("".join(_story(record, pictures) for record in chosen))
    )


def _story(record: Mapping[str, Any], pictures: str) -> str:
    shots = "".join(
        f'<li>{escape(prompt)} <span class="faint">{escape(Path(shot["file"]).name)} '
        f"{shot['start']:.2f} to {shot['end']:.2f} s</span></li>"
        for shot, prompt in zip(record["shots"], record["prompts"], strict=True)
    )
    image = f'<img loading="lazy" src="{escape(pictures)}/{record["key"]}.jpg" alt="">'
    return f"<figure>{image}<figcaption>{escape(record['setting'])}<ol>{shots}</ol></figcaption></figure>"


def _rejected(rejected: Sequence[Mapping[str, Any]], made: ClipFormat) -> str:
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for one in rejected:
        by_reason.setdefault(one["reason"], []).append(one)
    if not by_reason:
        return "<p>Nothing.</p>"
    parts = []
    for reason in (reason for reason in REASONS if reason in by_reason):
        own = by_reason[reason]
        samples = "".join(_sample(one, made) for one in own[:MOST_SAMPLES])
        parts.append(
            f"<details><summary>{reason}: {len(own)} ({escape(REASONS[reason])})</summary>{samples}</details>"
        )
    return "".join(parts)


def _sample(one: Mapping[str, Any], made: ClipFormat) -> str:
    """A shot that was left out, with pictures if its film can still be read."""
    where, image = escape(f"{one['file']} {one['detail']}"), ""
    if "start" in one:
        where += f" {one['start']:.2f} to {one['end']:.2f} s"
        try:
            last = max(0, one["frames"] - 1)
            read = read_shot(Path(one["file"]), one["start"], one["end"], made.fps, {0, last // 2, last})
            jpeg = strip([np.stack([read[number] for number in sorted(read)])])
            image = f'<img src="data:image/jpeg;base64,{b64encode(jpeg).decode()}" alt="">'
        except (FilmError, OSError):
            where += " (its film cannot be read now)"
    return f'<figure>{image}<figcaption class="faint">{where}</figcaption></figure>'


def _table(rows: Mapping[str, object]) -> str:
    lines = "".join(
        f'<tr><td>{escape(str(name))}</td><td class="number">{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table>{lines}</table>"


def _relative(place: Path, start: Path) -> str:
    from os.path import relpath

    return Path(relpath(place.resolve(), start.resolve())).as_posix()
