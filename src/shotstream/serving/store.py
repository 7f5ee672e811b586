"""A library of stories on disk: what was journalled is there after any kill, power failure or full disk."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import string
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from shotstream.media.files import DiskFull, write_bytes, write_errors
from shotstream.serving import database, rows
from shotstream.serving.stored import (
    ChunkMeta,
    StoredCommand,
    StoredShot,
    StoredStory,
    StoreError,
    StorySummary,
    Swept,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LETTERS = string.ascii_lowercase + string.digits


class Store:
    """The journal of every story in a library folder.

    ::

        library.db                              the tables, unless another database is named
        library.lock                            held by the one process that has the library open
        stories/ID/chunks/S-T-C-P.safetensors   latents of shot S, take T, chunk C: entry P of the journal

    Any thread may read at any moment; threads that write wait for each other. A chunk is journalled in this
    order: its file, whole and on the disk, then one transaction with its row and the commands that took
    effect before it. So a row always has its file, and a kill leaves at most a file without a row, which
    `sweep` removes. What raises has changed nothing and may be called again.

    Args:
        library: The folder; made if missing.
        url: SQLAlchemy URL of the database; by default SQLite in the folder.

    Raises:
        DiskFull: If there is no room for it.
        MediaError: If the folder cannot be written.
        StoreError: If another process has it open, or its database cannot be used.
    """

    def __init__(self, library: Path, url: str | None = None) -> None:
        self.library = library
        self._writing = threading.Lock()
        with write_errors(library):
            library.mkdir(parents=True, exist_ok=True)
            self._claim = (library / "library.lock").open("w")
        try:
            self._claim_library()
            self._engine = database.open_database(url or library / "library.db")
        except BaseException:
            self._claim.close()
            raise

    def close(self) -> None:
        """Let another process have the library."""
        self._engine.dispose()
        self._claim.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing ----

    def create_story(
        self,
        setting: str,
        seed: int,
        model: str,
        size: tuple[int, int],
        parent: tuple[str, int] | None = None,
    ) -> str:
        """Begin a story.

        Args:
            setting: Who and where.
            seed: Seed of the story, a signed number of 64 bits.
            model: What it is made with.
            size: Height and width in pixels.
            parent: For a branch (story, last shared shot): it goes off after all that is journalled of that
                story by now.

        Returns:
            Its id: 12 random characters of [a-z0-9].

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such parent.
        """
        story = "".join(secrets.choice(_LETTERS) for _ in range(12))
        row: dict[str, Any] = {"id": story, "setting": setting, "seed": seed, "model": model}
        row |= {"height": size[0], "width": size[1], "state": "idle", "entries": 0}
        with self._transaction() as connection:
            if parent:
                other, shot = parent
                entries = rows.story_row(connection, other).entries
                row |= {"parent_story": other, "parent_shot": shot, "parent_entries": entries}
            rows.add_story(connection, row)
        return story

    def append_commands(
        self, story: str, commands: Sequence[StoredCommand], cards: Sequence[StoredShot] = ()
    ) -> None:
        """Journal commands at once, without waiting for the next chunk.

        Args:
            story: Its id.
            commands: In the order in which they took effect. One whose id the story has already is left out.
            cards: The cards of the storyboard that they changed.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such story.
        """
        with self._transaction() as connection:
            position = rows.story_row(connection, story).entries
            rows.note_entries(connection, story, rows.add_commands(connection, story, position, commands))
            rows.put_cards(connection, story, cards)

    def append_chunk(
        self,
        story: str,
        shot: int,
        take: int,
        chunk: int,
        latents: Tensor,
        meta: ChunkMeta,
        commands: Sequence[StoredCommand] = (),
        cards: Sequence[StoredShot] = (),
    ) -> None:
        """Journal a chunk; when this returns it is on the disk and its frames may be shown.

        The card of its shot goes with it: live, or done with the last chunk. Journalling the newest chunk
        once more changes nothing: a caller who does not know whether a call went through repeats it.

        Args:
            story: Its id.
            shot: Number of the shot.
            take: Number of the take of the shot.
            chunk: Number of the chunk in the take.
            latents: Its clean latents, float32 ``[1, F, C, h, w]``.
            meta: What else is known of it.
            commands: Those that took effect since the chunk before.
            cards: Cards of the storyboard that they changed, of this shot too.

        Raises:
            DiskFull: If there is no room.
            MediaError: If the latents cannot be written for another reason.
            StoreError: If there is no such story, or the database refuses.
            ValueError: If the latents are of another kind.
        """
        if latents.dtype != torch.float32 or latents.ndim != 5 or latents.shape[0] != 1:
            raise ValueError(
                f"latents of {latents.dtype} and shape {tuple(latents.shape)} are no chunk; "
                "give float32 [1, F, C, h, w]"
            )
        key, file = (shot, take, chunk), None
        try:
            with self._transaction() as connection:
                entries = rows.story_row(connection, story).entries
                position = rows.add_commands(connection, story, entries, commands)
                if position == entries and rows.is_newest(connection, story, entries, key):
                    return
                file = self._chunks(story) / f"{shot}-{take}-{chunk}-{position}.safetensors"
                write_bytes(file, save({"latents": latents.contiguous()}))
                rows.put_take(connection, story, key, meta)
                rows.add_chunk(connection, story, position, key, meta, file.name)
                rows.put_cards(connection, story, cards)
                rows.note_entries(connection, story, position + 1)
        except DiskFull:
            if file:
                file.unlink(missing_ok=True)
            raise

    def set_state(self, story: str, state: str, reason: str | None = None) -> None:
        """Note the state of a telling, and why, also among its events.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such story.
        """
        values = {"state": state, "reason": reason}
        with self._transaction() as connection:
            rows.change_story(connection, story, values, {"type": "state", **values})

    def delete(self, story: str) -> None:
        """Put a story away: nothing of it is lost, and its branches stay. `undelete` brings it back.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such story.
        """
        with self._transaction() as connection:
            rows.change_story(connection, story, {"deleted_seconds": time.time()}, {"type": "delete"})

    def undelete(self, story: str) -> None:
        """Bring back a story that was put away.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such story.
        """
        with self._transaction() as connection:
            rows.change_story(connection, story, {"deleted_seconds": None}, {"type": "undelete"})

    def forget(self, story: str) -> None:
        """Remove a story that was put away, for good: this is what frees room.

        Its files go first, for a disk that is full. A call that was cut short leaves the story put away, and
        the next one finishes it.

        Raises:
            DiskFull: If there is no room to note it; there is now, so call again.
            MediaError: If a file cannot be removed.
            StoreError: If it is not put away, or other stories branch off it.
        """
        folder = self.library / "stories" / story
        with self._transaction() as connection:
            rows.check_forgettable(connection, story)
            if folder.exists():
                with write_errors(folder):
                    shutil.rmtree(folder)
            rows.remove_story(connection, story)

    # ---- reading ----

    def stories(self, *, deleted: bool = False) -> list[StorySummary]:
        """List the stories, or those that were put away, the newest change first."""
        with self._reading() as connection:
            return rows.list_stories(connection, deleted=deleted)

    def load(self, story: str) -> StoredStory:
        """Read all it takes to tell a story again, as it stood at one moment; put away or not.

        Raises:
            StoreError: If there is no such story.
        """
        with self._reading() as connection:
            return rows.load_story(connection, story, self._chunks(story))

    def events(self, story: str) -> list[dict[str, Any]]:
        """Read how the states of a story changed, in order, each with its ``moment_seconds``."""
        with self._reading() as connection:
            return rows.list_events(connection, story)

    # ---- files ----

    def sweep(self) -> Swept:
        """Remove what kills have left: halves of files, and latents that were never journalled.

        Raises:
            MediaError: If a file cannot be removed.
        """
        swept = Swept([], [], [])
        with self._transaction() as connection:
            journalled = rows.list_files(connection)
            for folder in sorted((self.library / "stories").glob("*/")):
                if folder.name not in journalled:
                    swept.strangers.append(folder)
                    continue
                halves = folder.glob("*/.*.part*")
                latents = folder.glob("chunks/[!.]*")
                swept.removed.extend(halves)
                swept.removed.extend(file for file in latents if file.name not in journalled[folder.name])
            for file in swept.removed:
                with write_errors(file):
                    file.unlink()
        files = (self._chunks(story) / name for story, names in journalled.items() for name in names)
        swept.missing.extend(sorted(file for file in files if not file.exists()))
        return swept

    def _chunks(self, story: str) -> Path:
        return self.library / "stories" / story / "chunks"

    # ---- the database ----

    def _claim_library(self) -> None:
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"the library {self.library} is open in another process; close that one, or choose another"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writing, database.database_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.database_errors(), self._engine.connect() as connection:
            yield connection
