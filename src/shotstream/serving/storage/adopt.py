"""Taking into the database what it does not know: a story's folder, or newer chunks of a story that it has.

Every chunk's file says what the journal had said by then, see `ChunkNote`. What was said after the newest
chunk is lost, and so is the title.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from shotstream.media.sounds import SoundError, read_sound
from shotstream.serving.protocol.events import ShotChanged
from shotstream.serving.storage import rows
from shotstream.serving.storage.chunk_files import ChunkNote, read_note
from shotstream.serving.storage.reader import sha256
from shotstream.serving.storage.schema import commands
from shotstream.serving.storage.sound_table import add_sound, sound_file, sound_name
from shotstream.serving.storage.stored import NoStory, StoredChunk, StoreError
from shotstream.serving.storage.sweep import CHUNK_FILE, list_folder


def adopt_story(connection: Connection, folder: Path, story: str) -> int:
    """Take the chunks of a story's folder into its journal, with the commands between them.

    It goes as far as the chunks follow one another: what comes after one that is missing or damaged stays
    where it is.

    Args:
        connection: In a transaction that writes.
        folder: The story's own.
        story: Its id.

    Returns:
        How many entries the journal has more.

    Raises:
        StoreError: If there is nothing that can be taken in; the message says why.
    """
    notes = _notes(folder, story)
    row = _begin(connection, story, notes)
    entries = row.entries
    for file, note in notes:
        if note.position >= entries and _follows(connection, story, entries, note):
            entries = _add(connection, story, entries, file, note)
    if entries == row.entries:
        raise StoreError(
            f"the story {story} cannot be taken in: what follows entry {entries} of its journal is in "
            "none of its chunks' files, or it went on in another way since"
        )
    rows.note_entries(connection, story, entries)
    chunks = rows.load_story(connection, story, folder / "chunks").chunks
    rows.note_changes(connection, story, _cards(chunks, row.fps))
    _add_sounds(connection, story, folder / "sounds")
    rows.note_event(connection, story, {"type": "adopt", "entries": entries - row.entries})
    return entries - row.entries


def _notes(folder: Path, story: str) -> list[tuple[Path, ChunkNote]]:
    """The chunks' files that say of themselves what they are, in the order of the journal."""
    inside = folder / "chunks"
    files = [file for file in inside.iterdir() if CHUNK_FILE.fullmatch(file.name)] if inside.is_dir() else []
    if not files:
        raise StoreError(f"the story {story} cannot be taken in: its folder has no chunks")
    read = [(file, note) for file in files if not file.is_symlink() and (note := read_note(file))]
    read = [(file, note) for file, note in read if note.story["id"] == story and file.name == _name(note)]
    if not read:
        raise StoreError(
            f"the story {story} cannot be taken in: its chunks do not say what was asked for, as an older "
            "ShotStream wrote them; put back the library.db that belongs to them"
        )
    return sorted(read, key=lambda found: found[1].position)


def _name(note: ChunkNote) -> str:
    chunk = note.chunk
    return f"{chunk['shot']}-{chunk['take']}-{chunk['chunk']}-{note.position}.safetensors"


def _begin(connection: Connection, story: str, notes: list[tuple[Path, ChunkNote]]) -> Row:
    """The story's row; a new one if there is none."""
    try:
        return rows.story_row(connection, story)
    except NoStory:
        facts = notes[0][1].story
    if parent := facts["parent_story"]:
        try:
            rows.story_row(connection, parent)
        except NoStory as error:
            raise StoreError(
                f"the story {story} cannot be taken in: it branches off {parent}, which is not there"
            ) from error
    known = {name: facts[name] for name in rows.STORY_FACTS if name in facts}  # older files lack some
    rows.add_story(connection, {"title": ""} | known, [])
    return rows.story_row(connection, story)


def _follows(connection: Connection, story: str, entries: int, note: ChunkNote) -> bool:
    """Whether nothing is missing between the journal's entries and this chunk, and both tell the same."""
    found = select(commands.c.position, commands.c.body).where(commands.c.story == story)
    known = {row.position: row.body for row in connection.execute(found)}
    same = all(
        known.get(command["position"]) == command["body"]
        for command in note.commands
        if command["position"] < entries
    )
    new = [command["position"] for command in note.commands if command["position"] >= entries]
    return same and [*new, note.position] == list(range(entries, note.position + 1))


def _add(connection: Connection, story: str, entries: int, file: Path, note: ChunkNote) -> int:
    for command in note.commands:
        if command["position"] >= entries:
            row: dict[str, Any] = {"story": story, "id": command["body"]["id"], **command}
            connection.execute(insert(commands).values(**row))
            if count := (command["receipt"] or {}).get("put_aside"):
                rows.put_aside(connection, story, command["position"], count)
    rows.add_chunk(connection, story, note.position, note.chunk, file.name, sha256(file.read_bytes()))
    return note.position + 1


def _add_sounds(connection: Connection, story: str, folder: Path) -> None:
    """Take in the sound files that are what their names say; how people called them is lost."""
    for file in list_folder(folder):
        if file.is_symlink() or not file.is_file():
            continue
        with suppress(ImportError, SoundError, OSError):
            data, facts = file.read_bytes(), read_sound(file, math.inf)
            if file.name == sound_file(sound_name(data), facts.kind):
                add_sound(connection, story, data, file.name, facts)


def _cards(chunks: list[StoredChunk], fps: float) -> list[ShotChanged]:
    """The storyboard, each shot by the take that was made last; it is shown so until the story is opened."""
    takes = {chunk.shot: chunk.take for chunk in chunks}
    cards = []
    for shot, take in sorted(takes.items()):
        made = [chunk for chunk in chunks if (chunk.shot, chunk.take) == (shot, take)]
        told = [(next(group).chunk, prompt) for prompt, group in groupby(made, lambda chunk: chunk.prompt)]
        card = {"number": shot, "prompt": told[0][1], "prompts": told, "seed": made[0].seed, "take": take}
        card |= {"takes": take + 1, "state": "done", "chunks": len(made)}
        frames = sum(chunk.frames for chunk in made)
        cards.append(ShotChanged(**card, frames=frames, length_seconds=frames / fps))
    return cards
