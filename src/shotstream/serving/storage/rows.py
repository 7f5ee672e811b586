"""Reading and writing the rows of a story, inside a transaction that the store has opened."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row, Table, Text, cast, delete, insert, or_, select, update

from shotstream.serving.protocol.commands import SheetCharacter
from shotstream.serving.protocol.events import (
    AutoRetakeChanged,
    AutoRetakeRule,
    CastChanged,
    Change,
    Deleted,
    Memory,
    MemoryChanged,
    PlacedSound,
    Receipt,
    SettingChanged,
    ShotCard,
    ShotChanged,
    SoundsChanged,
    TakeContinuity,
)
from shotstream.serving.protocol.messages import read_command
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.chunk_files import ChunkNote
from shotstream.serving.storage.schema import (
    chunks,
    commands,
    continuity,
    events,
    library,
    shots,
    sounds,
    stills,
    stories,
    takes,
)
from shotstream.serving.storage.stored import (
    MadeWith,
    NewBranch,
    NoStory,
    StoredChunk,
    StoredCommand,
    StoredParent,
    StoredStory,
    StoreError,
    StoryFiles,
    StorySummary,
)
from shotstream.streaming.adapters import AdapterUse
from shotstream.streaming.chunk import Chunk

log = logging.getLogger(__name__)

NO_MEMORY: dict[str, Any] = {
    "frames": [],
    "global_used": 0,
    "global_size": 0,
    "local_used": 0,
    "local_size": 0,
}
"""What is remembered of a story that has nothing yet."""
_STORY_ID = re.compile(r"[a-z0-9]{12}")
_NUMBERS = ("seed", "height", "width", "fps", "entries", "created_seconds", "changed_seconds")

# ---- rows written ----

STORY_FACTS = (
    "id", "setting", "seed", *MadeWith._fields,
    "parent_story", "parent_shot", "parent_shots", "parent_entries",
)  # fmt: skip
"""Columns of a story that its chunks' files have, too."""


def add_story(connection: Connection, row: dict[str, Any], changes: Sequence[Change]) -> None:
    """Add an idle story without entries, and what its storyboard begins with."""
    moments = dict.fromkeys(("created_seconds", "changed_seconds"), time.time())
    connection.execute(insert(stories).values(**row, state="idle", entries=0, **moments))
    note_changes(connection, row["id"], changes)


def add_branch(connection: Connection, parent: Row, branch: NewBranch) -> None:
    """Add a story that goes off after all that its parent has by now."""
    row = {name: getattr(parent, name) for name in ("title", "setting", *MadeWith._fields)}
    row |= {"id": branch.id, "seed": branch.seed, "parent_story": parent.id, "parent_shot": branch.shot}
    row |= {"parent_shots": branch.shots, "parent_entries": parent.entries}
    add_story(connection, row, branch.changes)


def note_event(connection: Connection, story: str, event: dict[str, Any]) -> None:
    """Note something among a story's events."""
    connection.execute(insert(events).values(story=story, moment_seconds=time.time(), body=event))


def change_story(connection: Connection, story: str, values: dict[str, Any], event: dict[str, Any]) -> None:
    """Change a story's row and note it among its events."""
    story_row(connection, story)
    row = update(stories).where(stories.c.id == story)
    connection.execute(row.values(**values, changed_seconds=time.time()))
    note_event(connection, story, event)


def add_command(connection: Connection, story: str, position: int, taken: StoredCommand) -> None:
    """Add a command at `position`."""
    body = taken.command.model_dump(mode="json", exclude_none=True)
    row = {"id": taken.command.id, "body": body, "receipt": taken.receipt.model_dump(mode="json")}
    connection.execute(insert(commands).values(story=story, position=position, **row))


def put_aside(connection: Connection, story: str, position: int, count: int) -> None:
    """Put aside the chunks right before the command at `position`, `count` of them."""
    before = [chunks.c.story == story, chunks.c.position < position, chunks.c.position >= position - count]
    marked = connection.execute(update(chunks).where(*before).values(put_aside=position)).rowcount
    assert marked == count, "what is put aside was made since the last command"


def chunk_facts(chunk: Chunk) -> dict[str, Any]:
    """What the journal has of a chunk beside its file."""
    facts = {"shot": chunk.shot, "take": chunk.take, "chunk": chunk.index, "prompt": chunk.prompt}
    facts |= {"first_frame": chunk.first_frame, "frames": len(chunk.frames), "last": chunk.last}
    return facts | {"seed": chunk.seed} | ({"adapters": chunk.adapters} if chunk.adapters else {})


