"""How much a library may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.catalogue import Catalogue
from shotstream.serving.storage.store import Store

_MEASURED_FOR_SECONDS = 30.0


@dataclass(frozen=True)
class Quotas:
    """What is refused when the library has so much of it already."""

    stories: int = 10_000
    """Of the library, those that were put away and branches too."""
    branches: int = 100
    """Of one story."""
    uploads: int = 1_000
    """Pictures of the library."""
    disk_bytes: int | None = None
    """Of the library; None for all that the disk has. What runs already comes to its end."""


class QuotaKeeper:
    """Sees whether there may be more.

    Args:
        store: The library.
        quotas: How much there may be.
        clock: Seconds that run evenly.
    """

    def __init__(
        self, store: Store, quotas: Quotas | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._quotas, self._clock = store, quotas or Quotas(), clock
        self._catalogue = Catalogue(store)
        self._bytes, self._measured_at = 0, float("-inf")

    def measure(self) -> None:
        """Look how large the library is, if there is a limit."""
        if self._quotas.disk_bytes is not None:
            self._bytes, self._measured_at = self._store.media.size(), self._clock()

    def check_story(self) -> None:
        """See whether another story may begin.

        Raises:
            Refusal: If not.
        """
        self.check_disk()
        if (stories := self._catalogue.stories()) >= self._quotas.stories:
            raise Refusal("limit", f"the library has {stories} stories, the most there can be; {_DELETE}")

    def check_branch(self, story: str) -> None:
        """See whether another story may branch off this one.

        Raises:
            Refusal: If not.
        """
        self.check_story()
        if (branches := self._catalogue.branches(story)) >= self._quotas.branches:
            raise Refusal("limit", f"the story has {branches} branches, the most there can be; {_DELETE}")

    def check_upload(self) -> None:
        """See whether another picture may be brought.

        Raises:
            Refusal: If not.
        """
        self.check_disk()
        uploads = len(self._store.picture_names())
        if uploads >= self._quotas.uploads:
            raise Refusal("limit", f"the library has {uploads} pictures, the most there can be")

    def check_disk(self) -> None:
        """See whether more may be made; nobody waits until the library is measured again.

        Raises:
            Refusal: If not.
        """
        most = self._quotas.disk_bytes
        if most is None:
            return
        if self._clock() - self._measured_at > _MEASURED_FOR_SECONDS:
            self._measured_at = self._clock()
            threading.Thread(target=self.measure, name="quotas", daemon=True).start()
        if self._bytes >= most:
            size = f"{self._bytes / 2**30:.2f} of {most / 2**30:.2f} GiB"
            raise Refusal("limit", f"the library has {size} that it may take; {_DELETE}")


_DELETE = "delete some for good first"
