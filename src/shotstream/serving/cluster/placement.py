"""Where stories are told: which replica, and who waits for a place, for how long."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.leases import Leases, ReplicaEntry

LOOK_SECONDS = 0.25
"""How often a replica or a place is looked for."""
PATIENCE_SECONDS = 20.0
"""How long a request waits for a replica to come back, or for a place."""
MOST_WAITING = 256
PROMISE_SECONDS = 1.0
"""For so long a place that was given counts as taken, besides the story's lease."""


@dataclass(eq=False)
class _Turn:
    """One who wants a place."""

    has_come: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the one before has gone."""
    waits: bool = False
    """Whether there was none at once."""


class Placement:
    """Finds the replica of a story, on an event loop. It keeps no story: any number of these may run.

    Args:
        leases: The replicas and their stories.
        patience_seconds: How long a request waits at most.
    """

    def __init__(self, leases: Leases, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._leases, self._patience = leases, patience_seconds
        self._waiting: deque[_Turn] = deque()
        self._promised: deque[tuple[float, str]] = deque()
        """Places that were given a moment ago, whose stories may have no lease yet."""

    @property
    def waiting(self) -> int:
        """How many wait for a place: those who found none at once."""
        return sum(turn.waits for turn in self._waiting)

    async def any_replica(self) -> ReplicaEntry:
        """A replica for what belongs to no story: the one with most room.

        Raises:
            Refusal: If none is there.
        """
        return await self._patiently(self._any, "no replica of the studio is there; come back in a moment")

    async def of_story(self, story: str) -> ReplicaEntry:
        """The replica that tells a story; one is chosen if none does.

        Raises:
            Refusal: If none is there.
        """

        async def find() -> ReplicaEntry | None:
            owner = await asyncio.to_thread(self._leases.owner, story)
            if owner is not None and not owner.draining:
                return owner
            if owner is None and (chosen := await self._any()):
                await asyncio.to_thread(self._leases.assign, story, chosen.name)
            return None

        return await self._patiently(find, "no replica can take the story; come back in a moment", at_once=1)

    async def new_place(self) -> ReplicaEntry:
        """A replica that can tell another story at its pace; who came first is served first.

        Raises:
            Refusal: If there is none in time; it says how many wait, and for how long about.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Refusal("busy", await self.forecast(MOST_WAITING))
        turn, clock = _Turn(), asyncio.get_running_loop().time
        until = clock() + self._patience
        self._waiting.append(turn)  # before anything is awaited, or the quicker look would be served first
        try:
            while True:
                if self._waiting[0] is turn and (found := await self._free()):
                    return found
                if clock() >= until:
                    raise Refusal("busy", await self.forecast(self._waiting.index(turn)))
                turn.waits = True
                with suppress(TimeoutError):
                    await asyncio.wait_for(turn.has_come.wait(), LOOK_SECONDS)
                turn.has_come.clear()
        finally:
            self._waiting.remove(turn)
            if self._waiting:
                self._waiting[0].has_come.set()

    async def forecast(self, before: int) -> str:
        """Say how long it takes until a place is free for who has so many before them."""
        known = await asyncio.to_thread(self._leases.replicas)
        places = sum(one.figures.places for one in known)
        seconds = wait_seconds(known, before)
        if seconds is None:
            about = "nobody has left yet, so nobody can say for how long"
        else:
            about = f"a place is free in about {max(1, round(seconds))} seconds"
        return f"all {places} places are taken and {before} wait before you; {about}. Try again then"

    async def _any(self) -> ReplicaEntry | None:
        known = [one for one in await asyncio.to_thread(self._leases.replicas) if not one.draining]
        return max(known, key=lambda one: (one.room, -one.stories), default=None)

    async def _free(self) -> ReplicaEntry | None:
        known = await asyncio.to_thread(self._leases.replicas)
        now = asyncio.get_running_loop().time()
        while self._promised and now - self._promised[0][0] > PROMISE_SECONDS:
            self._promised.popleft()
        given = Counter(name for _, name in self._promised)
        free = [one for one in known if one.room > given[one.name]]
        found = max(free, key=lambda one: one.room - given[one.name], default=None)
        if found:
            self._promised.append((now, found.name))
        return found

    async def _patiently(self, find, sentence: str, at_once: int = 0) -> ReplicaEntry:
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience
        while True:
            if (found := await find()) is not None:
                return found
            if clock() > until:
                raise Refusal("busy", sentence)
            if at_once:
                at_once -= 1
            else:
                await asyncio.sleep(LOOK_SECONDS)


def wait_seconds(replicas: Sequence[ReplicaEntry], before: int) -> float | None:
    """Mean time until a place is free for who has so many before them; None where nothing was measured.

    Each of N places is free once in the mean time that a story is told, so one is free every N-th part of it.
    """
    known = [one for one in replicas if one.figures.playing_seconds is not None and one.figures.places]
    if not known:
        return None
    rate = sum(one.figures.places / max(one.figures.playing_seconds or 0, 1e-3) for one in known)
    return (before + 1) / rate
