"""The tables of a library of stories.

A story is a journal: commands and chunks share one count of entries (`position`), and live them again in
that order gives the story again. Shots and takes say once more, quick to read, what the journal adds up to.
Shots, takes, chunks and frames count from 0; moments are in seconds since 1970.
"""

from __future__ import annotations

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
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _of_story(*, key: bool = True) -> Column:
    return Column("story", String(12), ForeignKey("stories.id"), primary_key=key, nullable=False)


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
    Column("memory", JSON),  # what is remembered, as the page shows it
    Column("entries", Integer, nullable=False),  # how many the journal has
    Column("parent_story", String(12), ForeignKey("stories.id")),
    Column("parent_shot", Integer),  # the last shot that is shared
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
    Column("body", JSON, nullable=False),  # the message, as it came
    Column("receipt", JSON, nullable=False),
    UniqueConstraint("story", "id"),
)

shots = Table(
    "shots",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("card", JSON, nullable=False),  # as the storyboard shows it
)

takes = Table(
    "takes",
    metadata,
    _of_story(),
    Column("shot", Integer, primary_key=True, autoincrement=False),
    Column("take", Integer, primary_key=True, autoincrement=False),
    Column("seed", BigInteger, nullable=False),
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
    ForeignKeyConstraint(["story", "shot", "take"], ["takes.story", "takes.shot", "takes.take"]),
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    _of_story(key=False),
    Column("moment_seconds", Double, nullable=False),
    Column("body", JSON, nullable=False),
)
