"""Reading and writing the rows of a story, inside a transaction that the store has opened."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from shotstream.serving.protocol.events import (
    Change,
    Deleted,
    Memory,
    MemoryChanged,
    Receipt,
    ShotCard,
    ShotChanged,
)
from shotstream.serving.protocol.messages import read_command
from shotstream.serving.storage.schema import chunks, commands, events, shots, stories, takes
from shotstream.serving.storage.stored import (
    MadeWith,
    NewBranch,
    NoStory,
    StoredChunk,
    StoredCommand,
    StoredParent,
    StoredStory,
    StoreError,
    StorySummary,
)
from shotstream.streaming.chunk import Chunk

# ---- rows written ----


def add_story(connection: Connection, row: dict[str, Any], changes: Sequence[Change]) -> None:
    """Add an idle story without entries, and what its storyboard begins with."""
    moments = dict.fromkeys(("created_seconds", "changed_seconds"), time.time())
    connection.execute(insert(stories).values(**row, state="idle", entries=0, **moments))
    note_changes(connection, row["id"], changes)


def add_branch(connection: Connection, parent: Row, branch: NewBranch) -> None:
    """Add a story that goes off after all that its parent has by now."""
    row = {name: getattr(parent, name) for name in ("title", "setting", *MadeWith._fields)}
    row |= {"id": branch.id, "seed": branch.seed, "parent_story": parent.id, "parent_shot": branch.shot}
    add_story(connection, row | {"parent_entries": parent.entries}, branch.changes)


def change_story(connection: Connection, story: str, values: dict[str, Any], event: dict[str, Any]) -> None:
    """Change a story's row and note it among its events."""
    story_row(connection, story)
    now, row = time.time(), update(stories).where(stories.c.id == story)
    connection.execute(row.values(**values, changed_seconds=now))
    connection.execute(insert(events).values(story=story, moment_seconds=now, body=event))


def add_command(connection: Connection, story: str, position: int, taken: StoredCommand) -> None:
    """Add a command at `position`."""
    body = taken.command.model_dump(mode="json", exclude_none=True)
    row = {"id": taken.command.id, "body": body, "receipt": taken.receipt.model_dump(mode="json")}
    connection.execute(insert(commands).values(story=story, position=position, **row))


def add_chunk(connection: Connection, story: str, position: int, chunk: Chunk, file: str) -> None:
    """Add a chunk at `position`, and its take if it is new."""
    take = {"story": story, "shot": chunk.shot, "take": chunk.take}
    _put(connection, takes, take, {"seed": chunk.seed})
    row = {"chunk": chunk.index, "prompt": chunk.prompt, "first_frame": chunk.first_frame}
    row |= {"frames": len(chunk.frames), "last": chunk.last, "file": file}
    connection.execute(insert(chunks).values(**take, position=position, **row))


def note_entries(connection: Connection, story: str, entries: int) -> None:
    """Keep how many entries the journal has."""
    row = update(stories).where(stories.c.id == story)
    connection.execute(row.values(entries=entries, changed_seconds=time.time()))


def note_changes(connection: Connection, story: str, changes: Sequence[Change]) -> None:
    """Keep what the storyboard shows."""
    for change in changes:
        if isinstance(change, ShotChanged):
            card = change.model_dump(mode="json", exclude={"type"})
            _put(connection, shots, {"story": story, "shot": change.number}, {"card": card})
        elif isinstance(change, Deleted):
            connection.execute(delete(shots).where(shots.c.story == story, shots.c.shot == change.shot))
        elif isinstance(change, MemoryChanged):
            memory = change.model_dump(mode="json", exclude={"type"})
            connection.execute(update(stories).where(stories.c.id == story).values(memory=memory))
        else:
            values = {"state": change.state.value, "reason": change.reason}
            change_story(connection, story, values, {"type": "state", **values})


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
        NoStory: If there is none.
    """
    row = connection.execute(select(stories).where(stories.c.id == story)).one_or_none()
    if row is None:
        raise NoStory(f"there is no story {story!r} in this library; choose one of those it lists")
    return row


def is_newest(connection: Connection, story: str, entries: int, chunk: Chunk) -> bool:
    """Whether the last of the story's entries is this chunk."""
    found = select(chunks.c.shot, chunks.c.take, chunks.c.chunk)
    row = connection.execute(
        found.where(chunks.c.story == story, chunks.c.position == entries - 1)
    ).one_or_none()
    return row is not None and tuple(row) == (chunk.shot, chunk.take, chunk.index)


