"""A library of stories on disk: what was journalled is there after any kill, power failure or full disk."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shotstream.media.files import DiskFull, write_errors
from shotstream.media.pictures import encode_png
from shotstream.media.sounds import SoundFacts
from shotstream.serving.protocol.events import Change, TakeContinuity
from shotstream.serving.storage import database, rows, sound_table
from shotstream.serving.storage.adopt import adopt_story
from shotstream.serving.storage.chunk_files import pack
from shotstream.serving.storage.duplicate import duplicate_story
from shotstream.serving.storage.leases import Leases
from shotstream.serving.storage.media_place import open_media
from shotstream.serving.storage.place import LibraryPlace
from shotstream.serving.storage.reader import StoryReader, sha256
from shotstream.serving.storage.sound_table import StoredSound
from shotstream.serving.storage.stored import (
    MadeWith,
    NewBranch,
    StoredChunk,
    StoredCommand,
    StoreError,
    Swept,
    new_id,
)
from shotstream.serving.storage.sweep import move_to_lost, sweep
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import ContextFrame

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)


class Store(StoryReader):
    """The journal of every story in a library folder.

    ::

        library.db                              the tables, unless another database is named; while it is
        library.db-wal, library.db-shm          open, what was committed last is in these
        library.lock                            held by the one process that has the library open
        stories/ID/chunks/S-T-C-P.safetensors   latents of shot S, take T, chunk C: entry P of the journal
        stories/ID/clips/S-T-C-P.packets        the video of the same chunk, see `StoredChunk.clip`
        stories/ID/stills/S-T-F.png             frame F of that take, which the story remembers
        stories/ID/sounds/S.KIND                sound files that people brought
        uploads/U.png                           pictures that people brought
        lost/N/...                              files that were found and that the database does not know

    Any thread may read at any moment; threads that write wait for each other. A chunk is journalled in this
    order: its file, whole and on the disk, then one transaction with its row and what it changes on the
    storyboard. So a row always has its file, and a kill leaves at most a file without a row, which `sweep`
    moves aside. What raises has changed nothing and may be called again.

    Args:
        library: The folder; made if missing, and then readable by its owner only.
        url: SQLAlchemy URL of the database; by default SQLite in the folder.
        claim: False where another process holds the folder for this one.
        media: Address of all files but the database's; by default the folder, see `open_media`.

    Raises:
        DiskFull: If there is no room for it.
        MediaError: If the folder cannot be written.
        StoreError: If another process has it open, or its database cannot be used.
    """

    def __init__(
        self, library: Path, url: str | None = None, *, claim: bool = True, media: str | None = None
    ) -> None:
        self._writing = threading.Lock()
        place = LibraryPlace(library, has_database=url is None, claim=claim)
        self.exports = library / "exports"
        """Where films are written while they are sent."""
        try:
            engine = database.open_database(url or place.prepare_database())
            super().__init__(place, engine, open_media(place, engine, media))
            place.watch()
            self.leases = Leases(self._engine)
            """Which replica tells which story, where there are several."""
        except BaseException:
            place.release()
            raise

    def close(self) -> None:
        """Let another process have the library; its database is one file then."""
        with self._writing:
            if not self._place.is_open:
                return
            try:
                self._place.check()
                database.empty_log(self._engine)
            except StoreError as error:  # what was committed is in the log, and is read from there
                log.error("the library's log is left as it is: %s", error)
            self._engine.dispose()
            self._place.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- who tells a story ----

    def claim(self, story: str) -> None:
        """Be the one who tells a story; who has the whole library is.

        Raises:
            Refusal: If another one is.
        """

    def _check_lease(self, connection: Connection, story: str) -> None:
        """See in a transaction that this is who tells the story.

        Raises:
            StoreError: If not.
        """

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
        """Journal a command, and that it puts aside the chunks its receipt says; that may go out then.

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
            self._check_lease(connection, story)
            parent = rows.story_row(connection, story)
            self._check_folder(connection, story)
            if branch:
                rows.add_branch(connection, parent, branch)
            rows.add_command(connection, story, parent.entries, command)
            if command.receipt.put_aside:
                rows.put_aside(connection, story, parent.entries, command.receipt.put_aside)
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
        file = None
        try:
            with self._transaction() as connection:
                self._check_lease(connection, story)
                position = rows.story_row(connection, story).entries
                if not rows.is_newest(connection, story, position, chunk):
                    self._check_folder(connection, story)
                    facts = rows.chunk_facts(chunk)
                    data = pack(chunk.latents, rows.note(connection, story, position, facts))
                    name = f"{chunk.shot}-{chunk.take}-{chunk.index}-{position}.safetensors"
                    file = self._chunks(story) / name
                    self._write(file, data)
                    rows.add_chunk(connection, story, position, facts, file.name, sha256(data))
                    rows.note_changes(connection, story, changes)
                    rows.note_entries(connection, story, position + 1)
                folder = self._chunks(story)
                return rows.take_chunks(connection, story, chunk.shot, chunk.take, folder, position + 1)[-1]
        except DiskFull:
            if file:
                file.unlink(missing_ok=True)
            raise

    def mend_chunk(self, story: str, damaged: StoredChunk, chunk: Chunk) -> bool:
        """Keep a chunk that was made once more, as what was journalled of it is gone or damaged.

        What lies in its place is moved to ``lost/``.

        Args:
            story: Its id.
            damaged: What was journalled.
            chunk: The same chunk, made from the same commands.

        Returns:
            Whether it has the same bits, as far as a checksum can tell.

        Raises:
            DiskFull: If there is no room.
            MediaError: If the latents cannot be written for another reason.
            StoreError: If there is no such story, or the database refuses.
        """
        position = damaged.position
        with self._transaction() as connection:
            self._check_lease(connection, story)
            rows.story_row(connection, story)
            data = pack(chunk.latents, rows.note(connection, story, position, rows.chunk_facts(chunk)))
            if damaged.path.exists():
                move_to_lost(self.folder, damaged.path)
            self._write(damaged.path, data)
            same = sha256(data) == damaged.sha256
            rows.put_sums(connection, story, position, sha256=sha256(data))
            rows.note_event(connection, story, {"type": "mend", "file": damaged.path.name, "same": same})
        return same

    def keep_clip(self, story: str, chunk: StoredChunk, clip: bytes) -> None:
        """Keep the clip of a chunk; it does nothing where the story was removed for good.

        Raises:
            DiskFull: If there is no room.
            MediaError: If it cannot be written for another reason.
            StoreError: If the database refuses.
        """
        with self._transaction() as connection:
            self._check_lease(connection, story)
            if rows.put_sums(connection, story, chunk.position, clip_sha256=sha256(clip)):
                self._write(chunk.clip, clip)

    def note(self, story: str, changes: Sequence[Change]) -> None:
        """Keep what changed on the storyboard without a command or a chunk, such as a failure.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
        """
        with self._transaction() as connection:
            self._check_lease(connection, story)
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

    def duplicate(self, story: str, title: str) -> str:
        """Add a story that is what another one is by now; see `duplicate_story`.

        Returns:
            Its id.
        """
        self._bring_story(story)
        with self._transaction() as connection:
            copy = duplicate_story(connection, self.folder, story, title, private=self._place.private)
            self._send_new(copy)
            return copy

    def _bring_story(self, story: str) -> None:
        """Have all files of a story in the folder, where they are kept elsewhere."""
        with self.reading() as connection:
            known = rows.list_files(connection).get(story)
        if known:
            self.media.bring(known.paths(self.folder / "stories" / story))

    def _send_new(self, story: str) -> None:
        """Keep the files of a story that is new elsewhere, too, or have none of it."""
        folder = self.folder / "stories" / story
        try:
            self.media.send(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

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
        """Remove a story that was put away, for good, with pictures that no other story uses.

        This is what frees room. Its files go first, for a disk that is full. A call that was cut short leaves
        the story put away, and the next one finishes it.

        Raises:
            DiskFull: If there is no room to note it; there is now, so call again.
            MediaError: If a file cannot be removed.
            StoreError: If it is not put away, or other stories branch off it.
        """
        folder = self.folder / "stories" / story
        with self._transaction() as connection:
            rows.check_forgettable(connection, story)
            self.media.drop(folder)
            if folder.exists():
                with write_errors(folder):
                    shutil.rmtree(folder)
            uploads = self._pictures.names()
            of_others = rows.uploads_used(connection, uploads, but_by=story)
            for upload in rows.uploads_used(connection, uploads) - of_others:
                self._pictures.remove(upload)
            rows.remove_story(connection, story)

    # ---- remembered frames ----

    def keep_still(self, story: str, frame: ContextFrame) -> None:
        """Keep a frame that a story remembers, see `StoredChunk.still`; done once, it does nothing.

        It can be made again from the latents of its take: keeping it only saves that.

        Raises:
            MediaError: If it cannot be written.
            NoStory: If there is no such story.
        """
        self.write_still(story, (frame.shot, frame.take, frame.frame), frame.pixels)

    def write_still(self, story: str, place: tuple[int, int, int], pixels: np.ndarray) -> None:
        """Keep a frame, uint8 ``[H, W, 3]``, by its place (shot, take, frame); see `keep_still`."""
        file, png = self._still(story, place), encode_png(pixels)
        if file.exists() and sha256(file.read_bytes()) == self._still_sum(story, place) == sha256(png):
            return
        with self._transaction() as connection:
            rows.story_row(connection, story)
            self._write(file, png)
            rows.put_still(connection, story, place, sha256(png))

    def keep_continuity(self, story: str, shot: int, measured: TakeContinuity) -> None:
        """Keep how well a take goes on with its story.

        Raises:
            DiskFull: If there is no room.
            NoStory: If there is no such story.
        """
        with self._transaction() as connection:
            rows.story_row(connection, story)
            rows.put_continuity(connection, story, shot, measured)

    # ---- pictures that people brought ----

    def add_picture(self, pixels: np.ndarray) -> str:
        """Keep a picture; see `Pictures.add`."""
        with self._writing:
            self._place.check()
            return self._pictures.add(pixels)

    def remove_picture(self, upload: str) -> None:
        """Remove a picture that no story uses.

        Raises:
            LookupError: If there is none of this name.
            MediaError: If it cannot be removed.
            StoreError: If a story uses it.
        """
        with self._transaction() as connection:
            if rows.uploads_used(connection, [upload]):
                raise StoreError(
                    f"a story uses the picture {upload}; it goes when the last such story is deleted for good"
                )
            self._pictures.remove(upload)

    # ---- sounds that people brought ----

    def add_sound(self, story: str, data: bytes, name: str, facts: SoundFacts) -> StoredSound:
        """Keep a sound file in a story's folder; the same file once more changes nothing.

        Args:
            story: Its id.
            data: The file, as it was brought.
            name: What the person's file is called.
            facts: What it is.

        Raises:
            DiskFull: If there is no room.
            MediaError: If it cannot be written for another reason.
            NoStory: If there is no such story.
        """
        sound = sound_table.sound_name(data)
        with self._transaction() as connection:
            rows.story_row(connection, story)
            folder = self.folder / "stories" / story / "sounds"
            self._write(folder / sound_table.sound_file(sound, facts.kind), data)
            sound_table.add_sound(connection, story, data, name, facts)
        found = self.find_sound(story, sound)
        assert found is not None
        return found

    def sounds(self, story: str) -> list[StoredSound]:
        """List the sound files of a story, with those of the stories that it branched off.

        Raises:
            NoStory: If there is no such story.
        """
        with self.reading() as connection:
            rows.story_row(connection, story)
            listed = sound_table.list_sounds(connection, self.folder, story)
        self.media.bring((sound.path, sound.sha256) for sound in listed)
        return listed

    def find_sound(self, story: str, sound: str) -> StoredSound | None:
        """Find a sound file of a story by its name in the library."""
        return next((found for found in self.sounds(story) if found.sound == sound), None)

    # ---- files ----

    def adopt(self, story: str) -> int:
        """Take into the journal what a story's folder has and the database does not know; see `adopt_story`.

        Returns:
            How many entries.

        Raises:
            DiskFull: If there is no room.
            StoreError: If there is nothing that can be taken in; the message says why.
        """
        with self._transaction() as connection:
            entries = adopt_story(connection, self._chunks(story).parent, story)
            self.media.send(self._chunks(story).parent)
            return entries

    def sweep(self) -> Swept:
        """Remove halves of files that kills have left; move to ``lost/`` what the database does not know.

        Raises:
            MediaError: If a file cannot be removed or moved.
        """
        with self._transaction() as connection:
            swept = sweep(self.folder, rows.list_files(connection))
        return swept if self.media.address is None else replace(swept, missing=[])

    def _write(self, file: Path, data: bytes) -> None:
        self.media.write(file, data)

    def _check_folder(self, connection: Connection, story: str) -> None:
        """See that a story whose chunks were journalled still has its folder, if that is all that there is.

        Raises:
            StoreError: If not.
        """
        folder = self._chunks(story)
        if self.media.address is None and rows.has_chunks(connection, story) and not folder.is_dir():
            raise StoreError(
                f"{folder} was removed; put it back from a copy of the library, or resume: then it is made "
                "again"
            )

    # ---- the database ----

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writing:
            self._place.check()
            with database.database_errors(), database.writer(self._engine).begin() as connection:
                yield connection
                self._place.check()
            self._place.check(written=True)
