"""Records on the screen, with the goals beside the figures where the case has goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich.markup import escape
from rich.table import Column, Table

from shotstream.benchmark.compare import Row
from shotstream.benchmark.record import ColdStart, LoopCounts, Measurements, Record, Settings
from shotstream.benchmark.work import KINDS, LIGHT, Work


class Goal(NamedTuple):
    """What a figure should be."""

    bound: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


SPEED_GOALS = {"compiled": Goal(24, at_least=True), "fast": Goal(40, at_least=True)}
GPU_GOALS = {
    "first_frame_warm_seconds": Goal(0.35),
    "next_shot_seconds": Goal(0.45),
    "chunk_p99_over_p50": Goal(1.3),
    "graph_breaks": Goal(0),
    "recompilations": Goal(0),
}


def goals(settings: Settings) -> dict[str, Goal]:
    """The goals of a case: set for stories at 480x832 on one GPU, from prompt to frames."""
    picture = (settings.height, settings.width)
    if settings.device == "cpu" or settings.transformer_only or picture != (480, 832):
        return {}
    speed = SPEED_GOALS.get(settings.mode)
    return ({"frames_per_second": speed} if speed else {}) | GPU_GOALS


def record_table(record: Record) -> Table:
    """A table of the figures, the share of every stage, and what was counted.

    Raises:
        RecordError: If the benchmark has not ended.
    """
    wanted, settings, figures = goals(record.settings), record.settings, record.whole_figures()
    title = f"{settings.case}: {settings.shots} shots of {settings.chunks} chunks"
    table = Table("figure", "value", *(["goal"] if wanted else []), title=escape(title))
    table.caption = escape("; ".join([*record.labels, record.machine.hardware]))
    for name, value in _figures(figures):
        goal = wanted.get(name)
        verdict = "" if goal is None else f"{goal} {'✓' if goal.met(value) else '✗'}"
        table.add_row(escape(_title(name)), _number(value, name), *([verdict] if wanted else []))
    for stage, share in shares(figures).items():
        seconds = figures.stage_seconds[stage]
        table.add_row(f"stage {escape(stage)}", f"{seconds:.3f} s ({share:.1%})", *([""] if wanted else []))
    for name, text in (*_cold(record.cold), *_counts(record.loop)):
        table.add_row(escape(name), escape(text), *([""] if wanted else []))
    return table


def shares(figures: Measurements) -> dict[str, float]:
    """What part of the story's time each stage took."""
    total = sum(map(sum, figures.chunk_seconds))
    return {stage: seconds / total for stage, seconds in figures.stage_seconds.items()}


def comparison_table(rows: list[Row]) -> Table:
    """Old, new and their ratio."""
    table = Table("figure", "old", "new", "ratio", "")
    for row in rows:
        cells = (_title(row.name), _number(row.old, row.name), _number(row.new, row.name))
        table.add_row(*cells, f"{row.ratio:.2f}", "[red]worse[/red]" if row.worse else "")
    return table


def work_table(found: Mapping[str, Mapping[str, Work]]) -> Table:
    """How often operations run, what they compute, and what they read and write, for all that was counted."""
    table = Table(
        Column(no_wrap=True), "operations", *(f"TFLOP, {kind}" for kind in KINDS), "GB, light", "GB, others"
    )
    for name, kinds in found.items():
        light = kinds[LIGHT].bytes
        flop = (kinds[kind].flop if kind in kinds else 0 for kind in KINDS)
        table.add_row(
            escape(name),
            str(sum(work.operations for work in kinds.values())),
            *(f"{count / 1e12:.2f}" if count else "" for count in flop),
            f"{light / 1e9:.1f}",
            f"{(sum(work.bytes for work in kinds.values()) - light) / 1e9:.1f}",
        )
    return table


def _figures(figures: Measurements) -> Iterator[tuple[str, float]]:
    for name, value in figures:
        if isinstance(value, (int, float)):
            yield name, value


def _counts(loop: LoopCounts | None) -> Iterator[tuple[str, str]]:
    for name, value in loop or ():
        if not isinstance(value, dict):
            yield _title(name), f"{value}"
        else:
            places = [f"{place}: {count}" for place, count in value.items()]
            yield _title(name), "\n".join(places) or "0"


def _cold(cold: ColdStart | None) -> Iterator[tuple[str, str]]:
    if cold:
        yield "from a new process to its first frames", f"{cold.seconds:.1f} s"
        for part, seconds in cold.parts.items():
            yield f"of that {part}", f"{seconds:.1f} s"


def _title(name: str) -> str:
    return name.replace("_", " ").removesuffix(" seconds").removesuffix(" bytes")


def _number(value: float, name: str) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**30:.3f} GiB" if abs(value) >= 2**20 else f"{value:.0f} B"
    if name.endswith("_seconds"):
        return f"{value:.3f} s"
    return f"{value:.2f}" if isinstance(value, float) else f"{value}"