def list_stories(connection: Connection, *, deleted: bool) -> list[StorySummary]:
    """List the stories, or those that were put away, the newest change first."""
    move_to_trash = stories.c.deleted_seconds.is_not(None) if deleted else stories.c.deleted_seconds.is_(None)
    found = select(stories).where(move_to_trash).order_by(stories.c.changed_seconds.desc(), stories.c.id)
    return [summary(row) for row in connection.execute(found)]


def summary(row: Row) -> StorySummary:
    """What the library lists of a story."""
    return StorySummary(**_summary(row))


def load_story(connection: Connection, story: str, folder: Path) -> StoredStory:
    """Read a whole story, the latents of whose chunks are in `folder`."""
    row = story_row(connection, story)
    seeds = {(take.shot, take.take): take.seed for take in _rows(connection, takes, story)}
    told: dict[int, StoredCommand | StoredChunk] = {}
    for entry in _rows(connection, commands, story):
        told[entry.position] = StoredCommand(read_command(entry.body), Receipt.model_validate(entry.receipt))
    for entry in _rows(connection, chunks, story):
        told[entry.position] = _chunk(entry, seeds[entry.shot, entry.take], folder)
    return StoredStory(**_summary(row), entries=[told[position] for position in sorted(told)])


def take_chunks(
    connection: Connection, story: str, shot: int, take: int, folder: Path, entries: int
) -> list[StoredChunk]:
    """Read the chunks of one take among the first `entries`, in order, whose latents are in `folder`."""
    of_take = [takes.c.story == story, takes.c.shot == shot, takes.c.take == take]
    seed = connection.scalar(select(takes.c.seed).where(*of_take))
    if seed is None:
        return []
    found = select(chunks).where(chunks.c.story == story, chunks.c.shot == shot, chunks.c.take == take)
    found = found.where(chunks.c.position < entries).order_by(chunks.c.position)
    return [_chunk(row, seed, folder) for row in connection.execute(found)]


def cards(connection: Connection, story: str) -> list[ShotCard]:
    """Read the storyboard, as it was shown last."""
    return [_card(row.card) for row in _rows(connection, shots, story)]


def memory(row: Row) -> Memory:
    """What a story remembers, as it was shown last."""
    nothing = {"frames": [], "global_used": 0, "global_size": 0, "local_used": 0, "local_size": 0}
    return Memory.model_validate(row.memory or nothing)


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


def parent(row: Row) -> StoredParent | None:
    """Where a story branched off, if it did."""
    if row.parent_story is None:
        return None
    return StoredParent(row.parent_story, row.parent_shot, row.parent_entries)


def _summary(row: Row) -> dict[str, Any]:
    names = ("id", "title", "setting", "seed", "state", "reason")
    names += ("created_seconds", "changed_seconds", "deleted_seconds")
    made_with = MadeWith(row.model, row.height, row.width, row.fps)
    return {name: getattr(row, name) for name in names} | {"made_with": made_with, "parent": parent(row)}


def _chunk(row: Row, seed: int, folder: Path) -> StoredChunk:
    kept = row._asdict()
    del kept["story"], kept["position"]
    path = folder / kept.pop("file")
    return StoredChunk(**kept, seed=seed, path=path)


def _card(body: dict[str, Any]) -> ShotCard:
    return ShotCard.model_validate_json(json.dumps(body))
