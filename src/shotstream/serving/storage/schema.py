"""The tables of a library of stories.

A story is a journal: commands and chunks share one count of entries (`position`), and live them again in
that order gives the story again. Shots and takes say once more, quick to read, what the journal adds up to.
Shots, takes, chunks and frames count from 0; moments are in seconds since 1970.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class TolerantJson(TypeDecorator):
    """JSON of which a damaged value reads as None: the other rows of an answer can still be read."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Read values as JSON does, but for damaged ones."""
        read = self.impl_instance.result_processor(dialect, coltype)

        def tolerant(value: Any) -> Any:
            try:
                return read(value) if read else value
            except ValueError:
                return None

        return tolerant


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _of_story(*, key: bool = True) -> Column:
    return Column("story", String(12), ForeignKey("stories.id"), primary_key=key, nullable=False)


library = Table(
    "library",
    metadata,
    Column("id", String(12), primary_key=True),  # the only row: whose files are at an address
)

stories = Table(
    "stories",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("title", Text, nullable=False, server_default=""),  # what people call it
    Column("setting", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("fps", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("memory", TolerantJson),  # what is remembered, as the page shows it
    Column("sounds", TolerantJson),  # what is heard with the film, likewise
    Column("auto_retake", TolerantJson),  # when shots are taken anew by themselves
    Column("entries", Integer, nullable=False),  # how many the journal has
    Column("parent_story", String(12), ForeignKey("stories.id")),
    Column("parent_shot", Integer),  # the last shot that is shared
    Column("parent_shots", Integer),  # how many numbers are shared; those up to that one's if NULL
    Column("parent_entries", Integer),  # how many of the parent's entries come before the branch
    Column("created_seconds", Double, nullable=False),
    Column("changed_seconds", Double, nullable=False),
    Column("deleted_seconds", Double),
)

commands = Table(
    "commands",
    metadata,
    _of_story(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
    Column("body", TolerantJson, nullable=False),  # the message, as it came
    Column("receipt", TolerantJson, nullable=False),
    UniqueConstraint("story", "id"),
)

shots = Table(
    "shots",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("card", TolerantJson, nullable=False),  # as the storyboard shows it
)

takes = Table(
    "takes",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("take", Integer, primary_key=True, autoincrement=False),
    Column("seed", BigInteger, nullable=False),
    Column("adapters", TolerantJson),  # name, hash and scale of its LoRAs; of older libraries unknown
)

chunks = Table(
    "chunks",
    metadata,
    Column("story", String(12), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("shot", Integer, nullable=False),
    Column("take", Integer, nullable=False),
    Column("chunk", Integer, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("first_frame", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("last", Boolean, nullable=False),  # whether its shot ended with it
    Column("file", Text, nullable=False),  # its name in the story's folder of chunks
    Column("sha256", String(64)),  # of that file; chunks of older libraries have none
    Column("clip_sha256", String(64)),  # of its clip, once that is kept
    Column("put_aside", Integer),  # position of the command that put it aside before anybody had seen it
    ForeignKeyConstraint(["story", "shot", "take"], ["takes.story", "takes.shot", "takes.take"]),
)

stills = Table(
    "stills",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("take", Integer, primary_key=True, autoincrement=False),
    Column("frame", Integer, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),  # of its file
)

sounds = Table(
    "sounds",
    metadata,
    _of_story(),
    Column("sound", String(32), primary_key=True),
    Column("kind", String(8), nullable=False),  # ending of its file
    Column("name", Text, nullable=False),  # what the person's file was called
    Column("seconds", Double, nullable=False),
    Column("peaks", TolerantJson, nullable=False),  # its waveform
    Column("sha256", String(64), nullable=False),  # of its file
)

continuity = Table(  # derived from the pictures: what is lost is measured again with the next take
    "continuity",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("take", Integer, primary_key=True, autoincrement=False),
    Column("body", TolerantJson, nullable=False),  # as the card has it
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    _of_story(key=False),
    Column("moment_seconds", Double, nullable=False),
    Column("body", TolerantJson, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("address", Text, nullable=False),  # host and port of its HTTP server
    Column("draining", Boolean, nullable=False),  # whether its stories go elsewhere
    Column("beat_seconds", Double, nullable=False),  # when it was heard of last
    Column("figures", TolerantJson, nullable=False),  # how much it has room for
)

leases = Table(
    "leases",
    metadata,
    Column("story", String(12), primary_key=True),
    Column("replica", String(32), ForeignKey("replicas.name"), nullable=False),
)
