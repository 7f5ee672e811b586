"""Reading a library of stories."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shotstream.media.pictures import read_png
from shotstream.serving.protocol import events
from shotstream.serving.protocol.events import Snapshot
from shotstream.serving.protocol.states import State
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.media_files import MediaFiles
from shotstream.serving.storage.pictures import Pictures
from shotstream.serving.storage.place import LibraryPlace
from shotstream.serving.storage.stored import StoredChunk, StoredStory, StorySummary

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)


class StoryReader:
    """What can be read of a library: from any thread, at any moment.

    Args:
        place: The library's folder.
        engine: Its database.
        media: Its files; by default those in the folder.
    """

    def __init__(self, place: LibraryPlace, engine: Engine, media: MediaFiles | None = None) -> None:
        self.folder = place.folder
        self._place, self._engine = place, engine
        self.media = media or MediaFiles(place.folder, private=place.private)
        """Where its files are."""
        self._pictures = Pictures(self.media)

    def stories(self, *, deleted: bool = False) -> list[StorySummary]:
        """List the stories, or those that were put away, the newest change first."""
        with self.reading() as connection:
            return rows.list_stories(connection, deleted=deleted)

    def summary(self, story: str) -> StorySummary:
        """Read what the library lists of one story, put away or not.

        Raises:
            NoStory: If there is no such story.
        """
        with self.reading() as connection:
            return rows.summary(rows.story_row(connection, story))

    def load(self, story: str) -> StoredStory:
        """Read all it takes to tell a story again, as it stood at one moment; put away or not.

        Raises:
            NoStory: If there is no such story.
        """
        with self.reading() as connection:
            stored = rows.load_story(connection, story, self._chunks(story))
        self._bring([entry for entry in stored.entries if isinstance(entry, StoredChunk)])
        return stored

    def snapshot(self, story: str) -> Snapshot:
        """Read what the page shows of a story, as it stood when it was journalled last.

        Raises:
            NoStory: If there is no such story.
        """
        with self.reading() as connection:
            row = rows.story_row(connection, story)
            rows.check_row(row)
            origin = rows.parent(row)
            return Snapshot(
                setting=row.setting,
                seed=row.seed,
                state=State(row.state),
                reason=row.reason,
                shots=rows.cards(connection, story),
                memory=rows.memory(row),
                parent=events.Parent(story=origin.story, shot=origin.shot) if origin else None,
                sounds=rows.placed_sounds(row),
                cast=rows.cast_sheet(connection, story),
                auto_retake=rows.auto_retake(row),
            )

    def continuity(self, story: str) -> dict[tuple[int, int], events.TakeContinuity]:
        """Read how well takes go on with the story, by (shot, take), as far as they were measured.

        A branch has its own takes' alone.
        """
        with self.reading() as connection:
            return rows.read_continuity(connection, story)

    def take_stills(self, story: str, shot: int, take: int) -> list[np.ndarray]:
        """Read the frames that are kept of a take, uint8 ``[H, W, 3]`` each, in order.

        Of the shots that a branch shares they are its parent's.
        """
        with self.reading() as connection:
            frames = rows.still_frames(connection, story, shot, take)
            while not frames and (origin := rows.parent(rows.story_row(connection, story))) is not None:
                story = origin.story
                frames = rows.still_frames(connection, story, shot, take)
        stills = (self.read_still(story, (shot, take, frame)) for frame in frames)
        return [still for still in stills if still is not None]

    def take_chunks(self, story: str, shot: int, take: int) -> list[StoredChunk]:
        """Read the chunks of a take, in order; empty if there is no such take.

        Of the shots that a branch shares it has its parent's takes too, as they were when it went off.

        Raises:
            NoStory: If there is no such story.
        """
        with self.reading() as connection:
            row = rows.story_row(connection, story)
            entries = row.entries
            while True:
                found = rows.take_chunks(connection, story, shot, take, self._chunks(story), entries)
                origin = rows.parent(row)
                if found or origin is None or shot >= rows.shared_shots(row):
                    break
                story, entries = origin.story, origin.entries
                row = rows.story_row(connection, story)
        self._bring(found)
        return found

    def _bring(self, made: Sequence[StoredChunk]) -> None:
        """Have the files of chunks in the folder, where they are kept elsewhere."""
        clips = ((chunk.clip, chunk.clip_sha256) for chunk in made if chunk.clip_sha256)
        self.media.bring([*((chunk.path, chunk.sha256) for chunk in made), *clips])

    def history(self, story: str) -> list[dict[str, Any]]:
        """Read how the states of a story changed, in order, each with its ``moment_seconds``."""
        with self.reading() as connection:
            return rows.list_events(connection, story)

    def read_still(self, story: str, place: tuple[int, int, int]) -> np.ndarray | None:
        """Read a frame, uint8 ``[H, W, 3]``; None if it is not kept, or is not what was written."""
        file, known = self._still(story, place), self._still_sum(story, place)
        self.media.bring([(file, known)] if known else [])
        try:
            if file.exists() and sha256(file.read_bytes()) == known:
                return read_png(file)
        except OSError as error:
            log.warning("a still of story %s cannot be read (%s)", story, type(error).__name__)
        return None

    def lacks_stills(self, story: str, shot: int, take: int) -> bool:
        """Whether files of frames that were kept of a take are gone."""
        with self.reading() as connection:
            frames = rows.still_frames(connection, story, shot, take)
        places = [(shot, take, frame) for frame in frames]
        self.media.bring([(self._still(story, place), self._still_sum(story, place)) for place in places])
        return any(not self._still(story, (shot, take, frame)).exists() for frame in frames)

    def _still(self, story: str, place: tuple[int, int, int]) -> Path:
        shot, take, frame = place
        return self.folder / "stories" / story / "stills" / f"{shot}-{take}-{frame}.png"

    def _still_sum(self, story: str, place: tuple[int, int, int]) -> str | None:
        with self.reading() as connection:
            return rows.still_sum(connection, story, place)

    def picture_file(self, upload: str) -> Path:
        """Where a picture is, or would be; see `Pictures.file`."""
        return self._pictures.file(upload)

    def picture(self, upload: str) -> np.ndarray:
        """Read a picture; see `Pictures.read`."""
        return self._pictures.read(upload)

    def picture_names(self) -> list[str]:
        """The names of all pictures that people brought."""
        return self._pictures.names()

    def pictures(self) -> dict[str, bool]:
        """List the pictures by their names: whether a story uses each one."""
        names = self._pictures.names()
        with self.reading() as connection:
            used = rows.uploads_used(connection, names)
        return {name: name in used for name in names}

    def _chunks(self, story: str) -> Path:
        return self.folder / "stories" / story / "chunks"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read the database as it stands at one moment."""
        self._place.check()
        with database.database_errors(), self._engine.connect() as connection:
            yield connection


def sha256(data: bytes) -> str:
    """The checksum of a file's content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
