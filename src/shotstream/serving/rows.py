"""Reading and writing the rows of a story, inside a transaction that the store has opened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from shotstream.serving.stored import (
    ChunkMeta,
    Parent,
    StoredChunk,
    StoredCommand,
    StoredShot,
    StoredStory,
    StoredTake,
    StoreError,
    StorySummary,
)
from shotstream.serving.tables import chunks, commands, events, shots, stories, takes

ChunkKey = tuple[int, int, int]
"""Shot, take, chunk."""


# ---- rows written ----


def add_story(connection: Connection, row: dict[str, Any]) -> None:
    """Add a story, whose row lacks only the moments."""
    now = time.time()
    connection.execute(insert(stories).values(**row, created_seconds=now, changed_seconds=now))


def change_story(connection: Connection, story: str, values: dict[str, Any], event: dict[str, Any]) -> None:
    """Change a story's row and note it among its events."""
    story_row(connection, story)
    now, row = time.time(), update(stories).where(stories.c.id == story)
    connection.execute(row.values(**values, changed_seconds=now))
    connection.execute(insert(events).values(story=story, moment_seconds=now, body=event))


def add_commands(connection: Connection, story: str, position: int, taken: Sequence[StoredCommand]) -> int:
    """Add the commands that are new from `position` on; return the position after them."""
    ids = select(commands.c.id).where(commands.c.story == story, commands.c.id.in_([new.id for new in taken]))
    known = set(connection.scalars(ids))
    for command in taken:
        if command.id in known:
            continue
        shot, frame = command.applies_from or (None, None)
        row = {"id": command.id, "body": command.body, "note": command.note}
        row |= {"applies_shot": shot, "applies_frame": frame}
        connection.execute(insert(commands).values(story=story, position=position, **row))
        known.add(command.id)
        position += 1
    return position


def add_chunk(
    connection: Connection, story: str, position: int, key: ChunkKey, meta: ChunkMeta, file: str
) -> None:
    """Add a chunk at `position`, whose take is there."""
    shot, take, chunk = key
    row = {"shot": shot, "take": take, "chunk": chunk, "prompt": meta.prompt, "file": file}
    row |= {"first_frame": meta.first_frame, "frames": meta.frames}
    connection.execute(insert(chunks).values(story=story, position=position, **row))


def note_entries(connection: Connection, story: str, entries: int) -> None:
    """Keep how many entries the journal has."""
    row = update(stories).where(stories.c.id == story)
    connection.execute(row.values(entries=entries, changed_seconds=time.time()))


def put_take(connection: Connection, story: str, key: ChunkKey, meta: ChunkMeta) -> None:
    """Keep the card of a shot, and its take, in step with a new chunk."""
    shot, take, chunk = key
    state = "done" if chunk + 1 >= meta.length_chunks else "live"
    former = connection.scalar(select(shots.c.prompt).where(shots.c.story == story, shots.c.shot == shot))
    prompt = meta.prompt if former is None or chunk == 0 else former
    put_cards(connection, story, [StoredShot(shot, prompt, state, take)])
    values = {"seed": meta.seed, "length_chunks": meta.length_chunks}
    _put(connection, takes, {"story": story, "shot": shot, "take": take}, values)


def put_cards(connection: Connection, story: str, cards: Sequence[StoredShot]) -> None:
    """Add or change cards of the storyboard."""
    for card in cards:
        values = {"prompt": card.prompt, "state": card.state, "take": card.take}
        _put(connection, shots, {"story": story, "shot": card.shot}, values)


