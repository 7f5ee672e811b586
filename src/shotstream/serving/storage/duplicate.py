"""A story once more, with files of its own: what is done to one changes nothing of the other."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from safetensors.torch import load_file
from sqlalchemy import Connection, Table, insert, select, update

from shotstream.media.files import make_folder, write_bytes, write_errors
from shotstream.serving.protocol.events import CastChanged
from shotstream.serving.storage import rows
from shotstream.serving.storage.chunk_files import pack, read_note
from shotstream.serving.storage.reader import sha256
from shotstream.serving.storage.schema import (
    chunks,
    commands,
    continuity,
    shots,
    sounds,
    stills,
    stories,
    takes,
)
from shotstream.serving.storage.stored import NoStory, new_id
from shotstream.serving.storage.sweep import list_folder

_TABLES: tuple[Table, ...] = (commands, takes, chunks, shots, stills, sounds, continuity)


def duplicate_story(connection: Connection, library: Path, story: str, title: str, *, private: bool) -> str:
    """Add a story that is what another one is by now; of a branch, another branch of the same story.

    Files that never change are linked where the disk can; chunks' files say whose they are, and are written.

    Args:
        connection: In a transaction that writes.
        library: Its folder.
        story: The other one.
        title: What people call the new one.
        private: Whether only the owner may read its files.

    Returns:
        Its id.

    Raises:
        DiskFull: If there is no room.
        MediaError: If a file cannot be written.
        NoStory: If there is no such story, or it was put away.
    """
    row = rows.story_row(connection, story)
    if row.deleted_seconds is not None:
        raise NoStory(f"the story {story} was put away; bring it back first")
    copy = new_id()
    folder = library / "stories" / copy
    try:
        _copy_files(library / "stories" / story, folder, copy, private=private)
        moments = dict.fromkeys(("created_seconds", "changed_seconds"), time.time())
        connection.execute(insert(stories).values(row._asdict() | {"id": copy, "title": title} | moments))
        for table in _TABLES:
            found = connection.execute(select(table).where(table.c.story == story))
            if copied := [entry._asdict() | {"story": copy} for entry in found]:
                connection.execute(insert(table), copied)
        _put_sums(connection, copy, folder / "chunks")
        if cast := rows.cast_sheet(connection, story):
            rows.note_changes(connection, copy, [CastChanged(cast=cast)])
        rows.note_event(connection, copy, {"type": "duplicate", "of": story})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return copy


def _copy_files(source: Path, target: Path, copy: str, *, private: bool) -> None:
    for inside in ("chunks", "clips", "stills", "sounds"):
        for file in list_folder(source / inside):
            if file.name.startswith(".") or file.is_symlink() or not file.is_file():
                continue  # it is being written just now, or is not of the story
            with write_errors(target / inside / file.name):
                make_folder(target / inside, 0o700)
                note = read_note(file) if inside == "chunks" else None
                if note:
                    own = note.model_copy(update={"story": note.story | {"id": copy}})
                    data = pack(load_file(file)["latents"], own)
                    write_bytes(target / inside / file.name, data, private=private)
                else:
                    _link(file, target / inside / file.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without links
        shutil.copy2(source, target)


def _put_sums(connection: Connection, story: str, folder: Path) -> None:
    """Keep the checksums of the chunks' files: they are others than those of the other story."""
    found = select(chunks.c.position, chunks.c.file).where(chunks.c.story == story)
    for position, name in connection.execute(found).all():
        if (folder / name).is_file():
            kept = update(chunks).where(chunks.c.story == story, chunks.c.position == position)
            connection.execute(kept.values(sha256=sha256((folder / name).read_bytes())))
