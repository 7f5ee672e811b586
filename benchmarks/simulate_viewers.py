"""Viewers of a studio of replicas, simulated event by event: what saturates first.

    python benchmarks/simulate_viewers.py                       # the table of docs/scale.md
    python benchmarks/simulate_viewers.py --viewers 5000 --gpus 16 --seeds 5

People come at random (Poisson). Most watch a story that somebody directs; some direct one of their own. A
director needs a place, waits for one in order, and leaves when none is free in time. A replica has one GPU
and makes a chunk of each of its stories in turn. How long a chunk takes is drawn from measured chunks; what a
chunk and a message cost is measured by `measure_scale.py`. How people behave is assumed, and said below.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

RESULTS = Path(__file__).with_name("results")
SPARE = 0.9
PATIENCE_SECONDS = 20.0
"""As `serving/cluster` has them."""


@dataclass(frozen=True)
class Behaviour:
    """What is assumed of people."""

    directs: float = 0.01
    """Part of those who come that direct a story; the others watch one."""
    directing_seconds: float = 600.0
    """Mean time that a story is directed (exponential)."""
    watching_seconds: float = 300.0
    """Mean time that somebody watches (exponential)."""
    busy: float = 0.6
    """Part of the time of a directed story in which its shots run; else its director thinks."""
    shot_seconds: float = 5.0
    """Mean length of a shot (exponential)."""


@dataclass(frozen=True)
class Costs:
    """What was measured."""

    chunk_seconds: tuple[float, ...]
    """To make a chunk, of many."""
    film_seconds: float
    """How long a chunk is shown."""
    frames: int
    """Of a chunk; each is a message to every viewer."""
    clip_bytes: float
    latent_bytes: float
    journal_seconds: float
    replica_seconds: float
    """Of a processor, for a message to a viewer; the same of an ingress:"""
    ingress_seconds: float

    @classmethod
    def read(cls, speed: Path, scale: Path) -> Costs:
        """Read the records of the benchmarks."""
        timed, found = (json.loads(path.read_text()) for path in (speed, scale))
        settings = found["settings"]
        return cls(
            tuple(itertools.chain.from_iterable(timed["figures"]["chunk_seconds"])),
            settings["frames"] / settings["fps"],
            settings["frames"],
            found["clip_bytes"]["mean"],
            found["latent_bytes"],
            found["journal_seconds"],
            found["replica_seconds_per_message"],
            found["ingress_seconds_per_message"],
        )

    @property
    def places(self) -> int:
        """Stories that a GPU tells at the pace at which they are shown."""
        return max(1, int(SPARE * self.film_seconds / statistics.mean(self.chunk_seconds)))


@dataclass(eq=False)
class Story:
    """A story that somebody directs."""

    until: float
    viewers: int = 1
    waits_until: float = 0.0
    """Its director thinks so long."""
    shown: float = 0.0
    """When what is made will have been shown."""
    late: int = 0
    chunks: int = 0


@dataclass(eq=False)
class Replica:
    """A GPU and its stories."""

    stories: deque[Story] = field(default_factory=deque)
    busy_until: float = 0.0
    worked: float = 0.0
    peak_viewers: int = 0


@dataclass
class Found:
    """What came of a run."""

    asked: int = 0
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    chunks: int = 0
    late: int = 0
    turned_away: int = 0
    """Viewers over the limit of a replica."""
    watched: int = 0
    peak_watching: int = 0
    gpu: float = 0.0
    peak_replica_viewers: int = 0


class Simulation:
    """A studio with so many GPUs, for a while.

    Args:
        viewers: Mean number of people who are there, those who direct included.
        gpus: Replicas.
        most_viewers: Of a replica (`--viewers`).
        seed: Of all that is random.
    """

    def __init__(
        self, viewers: int, gpus: int, most_viewers: int, behaviour: Behaviour, costs: Costs, seed: int
    ) -> None:
        self._random, self._behaviour, self._costs = random.Random(seed), behaviour, costs
        self._most_viewers = most_viewers
        self._replicas = [Replica() for _ in range(gpus)]
        self._waiting: deque[tuple[float, float]] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers, self._now, self._watching = itertools.count(), 0.0, 0
        self.found = Found()
        stay = behaviour.directs * behaviour.directing_seconds
        stay += (1 - behaviour.directs) * behaviour.watching_seconds
        self._rate = viewers / stay

    def run(self, seconds: float) -> Found:
        """Let time pass; people come until the end."""
        self._at(self._random.expovariate(self._rate), self._come)
        while self._events and self._events[0][0] < seconds:
            self._now, _, happens = heapq.heappop(self._events)
            happens()
        self.found.gpu = statistics.mean(one.worked for one in self._replicas) / seconds
        self.found.peak_replica_viewers = max(one.peak_viewers for one in self._replicas)
        return self.found

    def _at(self, moment: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), happens))

    def _come(self) -> None:
        self._at(self._now + self._random.expovariate(self._rate), self._come)
        if self._random.random() < self._behaviour.directs:
            self.found.asked += 1
            wants = (self._now, self._random.expovariate(1 / self._behaviour.directing_seconds))
            self._waiting.append(wants)
            self._place()
            self._at(self._now + PATIENCE_SECONDS, self._give_up)
        else:
            self._watch()

    def _place(self) -> None:
        """Give free places to those who wait, in order."""
        while self._waiting:
            replica = min(self._replicas, key=lambda one: len(one.stories))
            if len(replica.stories) >= self._costs.places:
                return
            since, seconds = self._waiting.popleft()
            self.found.waits.append(self._now - since)
            story = Story(self._now + seconds)
            replica.stories.append(story)
            self._at(story.until, partial(self._end, replica, story))
            self._work(replica)

    def _give_up(self) -> None:
        while self._waiting and self._now - self._waiting[0][0] >= PATIENCE_SECONDS - 1e-9:
            self._waiting.popleft()
            self.found.refused += 1

    def _end(self, replica: Replica, story: Story) -> None:
        replica.stories.remove(story)
        self.found.chunks += story.chunks
        self.found.late += story.late
        self._place()

    def _watch(self) -> None:
        """Watch a story, the more likely the more watch it already."""
        running = [(one, story) for one in self._replicas for story in one.stories]
        if not running:
            return
        replica, story = self._random.choices(running, [told.viewers for _, told in running])[0]
        there = sum(told.viewers for told in replica.stories)
        if there >= self._most_viewers:
            self.found.turned_away += 1
            return
        story.viewers += 1
        self.found.watched += 1
        self._watching += 1
        self.found.peak_watching = max(self.found.peak_watching, self._watching)
        replica.peak_viewers = max(replica.peak_viewers, there + 1)
        leaves = min(self._now + self._random.expovariate(1 / self._behaviour.watching_seconds), story.until)
        self._at(leaves, partial(self._leave, story))

    def _leave(self, story: Story) -> None:
        story.viewers -= 1
        self._watching -= 1

    def _work(self, replica: Replica) -> None:
        """Make a chunk of the story whose turn it is; look again when there is something to do."""
        if replica.busy_until > self._now:
            return
        for story in list(replica.stories):
            if max(story.waits_until, story.shown - 2.0) <= self._now:  # two seconds are made ahead
                replica.stories.remove(story)
                replica.stories.append(story)
                seconds = self._random.choice(self._costs.chunk_seconds)
                replica.worked += seconds
                replica.busy_until = self._now + seconds
                self._at(replica.busy_until, partial(self._made, replica, story))
                return
        moments = [max(one.waits_until, one.shown - 2.0) for one in replica.stories]
        if moments:
            self._at(max(min(moments), self._now + 1e-6), partial(self._work, replica))

    def _made(self, replica: Replica, story: Story) -> None:
        costs, behaviour = self._costs, self._behaviour
        story.chunks += 1
        if story.shown and story.shown < self._now and story.waits_until < story.shown:
            story.late += 1
        story.shown = max(story.shown, self._now) + costs.film_seconds
        if self._random.random() < costs.film_seconds / behaviour.shot_seconds:  # the shot ends
            idle = behaviour.shot_seconds * (1 - behaviour.busy) / behaviour.busy
            story.waits_until = story.shown + self._random.expovariate(1 / idle)
            story.shown = 0.0
        self._work(replica)


def line(viewers: int, gpus: int, most_viewers: int, seconds: float, seeds: int, costs: Costs) -> list[str]:
    """Simulate, and say what was found as a row of the table; means over the seeds."""
    runs = [
        Simulation(viewers, gpus, most_viewers, Behaviour(), costs, seed).run(seconds)
        for seed in range(seeds)
    ]

    def mean(of: Callable[[Found], float]) -> float:
        return statistics.mean(map(of, runs))

    refused = mean(lambda one: one.refused / max(1, one.asked))
    waits = sorted(itertools.chain.from_iterable(one.waits for one in runs))
    away = mean(lambda one: one.turned_away / max(1, one.turned_away + one.watched))
    gpu, peak = mean(lambda one: one.gpu), mean(lambda one: one.peak_watching)
    at_one = mean(lambda one: one.peak_replica_viewers)
    messages = costs.frames / costs.film_seconds
    loads = {
        "places (GPUs)": 1.0 + refused if refused > 0.01 else gpu,
        "viewers of a replica": 1.0 + away if away > 0.01 else at_one / most_viewers,
        "a replica's event loop": at_one * messages * costs.replica_seconds,
        "a replica's 10 Gbit/s": at_one * costs.clip_bytes * 8 / costs.film_seconds / 10e9,
    }
    return [
        f"{viewers:,}",
        str(gpus),
        f"{most_viewers:,}",
        f"{gpu:.0%}",
        f"{refused:.0%}",
        f"{waits[int(0.95 * len(waits))]:.1f} s" if waits else "",
        f"{mean(lambda one: one.late / max(1, one.chunks)):.1%}",
        f"{away:.0%}",
        f"{peak:,.0f}",
        f"{peak * costs.clip_bytes * 8 / costs.film_seconds / 1e9:.2f}",
        f"{peak * messages * costs.ingress_seconds:.1f}",
        max(loads, key=lambda name: loads[name]),
    ]


HEAD = [
    "viewers", "GPUs", "most a replica", "GPUs busy", "directors refused", "wait p95", "chunks late",
    "watchers turned away", "watch at most", "Gbit/s", "ingress cores", "first at its limit",
]  # fmt: skip


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--viewers", type=int, nargs="+", default=[1_000, 100_000])
    arguments.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    arguments.add_argument("--most-viewers", type=int, nargs="+", default=[64, 2_000])
    arguments.add_argument("--seconds", type=float, default=1_800.0)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--speed", type=Path, default=RESULTS / "wan-1.3b-480x832-h100-live.json")
    arguments.add_argument("--scale", type=Path, default=RESULTS / "scale.json")
    chosen = arguments.parse_args()
    costs = Costs.read(chosen.speed, chosen.scale)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for row in itertools.product(chosen.viewers, chosen.gpus, chosen.most_viewers):
        print(f"| {' | '.join(line(*row, chosen.seconds, chosen.seeds, costs))} |", flush=True)


if __name__ == "__main__":
    main()
