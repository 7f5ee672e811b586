"""Compares two records, figure by figure, and finds what became worse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shotstream.benchmark.record import LoopCounts, Measurements, Record, RecordError

HIGHER_IS_BETTER = {"frames_per_second", "full_frames_per_second", "times_film_pace"}
COMPILED = ("graph_breaks", "recompilations")
NOT_TIMES = {"stage_seconds", "chunk_seconds", *COMPILED}
"""Parts of other figures, and counts."""


class Row(NamedTuple):
    """One figure, old and new."""

    name: str
    old: float
    new: float
    worse: bool

    @property
    def ratio(self) -> float:
        """New by old."""
        return self.new / self.old if self.old else float("inf") if self.new else 1.0


def compare(
    old: Record, new: Record, *, allowed: float = 0.15, counts_only: bool = False, force: bool = False
) -> list[Row]:
    """Compare two records.

    Args:
        old: What is compared with.
        new: What is judged.
        allowed: By what share times, speed and memory may be worse. Counts must not grow at all.
        counts_only: Leave out times and memory; counts hold on any machine.
        force: Compare other settings, another machine or another torch all the same.

    Raises:
        RecordError: If figures of these two cannot be compared.
    """
    old_figures, new_figures = old.whole_figures(), new.whole_figures()
    if not force:
        _check_comparable(old, new, counts_only)
    rows = [] if counts_only else list(_figures(old_figures, new_figures, allowed))
    if old.loop and new.loop:
        rows += _counts(old.loop, new.loop)
    for name in COMPILED:
        before, now = getattr(old_figures, name), getattr(new_figures, name)
        rows.append(Row(name, before, now, now > before))
    return rows


def find_baseline(folder_or_file: Path, case: str) -> Record:
    """Read a record, or the one of a case from a folder of baselines.

    Raises:
        RecordError: If there is none.
    """
    if not folder_or_file.is_dir():
        return Record.read(folder_or_file)
    path = folder_or_file / f"{case}.json"
    if not path.is_file():
        raise RecordError(
            f"the case {case} has no baseline in {folder_or_file}; look at its record, and if it is right "
            f"keep it there as {path.name}"
        )
    return Record.read(path)


def _check_comparable(old: Record, new: Record, counts_only: bool) -> None:
    """Counts depend on torch, times on everything.

    Raises:
        RecordError: Naming the first difference.
    """
    before, now = (_circumstances(record, counts_only) for record in (old, new))
    differing = [name for name in before if before[name] != now[name]]
    if differing:
        name = differing[0]
        raise RecordError(
            f"the records differ in {name} ({before[name]!r} and {now[name]!r}), so their figures say "
            "nothing about each other; measure both the same way, or add --force"
        )
    if counts_only and not (old.loop and new.loop):
        raise RecordError("one of the records has no counts; measure it with --watch")


def _circumstances(record: Record, counts_only: bool) -> dict[str, Any]:
    machine = record.machine.model_dump()
    if counts_only:
        machine = {"torch": record.machine.torch.partition("+")[0]}
    return record.settings.model_dump() | {"computing": record.computing} | machine


def _figures(old: Measurements, new: Measurements, allowed: float) -> Iterator[Row]:
    for name in Measurements.model_fields:
        before, now = getattr(old, name), getattr(new, name)
        if name in NOT_TIMES or before is None or now is None:
            continue
        better_is_more = name in HIGHER_IS_BETTER
        worse = now < before * (1 - allowed) if better_is_more else now > before * (1 + allowed)
        yield Row(name, before, now, worse)


def _counts(old: LoopCounts, new: LoopCounts) -> Iterator[Row]:
    for name in LoopCounts.model_fields:
        before, now = (_total(getattr(counts, name)) for counts in (old, new))
        yield Row(name, before, now, now > before)


def _total(count: int | dict[str, int]) -> int:
    return count if isinstance(count, int) else sum(count.values())