def add_chunk(
    connection: Connection, story: str, position: int, facts: dict[str, Any], file: str, sha256: str
) -> None:
    """Add a chunk at `position`, and its take if it is new; see `chunk_facts`."""
    row = dict(facts)
    take = {"story": story, "shot": row["shot"], "take": row["take"]}
    of_take = {"seed": row.pop("seed"), "adapters": row.pop("adapters", None)}
    _put(connection, takes, take, of_take)
    connection.execute(insert(chunks).values(**row, story=story, position=position, file=file, sha256=sha256))


def put_sums(connection: Connection, story: str, position: int, **sums: str | None) -> bool:
    """Keep checksums of a chunk, ``sha256`` or ``clip_sha256``; return whether there is such a chunk."""
    row = update(chunks).where(chunks.c.story == story, chunks.c.position == position)
    return connection.execute(row.values(**sums)).rowcount > 0


def put_still(connection: Connection, story: str, place: tuple[int, int, int], sha256: str) -> None:
    """Keep the checksum of a still: (shot, take, frame)."""
    key = dict(zip(("shot", "take", "frame"), place, strict=True))
    _put(connection, stills, {"story": story, **key}, {"sha256": sha256})


def put_continuity(connection: Connection, story: str, shot: int, measured: TakeContinuity) -> None:
    """Keep how well a take goes on with its story."""
    key = {"story": story, "shot": shot, "take": measured.take}
    _put(connection, continuity, key, {"body": measured.model_dump(mode="json")})


def read_continuity(connection: Connection, story: str) -> dict[tuple[int, int], TakeContinuity]:
    """Continuity of a story's takes by (shot, take); what is damaged is left out."""
    found = connection.execute(select(continuity).where(continuity.c.story == story))
    read: dict[tuple[int, int], TakeContinuity] = {}
    for row in found:
        with suppress(ValidationError):
            read[row.shot, row.take] = TakeContinuity.model_validate(row.body)
    return read


def still_frames(connection: Connection, story: str, shot: int, take: int) -> list[int]:
    """Numbers of the frames of which stills are kept, rising."""
    of_take = (stills.c.story == story, stills.c.shot == shot, stills.c.take == take)
    found = select(stills.c.frame).where(*of_take).order_by(stills.c.frame)
    return list(connection.scalars(found))


def auto_retake(row: Row) -> AutoRetakeRule | None:
    """When a story's shots are taken anew by themselves; never where that is damaged."""
    with suppress(ValidationError):
        return row.auto_retake and AutoRetakeRule.model_validate(row.auto_retake)
    return None


def note(connection: Connection, story: str, position: int, facts: dict[str, Any]) -> ChunkNote:
    """What a chunk's file says beside its latents."""
    row = story_row(connection, story)
    return ChunkNote(
        story={name: getattr(row, name) for name in STORY_FACTS},
        position=position,
        chunk=facts,
        commands=commands_before(connection, story, position),
    )


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
        elif isinstance(change, SoundsChanged):
            placed = [sound.model_dump(mode="json") for sound in change.sounds]
            connection.execute(update(stories).where(stories.c.id == story).values(sounds=placed))
        elif isinstance(change, CastChanged):
            change_story(connection, story, {}, change.model_dump(mode="json"))
        elif isinstance(change, SettingChanged):
            values = {"setting": change.setting}
            change_story(connection, story, values, {"type": "setting", **values})
        elif isinstance(change, AutoRetakeChanged):
            rule = change.rule and change.rule.model_dump(mode="json")
            connection.execute(update(stories).where(stories.c.id == story).values(auto_retake=rule))
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
        raise StoreError(f"the story {story!r} is not put away; put it away first, then delete it for good")
    branch = connection.scalar(select(stories.c.id).where(stories.c.parent_story == story).limit(1))
    if branch is not None:
        raise StoreError(f"the story {branch!r} branches off {story!r}; delete that branch for good first")


def remove_story(connection: Connection, story: str) -> None:
    """Remove every row of a story."""
    for table in (events, commands, chunks, takes, shots, stills, sounds, continuity):
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
    return summaries(connection.execute(found))


def summaries(found: Iterable[Row]) -> list[StorySummary]:
    """Read stories of these rows; one whose row is damaged is left out."""
    listed = []
    for row in found:
        try:
            listed.append(summary(row))
        except StoreError as damage:  # of one story: the others are listed
            log.error("a story is not listed: %s", damage)
    return listed