def _put(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Change the row of this key, or add it."""
    row = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*row).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))


def check_forgettable(connection: Connection, story: str) -> None:
    """See that a story was put away and that no other one needs it.

    Raises:
        StoreError: If not.
    """
    if story_row(connection, story).deleted_seconds is None:
        raise StoreError(f"the story {story!r} is in use; delete it first, then it can be forgotten")
    branch = connection.scalar(select(stories.c.id).where(stories.c.parent_story == story).limit(1))
    if branch is not None:
        raise StoreError(f"the story {branch!r} branches off {story!r}; delete and forget that one first")


def remove_story(connection: Connection, story: str) -> None:
    """Remove every row of a story."""
    for table in (events, commands, chunks, takes, shots):
        connection.execute(delete(table).where(table.c.story == story))
    connection.execute(delete(stories).where(stories.c.id == story))


# ---- rows read ----


def story_row(connection: Connection, story: str) -> Row:
    """Read a story's row.

    Raises:
        StoreError: If there is none.
    """
    row = connection.execute(select(stories).where(stories.c.id == story)).one_or_none()
    if row is None:
        raise StoreError(f"there is no story {story!r} in this library; choose one of those it lists")
    return row


def is_newest(connection: Connection, story: str, entries: int, key: ChunkKey) -> bool:
    """Whether the last of the story's entries is this chunk."""
    found = select(chunks.c.shot, chunks.c.take, chunks.c.chunk)
    row = connection.execute(
        found.where(chunks.c.story == story, chunks.c.position == entries - 1)
    ).one_or_none()
    return row is not None and tuple(row) == key


def list_stories(connection: Connection, *, deleted: bool) -> list[StorySummary]:
    """List the stories, or those that were put away, the newest change first."""
    put_away = stories.c.deleted_seconds.is_not(None) if deleted else stories.c.deleted_seconds.is_(None)
    found = select(stories).where(put_away).order_by(stories.c.changed_seconds.desc(), stories.c.id)
    return [StorySummary(**_summary(row)) for row in connection.execute(found)]


def load_story(connection: Connection, story: str, folder: Path) -> StoredStory:
    """Read a whole story, the latents of whose chunks are in `folder`."""
    row = story_row(connection, story)
    told = {entry.position: _command(entry) for entry in _rows(connection, commands, story)}
    told |= {entry.position: _chunk(entry, folder) for entry in _rows(connection, chunks, story)}
    return StoredStory(
        **_summary(row),
        entries=[told[position] for position in sorted(told)],
        shots=[StoredShot(*card[1:]) for card in _rows(connection, shots, story)],
        takes=[StoredTake(*take[1:]) for take in _rows(connection, takes, story)],
    )


def list_events(connection: Connection, story: str) -> list[dict[str, Any]]:
    """Read the events of a story in order, each with its ``moment_seconds``."""
    rows = connection.execute(select(events).where(events.c.story == story).order_by(events.c.number))
    return [row.body | {"moment_seconds": row.moment_seconds} for row in rows]


def list_files(connection: Connection) -> dict[str, set[str]]:
    """Name the files of chunks of every story."""
    files: dict[str, set[str]] = {story: set() for story in connection.scalars(select(stories.c.id))}
    for story, file in connection.execute(select(chunks.c.story, chunks.c.file)):
        files[story].add(file)
    return files


def _rows(connection: Connection, table: Table, story: str) -> Sequence[Row]:
    """All rows of a story, in the order of its key."""
    return connection.execute(select(table).where(table.c.story == story).order_by(*table.primary_key)).all()


def _summary(row: Row) -> dict[str, Any]:
    kept = row._asdict()
    other, shot, entries = (kept.pop(f"parent_{name}") for name in ("story", "shot", "entries"))
    size = kept.pop("height"), kept.pop("width")
    parent = None if other is None else Parent(other, shot, entries)
    kept["entries_count"] = kept.pop("entries")
    return kept | {"size": size, "parent": parent}


def _command(row: Row) -> StoredCommand:
    applies = None if row.applies_shot is None else (row.applies_shot, row.applies_frame)
    return StoredCommand(row.id, row.body, applies, row.note)


def _chunk(row: Row, folder: Path) -> StoredChunk:
    kept = row._asdict()
    del kept["story"], kept["position"]
    path = folder / kept.pop("file")
    return StoredChunk(**kept, path=path)
