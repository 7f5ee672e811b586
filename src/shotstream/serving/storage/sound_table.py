"""Sound files of stories: rows and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Row, insert, select

from shotstream.media.sounds import SoundFacts
from shotstream.serving.storage.reader import sha256
from shotstream.serving.storage.schema import sounds, stories

NAME_LENGTH = 32
"""Characters of a sound's name in the library: the start of the SHA-256 of its file."""


@dataclass(frozen=True)
class StoredSound:
    """A sound file of a story."""

    sound: str
    """Its name in the library."""
    name: str
    """What the person's file was called."""
    seconds: float
    peaks: list[int]
    """See `SoundFacts`."""
    path: Path
    sha256: str


def sound_name(data: bytes) -> str:
    """The name of a sound in the library, which is the same for the same file."""
    return sha256(data)[:NAME_LENGTH]


def add_sound(connection: Connection, story: str, data: bytes, name: str, facts: SoundFacts) -> None:
    """Add the row of a sound file; one that is known is left as it is."""
    sound = sound_name(data)
    if _rows(connection, story, sound):
        return
    row = insert(sounds).values(story=story, sound=sound, kind=facts.kind, name=name)
    connection.execute(row.values(seconds=facts.seconds, peaks=facts.peaks, sha256=sha256(data)))


def list_sounds(connection: Connection, library: Path, story: str) -> list[StoredSound]:
    """List the sounds of a story, and those of the stories that it branched off."""
    listed: dict[str, StoredSound] = {}
    parent: str | None = story
    while parent is not None:
        for row in _rows(connection, parent):
            listed.setdefault(row.sound, _sound(library, row))
        parent = connection.scalar(select(stories.c.parent_story).where(stories.c.id == parent))
    return list(listed.values())


def sound_file(sound: str, kind: str) -> str:
    """What the file of a sound is called."""
    return f"{sound}.{kind}"


def _rows(connection: Connection, story: str, sound: str | None = None) -> list[Row]:
    found = select(sounds).where(sounds.c.story == story).order_by(sounds.c.sound)
    if sound is not None:
        found = found.where(sounds.c.sound == sound)
    return list(connection.execute(found))


def _sound(library: Path, row: Row) -> StoredSound:
    path = library / "stories" / row.story / "sounds" / sound_file(row.sound, row.kind)
    return StoredSound(row.sound, row.name, row.seconds, row.peaks or [], path, row.sha256)