def summary(row: Row) -> StorySummary:
    """What the library lists of a story.

    Raises:
        StoreError: If its row is damaged.
    """
    check_row(row)
    return StorySummary(**_summary(row))


def check_row(row: Row) -> None:
    """See that what a story's row has can be what was written there.

    Raises:
        StoreError: If not.
    """
    wrong = [name for name in _NUMBERS if not isinstance(getattr(row, name), int | float)]
    wrong += [name for name in ("title", "setting", "model") if not isinstance(getattr(row, name), str)]
    wrong += ["state"] * (row.state not in list(State))
    wrong += ["id"] * (not isinstance(row.id, str) or not _STORY_ID.fullmatch(row.id))
    wrong += ["fps"] * (row.fps in (0, None))
    if wrong:
        values = ", ".join(f"{name} is {getattr(row, name)!r}" for name in wrong)
        raise StoreError(
            f"the row of story {row.id!r} is damaged ({values}); put library.db back from a copy of the "
            "library"
        )


def load_story(connection: Connection, story: str, folder: Path) -> StoredStory:
    """Read a whole story, the latents of whose chunks are in `folder`.

    Raises:
        NoStory: If there is none.
        StoreError: If its rows are damaged.
    """
    row = story_row(connection, story)
    check_row(row)
    made = {(take.shot, take.take): take for take in _rows(connection, takes, story)}
    told: dict[int, StoredCommand | StoredChunk] = {}
    for entry in _rows(connection, commands, story):
        told[entry.position] = _command(story, entry)
    for entry in _rows(connection, chunks, story):
        told[entry.position] = _chunk(entry, made[entry.shot, entry.take], folder)
    if sorted(told) != list(range(row.entries)):
        raise StoreError(
            f"the journal of story {story!r} has {len(told)} of its {row.entries} entries; put library.db "
            "back from a copy of the library"
        )
    return StoredStory(**_summary(row), entries=[told[position] for position in sorted(told)])


def _command(story: str, entry: Row) -> StoredCommand:
    try:
        return StoredCommand(read_command(entry.body), Receipt.model_validate(entry.receipt))
    except ValueError as error:
        raise StoreError(
            f"entry {entry.position} of story {story!r}, a command, is damaged; put library.db back from a "
            "copy of the library"
        ) from error


def commands_before(connection: Connection, story: str, position: int) -> list[dict[str, Any]]:
    """Read the commands between the chunk before `position` and that position, as they were journalled."""
    before = select(chunks.c.position).where(chunks.c.story == story, chunks.c.position < position)
    start = connection.scalar(before.order_by(chunks.c.position.desc()).limit(1))
    found = select(commands.c.position, commands.c.body, commands.c.receipt)
    found = found.where(commands.c.story == story, commands.c.position < position)
    found = found.where(commands.c.position > (-1 if start is None else start))
    return [row._asdict() for row in connection.execute(found.order_by(commands.c.position))]


def take_chunks(
    connection: Connection, story: str, shot: int, take: int, folder: Path, entries: int
) -> list[StoredChunk]:
    """Read the chunks of one take, as it stood after `entries`, in order; their latents are in `folder`."""
    of_take = [takes.c.story == story, takes.c.shot == shot, takes.c.take == take]
    made = connection.execute(select(takes).where(*of_take)).first()
    if made is None:
        return []
    found = select(chunks).where(chunks.c.story == story, chunks.c.shot == shot, chunks.c.take == take)
    kept = or_(chunks.c.put_aside.is_(None), chunks.c.put_aside >= entries)
    found = found.where(kept, chunks.c.position < entries).order_by(chunks.c.position)
    return [_chunk(row, made, folder) for row in connection.execute(found)]


def cards(connection: Connection, story: str) -> list[ShotCard]:
    """Read the storyboard, as it was shown last; a damaged card is left out."""
    read = []
    for row in _rows(connection, shots, story):
        try:
            read.append(card(row.card))
        except ValidationError:
            log.error("the card of shot %s of story %s is damaged and left out", row.shot, story)
    return read


def memory(row: Row) -> Memory:
    """What a story remembers, as it was shown last; nothing if that is damaged."""
    try:
        return Memory.model_validate(row.memory or NO_MEMORY)
    except ValidationError:
        log.error("what story %s remembers is damaged in its row and left out", row.id)
        return Memory.model_validate(NO_MEMORY)


def placed_sounds(row: Row) -> list[PlacedSound]:
    """What is heard with a story's film, as it was shown last; nothing if that is damaged."""
    try:
        return [PlacedSound.model_validate(sound) for sound in row.sounds or []]
    except (TypeError, ValidationError):
        log.error("what is heard with story %s is damaged in its row and left out", row.id)
        return []


