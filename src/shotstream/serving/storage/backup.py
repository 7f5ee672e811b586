"""A copy of a library that is whole, made while stories are told."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shotstream.media.files import MediaError, make_folder, whole_folder, write_errors
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.place import DATABASE
from shotstream.serving.storage.reader import StoryReader
from shotstream.serving.storage.stored import StoreError, StoryFiles

_TRIES = 3


@dataclass(frozen=True)
class Backup:
    """What was copied."""

    stories: int
    files: int
    linked: int
    """How many of the files are hard links, which take no room: they never change."""
    missing: list[Path]
    """Chunks and sounds that the library itself does not have."""


def back_up(
    reader: StoryReader, target: Path, progress: Callable[[str], None] = lambda story: None
) -> Backup:
    """Copy a library whose database is SQLite's: first its database as it stands, then the files it names.

    A chunk's file is there before its row, and never changes: so the copy lacks nothing that it speaks of.
    On the same disk files are linked.

    Args:
        reader: The library.
        target: The folder of the copy; not there yet, or empty. It is whole or absent afterwards.
        progress: Is told the story that is copied.

    Raises:
        DiskFull: If there is no room.
        MediaError: If it cannot be written.
        StoreError: If the folder is not empty, or the library has another database.
    """
    library = reader.folder
    if not (library / DATABASE).is_file():
        raise StoreError(
            f"{library} has no {DATABASE}; of another database make a dump first (pg_dump), then copy "
            "stories/ and uploads/"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} is there already; give a folder that is not")
    if library.resolve() in target.resolve().parents:
        raise StoreError(f"{target} is in the library itself; give a folder elsewhere")
    with whole_folder(target) as part:
        part.chmod(0o700)
        for _ in range(_TRIES):
            shutil.rmtree(part / "stories", ignore_errors=True)
            known = _copy_database(library / DATABASE, part / DATABASE)
            backup = _copy_files(reader, part, known, progress)
            if not any(_story(path) not in _stories(reader) for path in backup.missing):
                return backup  # else a story was deleted for good meanwhile
        raise MediaError(f"Could not write {target}: stories are deleted all the time; try again.")


def _copy_database(source: Path, target: Path) -> dict[str, StoryFiles]:
    """Copy the database as it stands, as one file; return which files it knows."""
    with write_errors(target):
        os.close(os.open(target, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise StoreError(f"{source} could not be copied ({error}); see what `library check` says") from error
    engine = database.open_database(target)
    try:
        with database.database_errors(), engine.connect() as connection:
            known = rows.list_files(connection)
        database.empty_log(engine)
        return known
    finally:
        engine.dispose()


def _copy_files(
    reader: StoryReader, target: Path, known: dict[str, StoryFiles], progress: Callable[[str], None]
) -> Backup:
    library, files, linked = reader.folder, 0, 0
    missing = []
    for story, of_story in known.items():
        progress(story)
        reader.media.bring(of_story.paths(library / "stories" / story))
        for path, needed in _paths(story, of_story):
            with write_errors(target / path):
                copied = _copy(library / path, target / path)
            if copied is None:
                missing += [path] * needed
            else:
                files, linked = files + 1, linked + copied
    for name in reader.pictures():
        with write_errors(target):
            copied = _copy(reader.picture_file(name), target / "uploads" / f"{name}.png")
        files, linked = files + (copied is not None), linked + bool(copied)
    return Backup(len(known), files, linked, missing)


def _paths(story: str, files: StoryFiles) -> Iterator[tuple[Path, bool]]:
    """The files of a story, and whether it needs them: all others can be made again."""
    folder = Path("stories") / story
    kinds = {"chunks": files.chunks, "clips": files.clips, "stills": files.stills, "sounds": files.sounds}
    for inside, names in kinds.items():
        yield from ((folder / inside / name, inside in ("chunks", "sounds")) for name in names)


def _copy(source: Path, target: Path) -> bool | None:
    """Copy a file that never changes; return whether it was linked, None if it is not there."""
    make_folder(target.parent, 0o700)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
        return True
    except FileNotFoundError:  # not made yet, or its story was deleted for good just now
        return None
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
        target.chmod(0o600)
        return False


def _story(path: Path) -> str:
    return path.parts[1]


def _stories(reader: StoryReader) -> set[str]:
    with reader.reading() as connection:
        return set(rows.list_files(connection))
