"""Which replica of a studio tells which story: a lease row for each, written in the library's database.

A story has one lease at most. Its replica looks at the lease in the transaction of everything it journals, so
a replica that was given up can write nothing more, however long it goes on by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shotstream.serving.storage import database
from shotstream.serving.storage.schema import leases, replicas
from shotstream.serving.storage.stored import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BEAT_SECONDS = 1.0
"""How often a replica says that it is there."""
SILENT_SECONDS = 10.0
"""A replica that was not heard of for so long is given no story."""


class LeaseLost(StoreError):
    """A story is told by another replica by now."""


@dataclass(frozen=True)
class ReplicaFigures:
    """How much a replica does, and has room for."""

    places: int = 0
    """Stories that it can tell at the pace at which they are shown."""
    viewers: int = 0
    real_time_factor: float = 0.0
    """Seconds to make a chunk by the seconds that it is shown; 0 before the first."""
    free_bytes: int | None = None
    """Memory of its device that is free; None if nothing tells."""
    playing_seconds: float | None = None
    """How long a story was told from its beginning to its rest, in the mean; None before the first."""


@dataclass(frozen=True)
class ReplicaEntry:
    """A replica as the database knows it."""

    name: str
    address: str
    """Host and port of its HTTP server."""
    draining: bool
    """Whether its stories go elsewhere."""
    beat_seconds: float
    """When it was heard of last, in seconds since 1970."""
    figures: ReplicaFigures = field(default_factory=ReplicaFigures)
    stories: int = 0
    """How many it has leases of."""

    @property
    def room(self) -> int:
        """How many more stories it has a place for."""
        silent = time.time() - self.beat_seconds > SILENT_SECONDS
        return 0 if self.draining or silent else max(0, self.figures.places - self.stories)


class Leases:
    """The replicas of a library and their stories, read and written by any process.

    Every method raises `StoreError` if the database cannot be used.

    Args:
        engine: The library's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ---- replicas ----

    def clear(self) -> None:
        """Forget all replicas and leases: none runs."""
        with self._writing() as connection:
            connection.execute(delete(leases))
            connection.execute(delete(replicas))

    def add(self, name: str, address: str, figures: ReplicaFigures) -> None:
        """Make a replica known, which has no story yet."""
        row = {"name": name, "address": address, "draining": False, "beat_seconds": time.time()}
        with self._writing() as connection:
            connection.execute(insert(replicas).values(**row, figures=asdict(figures)))

    def beat(self, name: str, figures: ReplicaFigures) -> bool:
        """Say that a replica is there; return False if it was given up."""
        values = {"beat_seconds": time.time(), "figures": asdict(figures)}
        with self._writing() as connection:
            changed = connection.execute(update(replicas).where(replicas.c.name == name).values(**values))
            return changed.rowcount == 1

    def drain(self, name: str) -> None:
        """Give a replica no more stories."""
        with self._writing() as connection:
            connection.execute(update(replicas).where(replicas.c.name == name).values(draining=True))

    def drop(self, name: str) -> list[str]:
        """Give up a replica; return the stories that nobody tells now."""
        with self._writing() as connection:
            self._lock(connection, name)
            of_it = leases.c.replica == name
            stories = [row.story for row in connection.execute(select(leases.c.story).where(of_it))]
            connection.execute(delete(leases).where(of_it))
            connection.execute(delete(replicas).where(replicas.c.name == name))
        return stories

    def replicas(self) -> list[ReplicaEntry]:
        """List the replicas, with how many stories each has."""
        counts = select(leases.c.replica, func.count().label("stories")).group_by(leases.c.replica).subquery()
        joined = replicas.outerjoin(counts, counts.c.replica == replicas.c.name)
        found = select(replicas, func.coalesce(counts.c.stories, 0).label("stories")).select_from(joined)
        with database.database_errors(), self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(found.order_by(replicas.c.name))]

    # ---- stories ----

    def owner(self, story: str) -> ReplicaEntry | None:
        """The replica that tells a story; None if none does."""
        joined = replicas.join(leases, leases.c.replica == replicas.c.name)
        found = select(replicas).select_from(joined).where(leases.c.story == story)
        with database.database_errors(), self._engine.connect() as connection:
            row = connection.execute(found).first()
        return _entry(row) if row else None

    def of(self, name: str) -> set[str]:
        """The stories of a replica."""
        found = select(leases.c.story).where(leases.c.replica == name)
        with database.database_errors(), self._engine.connect() as connection:
            return set(connection.execute(found).scalars())

    def assign(self, story: str, name: str) -> bool:
        """Give a story that nobody tells to a replica.

        Returns:
            False if somebody tells it by now, or the replica was given up or is drained.
        """
        try:
            with self._writing() as connection:
                row = self._lock(connection, name)
                if row is None or row.draining or _lease(connection, story) is not None:
                    return False
                connection.execute(insert(leases).values(story=story, replica=name))
                return True
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):  # another one was a moment quicker
                return False
            raise

    def release(self, story: str, name: str) -> None:
        """Let others tell a story of a replica."""
        with self._writing() as connection:
            of_it = (leases.c.story == story) & (leases.c.replica == name)
            connection.execute(delete(leases).where(of_it))

    @staticmethod
    def check(connection: Connection, story: str, name: str) -> None:
        """See in a transaction that a story is a replica's; it stays so until the transaction ends.

        Raises:
            LeaseLost: If it is not.
        """
        if _lease(connection, story) != name:
            raise LeaseLost("the story is told elsewhere by now; connect again")

    @staticmethod
    def _lock(connection: Connection, name: str) -> Any:
        return connection.execute(select(replicas).where(replicas.c.name == name).with_for_update()).first()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with database.database_errors(), database.writer(self._engine).begin() as connection:
            yield connection


def _lease(connection: Connection, story: str) -> str | None:
    return connection.execute(
        select(leases.c.replica).where(leases.c.story == story).with_for_update()
    ).scalar()


def _entry(row: Any) -> ReplicaEntry:
    known = {name: value for name, value in (row.figures or {}).items() if name in _FIGURES}
    stories = row._mapping.get("stories", 0)
    return ReplicaEntry(
        row.name, row.address, row.draining, row.beat_seconds, ReplicaFigures(**known), stories
    )


_FIGURES = set(ReplicaFigures.__dataclass_fields__)