def cast_sheet(connection: Connection, story: str) -> list[SheetCharacter]:
    """A story's cast sheet, as it was noted last among its events; nobody if that is damaged."""
    newest = select(events.c.body).where(events.c.story == story).order_by(events.c.number.desc())
    for body in connection.scalars(newest):
        if isinstance(body, dict) and body.get("type") == "cast":
            with suppress(ValidationError):
                return CastChanged.model_validate(body).cast
    return []


def list_events(connection: Connection, story: str) -> list[dict[str, Any]]:
    """Read the events of a story in order, each with its ``moment_seconds``."""
    rows = connection.execute(select(events).where(events.c.story == story).order_by(events.c.number))
    return [row.body | {"moment_seconds": row.moment_seconds} for row in rows]


def has_chunks(connection: Connection, story: str) -> bool:
    """Whether any chunk of the story was journalled."""
    return connection.scalar(select(chunks.c.position).where(chunks.c.story == story).limit(1)) is not None


def still_sum(connection: Connection, story: str, place: tuple[int, int, int]) -> str | None:
    """The checksum of a still: (shot, take, frame); None if it is not kept."""
    row = [stills.c[name] == value for name, value in zip(("shot", "take", "frame"), place, strict=True)]
    return connection.scalar(select(stills.c.sha256).where(stills.c.story == story, *row))


def library_id(connection: Connection) -> str:
    """The id of the library; a copy of the database has it, too."""
    return connection.execute(select(library.c.id)).scalar_one()


def list_files(connection: Connection) -> dict[str, StoryFiles]:
    """Name the files of every story."""
    files = {
        row.id: StoryFiles(row.entries) for row in connection.execute(select(stories.c.id, stories.c.entries))
    }
    for row in connection.execute(select(chunks)):
        if row.story in files:
            files[row.story].chunks[row.file] = row.sha256
            files[row.story].clips[f"{Path(row.file).stem}.packets"] = row.clip_sha256
    for row in connection.execute(select(stills)):
        if row.story in files:
            files[row.story].stills[f"{row.shot}-{row.take}-{row.frame}.png"] = row.sha256
    for row in connection.execute(select(sounds)):
        if row.story in files:
            files[row.story].sounds[f"{row.sound}.{row.kind}"] = row.sha256
    return files


def uploads_used(connection: Connection, uploads: Sequence[str], *, but_by: str = "") -> set[str]:
    """Which of these pictures a command of any story names, leaving one story out."""
    bodies = select(cast(commands.c.body, Text)).where(commands.c.story != but_by)
    body = cast(commands.c.body, Text)
    texts = list(connection.scalars(bodies.where(or_(body.contains('"reference"'), body.contains('"cast"')))))
    return {upload for upload in uploads if any(f'"{upload}"' in text for text in texts)}


def _rows(connection: Connection, table: Table, story: str) -> Sequence[Row]:
    """All rows of a story, in the order of its key."""
    return connection.execute(select(table).where(table.c.story == story).order_by(*table.primary_key)).all()


def parent(row: Row) -> StoredParent | None:
    """Where a story branched off, if it did."""
    if row.parent_story is None:
        return None
    return StoredParent(row.parent_story, row.parent_shot, row.parent_entries)


def shared_shots(row: Row) -> int:
    """How many numbers of shots a branch shares with its parent, from 0 on."""
    return row.parent_shot + 1 if row.parent_shots is None else row.parent_shots


def _summary(row: Row) -> dict[str, Any]:
    names = ("id", "title", "setting", "seed", "state", "reason")
    names += ("created_seconds", "changed_seconds", "deleted_seconds")
    made_with = MadeWith(row.model, row.height, row.width, row.fps)
    return {name: getattr(row, name) for name in names} | {"made_with": made_with, "parent": parent(row)}


def _chunk(row: Row, take: Row, folder: Path) -> StoredChunk:
    kept = row._asdict()
    del kept["story"], kept["position"]
    path = folder / kept.pop("file")
    adapters = tuple(AdapterUse(*use) for use in take.adapters or ())
    return StoredChunk(**kept, seed=take.seed, adapters=adapters, path=path)


def card(body: dict[str, Any] | None) -> ShotCard:
    """Read a card as it is kept.

    Raises:
        ValidationError: If it is damaged.
    """
    return ShotCard.model_validate_json(json.dumps(body))
