"""How fast the demo and the studio are, alone and beside busy loops, by the number of threads.

    python benchmarks/threads.py [-o record.json] [--rounds 2] [--budget 400] [--tiny]

A round runs `shotstream generate` on two shots of the demo, and a studio in which one viewer watches a shot
over the client, with torch's own number of threads, with one and with two: each with nothing beside it and
then beside three loops that never rest. Rounds alternate all of that, so that what else the machine does
meets all alike. Run it on a machine that does nothing else. --tiny only shows that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from studio_process import StudioProcess, free_port

from shotstream.cli.doctor import machine
from shotstream.client import Client
from shotstream.machine.provenance import commit, hardware, now

BUSY_LOOPS = 3
THREADS = ("default", "1", "2")
SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
PROMPTS = ("Wide shot of the orange cat waving hello.", "Close up of the orange cat dancing happily.")
_COMMAND = [sys.executable, "-c", "from shotstream.cli.main import app; app()"]


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Beside the block, so many processes compute without rest."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def thread_count(threads: str) -> Iterator[None]:
    """Processes that the block starts compute with so many threads; "default" leaves it to torch."""
    before = os.environ.pop("OMP_NUM_THREADS", None)
    if threads != "default":
        os.environ["OMP_NUM_THREADS"] = threads
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def tell_demo(folder: Path, tiny: bool) -> dict[str, float]:
    """Frames per second of `shotstream generate`, without starting and without writing files."""
    size = ["--shots", "1-1", "--height", "32", "--width", "48"] if tiny else ["--shots", "1-2"]
    words = [*_COMMAND, "generate", "first_story", "-o", str(folder), "--overwrite", *size]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    facts = json.loads((folder / "story.json").read_text())
    return {"frames_per_second": facts["frames_per_second"]}


def watch_shot(port: int, prompt: str, tiny: bool) -> dict[str, float]:
    """What a viewer gets who watches one shot of a new story as it is made."""
    with Client(f"http://127.0.0.1:{port}") as client, client.begin(SETTING, seed=1) as story:
        started, times, frames = time.perf_counter(), [], 0
        for clip in story.shoot(prompt, seconds=1 if tiny else None):
            times.append(time.perf_counter() - started)
            frames += len(clip.units)
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    return {
        "frames_per_second": frames / times[-1],
        "first_frame_seconds": times[0],
        "chunk_seconds": statistics.median(gaps),
    }


class Measurement:
    """All that was measured, by (what, load, threads).

    Args:
        place: An empty folder to work in.
        tiny: Whether it is only shown that it works.
        budget: Seconds after which nothing more is begun.
    """

    def __init__(self, place: Path, tiny: bool, budget: float) -> None:
        self.found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
        self._place, self._tiny = place, tiny
        self._end = time.monotonic() + budget

    @property
    def is_over(self) -> bool:
        """Whether there is no time for more."""
        return time.monotonic() > self._end

    def round(self) -> None:
        """Measure all once, or as much as there is time for."""
        for threads in THREADS[: 1 if self._tiny else None]:
            with thread_count(threads):
                if not self.is_over:
                    self._keep("demo", threads, lambda: tell_demo(self._place / "demo", self._tiny))
                if not self.is_over:
                    self._watch(threads)

    def _watch(self, threads: str) -> None:
        library = self._place / f"library-{len(self.found)}"
        studio = StudioProcess(library, free_port())
        try:
            studio.wait_ready()
            watch_shot(studio.port, PROMPTS[0], tiny=True)  # the first is slower
            self._keep("studio", threads, lambda: watch_shot(studio.port, PROMPTS[1], self._tiny))
        finally:
            studio.stop()
            shutil.rmtree(library, ignore_errors=True)

    def _keep(self, what: str, threads: str, measure: Any) -> None:
        """Measure alone, and then beside busy loops."""
        for load, count in (("idle", 0), ("loaded", BUSY_LOOPS)):
            with busy_loops(count):
                self.found.setdefault((what, load, threads), []).append(measure())


def main() -> None:
    """Measure, print a table and write a record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the record")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--budget", type=float, default=400, help="seconds after which nothing is begun")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        measurement = Measurement(Path(folder), given.tiny, given.budget)
        for _ in range(1 if given.tiny else given.rounds):
            measurement.round()
    table = Table("", "beside it", "threads", "frames/s", "first frame s", "chunk s", "runs")
    rows = []
    for (what, load, threads), runs in measurement.found.items():
        rows.append({"what": what, "load": load, "threads": threads, "runs": runs})
        cells = [
            " / ".join(f"{run[name]:.3g}" for run in runs if name in run)
            for name in ("frames_per_second", "first_frame_seconds", "chunk_seconds")
        ]
        table.add_row(what, load, threads, *cells, str(len(runs)))
    Console().print(table)
    record = {
        "date": now(),
        "commit": commit(),
        "hardware": hardware("cpu"),
        "tiny": given.tiny,
        "load_average_before": round(load_before, 2),
        "busy_loops": BUSY_LOOPS,
        "doctor": machine()[0].why,
        "measured": rows,
    }
    print(record["doctor"])
    if given.output:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
