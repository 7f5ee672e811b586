"""A library that several replicas of a studio write, each the stories that it has leases of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shotstream.media.files import make_folder, write_errors
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.leases import Leases
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import Swept

if TYPE_CHECKING:
    from sqlalchemy import Connection


class SharedStore(Store):
    """The library as one replica sees it. The process that starts the replicas holds the folder's lock.

    Args:
        library: The folder.
        url: SQLAlchemy URL of the database; by default SQLite in the folder, which all replicas must share
            on one machine.
        replica: Name of the replica.
        media: Address of the files, see `Store`; the folder may be this machine's own then, and is made.

    Raises:
        StoreError: If the database cannot be used.
    """

    def __init__(self, library: Path, url: str | None, replica: str, media: str | None = None) -> None:
        if media is not None:
            with write_errors(library):
                make_folder(library, 0o700)
        super().__init__(library, url, claim=False, media=media)
        self.replica = replica
        self.exports = library / "exports" / replica

    def sweep(self) -> Swept:
        """Leave all as it is: what is not journalled yet may be another replica's."""
        return Swept()

    def claim(self, story: str) -> None:
        """Take the lease of a story, or see that it is this replica's.

        Raises:
            Refusal: If another replica tells it, or this one is drained.
        """
        owner = self.leases.owner(story)
        if owner is None and self.leases.assign(story, self.replica):
            return
        owner = owner or self.leases.owner(story)
        if owner is None or owner.name != self.replica or owner.draining:
            raise Refusal("not_now", "the story goes on elsewhere; connect again")

    def _check_lease(self, connection: Connection, story: str) -> None:
        Leases.check(connection, story, self.replica)
