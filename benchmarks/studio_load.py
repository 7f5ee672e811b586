"""Load on a studio with mini: stories told live at once, watched by viewers of whom some behave badly.

    python benchmarks/studio_load.py --minutes 15 --stories 4 --viewers 8

Every story has a viewer who plays it at its pace and gives one shot of 5 seconds after another. Further
viewers are slow, silent, flooding and vanishing in turn. The record is printed as a table and written as
JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from studio_process import StudioProcess, free_port
from studio_viewers import BADLY_BEHAVED, Crowd, Patient, Viewer

from shotstream.machine.provenance import commit, hardware, now
from shotstream.serving.storage.store import Store

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
RESULT = Path(__file__).parent / "results" / "studio_load.json"
HEALTH_EVERY_SECONDS = 0.2


class Observer:
    """Looks at the server while it works, from a thread of its own."""

    def __init__(self, studio: StudioProcess) -> None:
        self._studio = studio
        self.memory: list[tuple[float, int]] = []
        """(seconds since the beginning, resident bytes)."""
        self.health_seconds: list[float] = []
        """How long /healthz took: the lag of the event loop, and what the machine adds."""
        self.not_healthy = 0
        self.done = False

    def watch(self) -> None:
        """Ask and measure until `done`."""
        began = time.monotonic()
        while not self.done:
            asked = time.monotonic()
            self._ask()
            self.health_seconds.append(time.monotonic() - asked)
            if len(self.health_seconds) % 5 == 1:
                self.memory.append((asked - began, self._studio.resident_bytes))
            time.sleep(HEALTH_EVERY_SECONDS)

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._studio.port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            self.not_healthy += connection.getresponse().status != 200
        except OSError:
            self.not_healthy += 1
        finally:
            connection.close()


async def load(studio: StudioProcess, minutes: float, stories: int, viewers: int) -> dict[str, Any]:
    """Run the load; return its figures."""
    url = f"http://127.0.0.1:{studio.port}"
    told = [studio.begin_story(SETTING, seed) for seed in range(stories)]
    patient = [Patient(url, story, f"127.0.1.{place + 1}") for place, story in enumerate(told)]
    others: list[Viewer] = [
        BADLY_BEHAVED[place % len(BADLY_BEHAVED)](url, told[place % stories], f"127.0.2.{place + 1}")
        for place in range(viewers - stories)
    ]
    crowd = Crowd(others, minutes * 60)
    observer = Observer(studio)
    observing = asyncio.create_task(asyncio.to_thread(observer.watch))
    tasks = [asyncio.create_task(viewer.live()) for viewer in patient]
    await asyncio.sleep(minutes * 60)
    for viewer in patient:
        viewer.directs = False
    seen_by_others = await asyncio.to_thread(crowd.figures)
    quiet = await _until_quiet(patient)
    metrics = studio.ask("/metrics")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    observer.done = True
    await observing
    await asyncio.sleep(2)
    left = _metric(studio.ask("/metrics"), "shotstream_viewers")
    viewers_seen = [*(viewer.figures() for viewer in patient), *seen_by_others]
    figures = summarise(patient, observer, metrics)
    return figures | {"told_to_the_end": quiet, "viewers_left_at_the_end": left, "viewers": viewers_seen}


async def _until_quiet(patient: Sequence[Patient], most_seconds: float = 60) -> bool:
    """Wait until all shots have ended and everything that was made has come; return whether it has."""
    end = time.monotonic() + most_seconds
    while time.monotonic() < end and any(viewer.state != "idle" for viewer in patient):
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    return all(viewer.state == "idle" for viewer in patient)


def summarise(patient: Sequence[Patient], observer: Observer, metrics: str) -> dict[str, Any]:
    """Figures of a load that has ended."""
    chunks = sorted(sample for viewer in patient for sample in viewer.chunk_seconds)
    seconds = [taken for _, taken in chunks]
    third = len(seconds) // 3
    first, last = statistics.fmean(seconds[:third]), statistics.fmean(seconds[-third:])
    made, took = (_metric(metrics, f"shotstream_chunk_seconds_{of}") for of in ("count", "sum"))
    return {
        "chunks": int(made),
        "chunk_seconds": spread(seconds) | {"mean": took / made, "sampled": len(seconds)},
        "chunk_seconds_first_third": first,
        "chunk_seconds_last_third": last,
        "drift": last / first - 1,
        "turn_seconds": spread([one for viewer in patient for one in viewer.turn_seconds]),
        "turn_seconds_by_story": [spread(viewer.turn_seconds) for viewer in patient],
        "prompt_to_glass_seconds": spread([one for viewer in patient for one in viewer.glass_seconds]),
        "health_seconds": spread(observer.health_seconds),
        "not_healthy": observer.not_healthy,
        "memory": memory_figures(observer.memory),
        "dropped_frames": _metric(metrics, "shotstream_dropped_frames_total"),
        "refused": _labelled(metrics, "shotstream_refused_requests_total"),
    }


def memory_figures(samples: list[tuple[float, int]]) -> dict[str, Any]:
    """Resident memory after a minute (or half the time), at the end, and a sample each half minute."""
    settled = min(60.0, samples[-1][0] / 2)
    after = next(size for moment, size in samples if moment >= settled)
    every = [
        round(size / 2**20)
        for number, (_, size) in enumerate(samples)
        if number % max(1, len(samples) // 30) == 0
    ]
    end = samples[-1][1]
    return {"settled_bytes": after, "end_bytes": end, "growth_bytes": end - after, "mebibytes": every}


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and the largest; nothing of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": statistics.median(ordered), "p95": p95, "max": ordered[-1]}


def missing_frames(library: Path, seen: dict[str, int]) -> dict[str, int]:
    """How many frames that were made did not come to the patient viewer of each story."""
    with Store(library) as store:
        made = {story: sum(chunk.frames for chunk in store.load(story).chunks) for story in seen}
    return {story: made[story] - frames for story, frames in seen.items()}


def _metric(page: str, name: str) -> float:
    return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"{name} "))


def _labelled(page: str, name: str) -> dict[str, float]:
    lines = [line for line in page.splitlines() if line.startswith(f"{name}{{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def show(record: dict[str, Any]) -> None:
    """Print the record."""
    figures = record["figures"]
    table = Table("", "p50", "p95", "max", title=f"Studio under load: {record['settings']}")
    for name in ("chunk_seconds", "turn_seconds", "prompt_to_glass_seconds", "health_seconds"):
        of = figures[name]
        table.add_row(name, *(f"{of[part]:.3f}" if part in of else "-" for part in ("p50", "p95", "max")))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    told = {name: figure for name, figure in figures.items() if not name.endswith("seconds")}
    console.print_json(json.dumps(told))
    console.print(f"load average before and after: {record['load_average']}")


def main() -> None:
    """Read the options, run, write the record."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--minutes", type=float, default=15.0)
    options.add_argument("--stories", type=int, default=4)
    options.add_argument("--viewers", type=int, default=8)
    options.add_argument("-o", "--output", type=Path, default=RESULT)
    given = options.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        studio = StudioProcess(library, free_port())
        try:
            studio.wait_ready()
            figures = asyncio.run(load(studio, given.minutes, given.stories, given.viewers))
        finally:
            studio.stop()
        seen = {viewer["story"]: viewer["frames"] for viewer in figures["viewers"] if "frames" in viewer}
        figures["missing_frames"] = missing_frames(library, seen)
    record = {
        "date": now(),
        "commit": commit(),
        "hardware": hardware("cpu"),
        "load_average": {"before": before, "after": os.getloadavg()},
        "settings": {"minutes": given.minutes, "stories": given.stories, "viewers": given.viewers},
        "figures": figures,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(record, indent=2) + "\n")
    show(record)


if __name__ == "__main__":
    main()
