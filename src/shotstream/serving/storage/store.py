"""A library of stories on disk: what was journalled is there after any kill, power failure or full disk."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from shotstream.media.files import DiskFull, write_bytes, write_errors
from shotstream.media.pictures import decode_picture, encode_png, write_png
from shotstream.serving.protocol import events
from shotstream.serving.protocol.events import Change, Snapshot
from shotstream.serving.protocol.states import State
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.stored import (
    MadeWith,
    NewBranch,
    StoredChunk,
    StoredCommand,
    StoredStory,
    StoreError,
    StorySummary,
    Swept,
    new_id,
)
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_UPLOAD_PIXELS = 40_000_000
"""Of a picture that people bring."""

_UPLOAD = re.compile(r"[a-z0-9]{1,64}")


class Store:
    """The journal of every story in a library folder.

    ::

        library.db                              the tables, unless another database is named
        library.lock                            held by the one process that has the library open
        stories/ID/chunks/S-T-C-P.safetensors   latents of shot S, take T, chunk C: entry P of the journal
        stories/ID/clips/S-T-C-P.packets        the video of the same chunk, see `StoredChunk.clip`
        stories/ID/stills/S-T-F.png             frame F of that take, which the story remembers
        uploads/U.png                           pictures that people brought

    Any thread may read at any moment; threads that write wait for each other. A chunk is journalled in this
    order: its file, whole and on the disk, then one transaction with its row and what it changes on the
    storyboard. So a row always has its file, and a kill leaves at most a file without a row, which `sweep`
    removes. What raises has changed nothing and may be called again.

    Args:
        library: The folder; made if missing.
        url: SQLAlchemy URL of the database; by default SQLite in the folder.

    Raises:
        DiskFull: If there is no room for it.
        MediaError: If the folder cannot be written.
        StoreError: If another process has it open, or its database cannot be used.
    """

    def __init__(self, library: Path, url: str | None = None) -> None:
        self.folder = library
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
        made_with: MadeWith,
        changes: Sequence[Change] = (),
        parent: tuple[str, int] | None = None,
        title: str = "",
    ) -> str:
        """Begin a story.

        Args:
            setting: Who and where.
            seed: Seed of the story, a signed number of 64 bits.
            made_with: What tells it.
            changes: What its storyboard begins with.
            parent: For a branch (story, last shared shot): it goes off after all that is journalled of that
                story by now.
            title: What people call it, at most 200 characters; a branch without one has its parent's.

        Returns:
            Its id: 12 random characters of [a-z0-9].

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such parent.
        """
        story = new_id()
        with self._transaction() as connection:
            row: dict[str, Any] = {"id": story, "title": title, "setting": setting, "seed": seed}
            row |= made_with._asdict()
            if parent:
                other, shot = rows.story_row(connection, parent[0]), parent[1]
                row |= {"title": title or other.title}
                row |= {"parent_story": other.id, "parent_shot": shot, "parent_entries": other.entries}
            rows.add_story(connection, row, changes)
        return story

    def append_command(
        self,
        story: str,
        command: StoredCommand,
        changes: Sequence[Change] = (),
        branch: NewBranch | None = None,
    ) -> None:
        """Journal a command; its receipt may go out when this returns.

        Args:
            story: Its id.
            command: What was taken.
            changes: What it changed on the storyboard.
            branch: The story that it begins, which goes off before it.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is no such story, or it has a command of this id.
        """
        with self._transaction() as connection:
            parent = rows.story_row(connection, story)
            if branch:
                rows.add_branch(connection, parent, branch)
            rows.add_command(connection, story, parent.entries, command)
            rows.note_changes(connection, story, changes)
            rows.note_entries(connection, story, parent.entries + 1)

    def append_chunk(self, story: str, chunk: Chunk, changes: Sequence[Change] = ()) -> StoredChunk:
        """Journal a chunk; when this returns it is on the disk and its frames may be shown.

        Journalling the newest chunk once more changes nothing: a caller who does not know whether a call
        went through repeats it.

        Args:
            story: Its id.
            chunk: The chunk; its latents are float32 ``[1, F, C, h, w]``.
            changes: What it changed on the storyboard.

        Returns:
            The chunk as it was kept.

        Raises:
            DiskFull: If there is no room.
            MediaError: If the latents cannot be written for another reason.
            StoreError: If there is no such story, or the database refuses.
            ValueError: If the latents are of another kind.
        """
        latents = chunk.latents
        if latents.dtype != torch.float32 or latents.ndim != 5 or latents.shape[0] != 1:
            raise ValueError(
                f"latents of {latents.dtype} and shape {tuple(latents.shape)} are no chunk; "
                "give float32 [1, F, C, h, w]"
            )
        file = None
        try:
            with self._transaction() as connection:
                position = rows.story_row(connection, story).entries
                if not rows.is_newest(connection, story, position, chunk):
                    name = f"{chunk.shot}-{chunk.take}-{chunk.index}-{position}.safetensors"
                    file = self._chunks(story) / name
                    write_bytes(file, save({"latents": latents.contiguous()}))
                    rows.add_chunk(connection, story, position, chunk, file.name)
                    rows.note_changes(connection, story, changes)
                    rows.note_entries(connection, story, position + 1)
                folder = self._chunks(story)
                return rows.take_chunks(connection, story, chunk.shot, chunk.take, folder, position + 1)[-1]
        except DiskFull:
            if file:
                file.unlink(missing_ok=True)
            raise

    def note(self, story: str, changes: Sequence[Change]) -> None:
        """Keep what changed on the storyboard without a command or a chunk, such as a failure.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
        """
        with self._transaction() as connection:
            rows.story_row(connection, story)
            rows.note_changes(connection, story, changes)

    def rename(self, story: str, title: str) -> None:
        """Give a story another title, at most 200 characters; its branches keep theirs.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
        """
        with self._transaction() as connection:
            rows.change_story(connection, story, {"title": title}, {"type": "rename", "title": title})

    def delete(self, story: str) -> None:
        """Put a story away: nothing of it is lost, and its branches stay. `undelete` brings it back.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
        """
        with self._transaction() as connection:
            rows.change_story(connection, story, {"deleted_seconds": time.time()}, {"type": "delete"})

    def undelete(self, story: str) -> None:
        """Bring back a story that was put away.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
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
        folder = self.folder / "stories" / story
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

    def summary(self, story: str) -> StorySummary:
        """Read what the library lists of one story, put away or not.

        Raises:
            NoStory: If there is no such story.
        """
        with self._reading() as connection:
            return rows.summary(rows.story_row(connection, story))

    def load(self, story: str) -> StoredStory:
        """Read all it takes to tell a story again, as it stood at one moment; put away or not.

        Raises:
            NoStory: If there is no such story.
        """
        with self._reading() as connection:
            return rows.load_story(connection, story, self._chunks(story))

    def snapshot(self, story: str) -> Snapshot:
        """Read what the page shows of a story, as it stood when it was journalled last.

        Raises:
            NoStory: If there is no such story.
        """
        with self._reading() as connection:
            row = rows.story_row(connection, story)
            origin = rows.parent(row)
            return Snapshot(
                setting=row.setting,
                seed=row.seed,
                state=State(row.state),
                reason=row.reason,
                shots=rows.cards(connection, story),
                memory=rows.memory(row),
                parent=events.Parent(story=origin.story, shot=origin.shot) if origin else None,
            )

    def take_chunks(self, story: str, shot: int, take: int) -> list[StoredChunk]:
        """Read the chunks of a take, in order; empty if there is no such take.

        Of the shots that a branch shares it has its parent's takes too, as they were when it went off.

        Raises:
            NoStory: If there is no such story.
        """
        with self._reading() as connection:
            row = rows.story_row(connection, story)
            entries = row.entries
            while True:
                found = rows.take_chunks(connection, story, shot, take, self._chunks(story), entries)
                origin = rows.parent(row)
                if found or origin is None or shot > origin.shot:
                    return found
                story, entries = origin.story, origin.entries
                row = rows.story_row(connection, story)

    def history(self, story: str) -> list[dict[str, Any]]:
        """Read how the states of a story changed, in order, each with its ``moment_seconds``."""
        with self._reading() as connection:
            return rows.list_events(connection, story)

    # ---- remembered frames ----

    def keep_still(self, story: str, frame: ContextFrame) -> None:
        """Keep a frame that a story remembers, see `StoredChunk.still`; done once, it does nothing.

        It can be made again from the latents of its take: keeping it only saves that.

        Raises:
            MediaError: If it cannot be written.
            NoStory: If there is no such story.
        """
        chunk = self.take_chunks(story, frame.shot, frame.take)[0]
        if (file := chunk.still(frame.frame)).exists():
            return
        png = encode_png(frame.pixels)
        with self._writing:
            if chunk.path.exists():  # else the story has just been removed for good
                write_bytes(file, png)

    # ---- pictures that people brought ----

    def add_picture(self, pixels: np.ndarray) -> str:
        """Keep a picture, uint8 ``[H, W, 3]``; return its name, which is the same for the same picture.

        Raises:
            MediaError: If it cannot be written.
        """
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes())
        upload = digest.hexdigest()[:32]
        write_png(self.picture_file(upload), pixels)
        return upload

    def picture_file(self, upload: str) -> Path:
        """Where a picture is, or would be.

        Raises:
            LookupError: If it cannot be the name of one; whatever a stranger asks for, it is in the folder.
        """
        if not _UPLOAD.fullmatch(upload):
            raise LookupError(f"there is no picture {upload!r}")
        return self.folder / "uploads" / f"{upload}.png"

    def picture(self, upload: str) -> np.ndarray:
        """Read a picture, uint8 ``[H, W, 3]``.

        Raises:
            LookupError: If there is none of this name.
        """
        try:
            return decode_picture(self.picture_file(upload).read_bytes(), most_pixels=MOST_UPLOAD_PIXELS)
        except FileNotFoundError as error:
            raise LookupError(f"there is no picture {upload!r}") from error

    # ---- files ----

    def sweep(self) -> Swept:
        """Remove what kills have left: halves of files, and latents that were never journalled.

        Raises:
            MediaError: If a file cannot be removed.
        """
        swept = Swept(sorted((self.folder / "uploads").glob(".*.part*")), [], [])
        with self._transaction() as connection:
            journalled = rows.list_files(connection)
            for folder in sorted((self.folder / "stories").glob("*/")):
                if folder.name not in journalled:
                    swept.unknown_folders.append(folder)
                    continue
                halves = folder.glob("*/.*.part*")
                whole = [*folder.glob("chunks/[!.]*"), *folder.glob("clips/[!.]*")]
                stems = {Path(name).stem for name in journalled[folder.name]}
                swept.removed.extend(halves)
                swept.removed.extend(file for file in whole if file.stem not in stems)
            for file in swept.removed:
                with write_errors(file):
                    file.unlink()
        files = (self._chunks(story) / name for story, names in journalled.items() for name in names)
        swept.missing.extend(sorted(file for file in files if not file.exists()))
        return swept

    def _chunks(self, story: str) -> Path:
        return self.folder / "stories" / story / "chunks"

    # ---- the database ----

    def _claim_library(self) -> None:
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"the library {self.folder} is open in another process; close that one, or choose another"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writing, database.database_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.database_errors(), self._engine.connect() as connection:
            yield connection
