"""The replicas of a studio as Ray actors: started, watched, started again when they die, drained.

They are plain actors, and no deployment of Ray Serve. Serve would choose a replica for every socket, but a
story lives on one; its proxy would stand where our own limits of requests and sockets are; and it ends a
replica that scales down after a time, whether or not its stories have gone on elsewhere.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from shotstream.machine.cluster import Cluster, ClusterError, load_ray
from shotstream.serving.cluster.replica import Replica, ReplicaSettings
from shotstream.serving.storage.leases import Leases, ReplicaEntry

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
IDLE_SECONDS = 60.0
"""A replica that has had no story for so long is drained, where fewer are enough."""
DRAIN_SECONDS = 60.0
_BACK_OFF_SECONDS = 5.0
"""A replica that ended sooner after its start is started again after so long."""


@dataclass
class _Running:
    """One replica, as who started it sees it."""

    actor: Any
    ended: Any
    """A call that is answered, or fails, when it ends."""
    since: float = field(default_factory=time.monotonic)
    idle_since: float | None = None
    leaves: bool = False
    """Whether it is to end."""


class ReplicaSet:
    """Keeps so many replicas running until it is closed.

    Args:
        cluster: Where.
        settings: What they have in common.
        leases: The replicas and stories, as the library's database knows them.
        least: How many there are always.
        most: How many there may be while stories wait for a place; None for `least`.
        waiting: Gives how many stories wait.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: ReplicaSettings,
        leases: Leases,
        least: int,
        most: int | None = None,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._cluster, self._settings, self._leases = cluster, settings, leases
        self._least, self._most, self.waiting = least, max(least, most or least), waiting
        self._running: dict[str, _Running] = {}
        self._lock, self._closing = Lock(), Event()
        self._thread = Thread(target=self._watch, name="replicas", daemon=True)
        self._drains = ThreadPoolExecutor(4, "drain")

    def start(self) -> None:
        """Start the replicas, and return when all are ready.

        Raises:
            ClusterError: If they do not fit the cluster, or one cannot be started.
        """
        if self._most > self._cluster.size:
            raise ClusterError(
                f"{self._most} replicas do not fit the cluster, which has room for {self._cluster.size} on "
                f"{self._cluster.device}; give fewer --replicas."
            )
        ray = load_ray()
        for _ in range(self._least):
            self._start_one()
        for running in list(self._running.values()):
            try:
                ray.get(running.actor.process.remote())
            except ray.exceptions.RayActorError as error:
                self.close()
                last = str(error).strip().splitlines()[-1]
                raise ClusterError(
                    f"A replica cannot be started ({last}); mend that, then try again."
                ) from error
        self._thread.start()

    @property
    def names(self) -> list[str]:
        """Names of the replicas that are to go on."""
        with self._lock:
            return [name for name, one in self._running.items() if not one.leaves]

    def actor(self, name: str) -> Any:
        """A replica, to be asked through Ray."""
        return self._running[name].actor

    def resize(self, count: int) -> None:
        """Have so many replicas; those that are too many are drained, those with least stories first."""
        self._least, self._most = count, count
        stories = {entry.name: entry.stories for entry in self._leases.replicas()}
        names = sorted(self.names, key=lambda name: stories.get(name, 0))
        for name in names[: max(0, len(names) - count)]:
            self.drain(name)
        for _ in range(count - len(names)):
            self._start_one()

    def drain(self, name: str) -> None:
        """Let a replica end its running chunks and its stories go on elsewhere, then end it."""
        self._running[name].leaves = True
        self._drains.submit(self._drain, name)

    def close(self) -> None:
        """Drain all replicas and end them."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        list(self._drains.map(self._drain, list(self._running)))
        self._drains.shutdown()

    def _start_one(self) -> None:
        name = f"replica-{secrets.token_hex(4)}"
        share = {"num_gpus": 1} if self._cluster.device == "cuda" else {"num_cpus": 1}
        remote = load_ray().remote(max_restarts=0, max_concurrency=8, scheduling_strategy="SPREAD", **share)
        actor = remote(Replica).remote(name, self._settings)
        with self._lock:
            self._running[name] = _Running(actor, actor.wait.remote())

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self._replace_dead()
                self._fit_need(self._leases.replicas())
            except Exception as error:  # of the database or of Ray: the others go on
                log.error("the replicas could not be looked after (%s)", error)

    def _replace_dead(self) -> None:
        ray = load_ray()
        with self._lock:
            by_call = {one.ended: name for name, one in self._running.items() if not one.leaves}
        ended, _ = ray.wait(list(by_call), num_returns=len(by_call), timeout=0) if by_call else ([], [])
        for call in ended:
            name = by_call[call]
            stories = self._leases.drop(name)
            with self._lock:
                one = self._running.pop(name)
            log.error("replica %s ended; its %d stories go on elsewhere", name, len(stories))
            soon = time.monotonic() - one.since < _BACK_OFF_SECONDS
            if not self._closing.wait(_BACK_OFF_SECONDS if soon else 0):
                self._start_one()

    def _fit_need(self, known: list[ReplicaEntry]) -> None:
        """Start a replica where stories wait; drain one that has had none for long."""
        now = time.monotonic()
        if self.waiting() and len(self.names) < self._most and len(known) >= len(self.names):
            self._start_one()
        for entry in known:
            one = self._running.get(entry.name)
            if one is None:
                continue
            one.idle_since = None if entry.stories else one.idle_since or now
            idle = one.idle_since is not None and now - one.idle_since > IDLE_SECONDS
            if idle and len(self.names) > self._least and not one.leaves:
                self.drain(entry.name)

    def _drain(self, name: str) -> None:
        ray = load_ray()
        one = self._running.get(name)
        if one is None:
            return
        is_known = any(entry.name == name for entry in self._leases.replicas())
        try:
            if is_known:  # else it is being started, and has no story
                ray.get(one.actor.drain.remote(), timeout=DRAIN_SECONDS)
        except (ray.exceptions.RayError, TimeoutError) as error:
            log.error("replica %s could not be drained (%s)", name, type(error).__name__)
        ray.kill(one.actor)
        self._leases.drop(name)
        with self._lock:
            self._running.pop(name, None)
