"""What the database does not know can be taken in: a chunk's file says what led to it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shotstream.serving.protocol.messages import read_command
from shotstream.serving.storage.integrity import check_library
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, check, command, journal, tell

pytestmark = pytest.mark.unit


def move(story: str, library: Path, other: Store) -> None:
    """Put a story's folder into a library that does not know it."""
    (other.folder / "stories").mkdir(exist_ok=True)
    shutil.move(library / "stories" / story, other.folder / "stories" / story)


@pytest.fixture
def other(tmp_path, empty_library):
    shutil.copytree(empty_library, tmp_path / "other")
    with Store(tmp_path / "other") as store:
        yield store


def test_a_folder_is_taken_in_up_to_its_newest_chunk(store, other):
    story = tell(store, 13, title="The fox")  # a shot of 11 entries, and two of the next without a chunk
    before = store.load(story)
    move(story, store.folder, other)
    assert other.adopt(story) == 11
    told = other.load(story)
    assert check(told) == 11
    facts = ("setting", "seed", "made_with", "parent")
    assert [getattr(told, name) for name in facts] == [getattr(before, name) for name in facts]
    assert told.commands == before.commands[: len(told.commands)]
    assert [(card.number, card.chunks, card.frames) for card in other.snapshot(story).shots] == [(0, 5, 40)]
    assert check_library(other) == []
    for number in range(11, 14):
        journal(other, story, number)
    assert check(other.load(story)) == 14


@pytest.mark.parametrize("url", [None])  # an older database is an older file
def test_newer_chunks_of_a_story_are_taken_in(store):
    story = tell(store, 5)
    older = store.folder.with_name("older.db")
    with (
        closing(sqlite3.connect(store.folder / "library.db")) as now,
        closing(sqlite3.connect(older)) as then,
    ):
        now.backup(then)
    for number in range(5, 9):
        journal(store, story, number)
    library = store.folder
    store.close()
    older.replace(library / "library.db")
    with Store(library) as store:
        assert check(store.load(story)) == 5
        assert store.adopt(story) == 4
        assert check(store.load(story)) == 9
        assert check_library(store) == []


def test_a_story_that_went_on_in_another_way_is_not_mixed_up(store, other):
    story = tell(store, 3)
    chunks = store.load(story).chunks[0].path.parent
    copy = other.folder / "chunks"
    for number in range(3, 7):
        journal(store, story, number)
    shutil.copytree(chunks, copy)
    with store._transaction() as connection:  # an older database, by which another command was given
        for table in ("commands", "chunks"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE position > 2")
        connection.exec_driver_sql("UPDATE stories SET entries = 3")
    store.append_command(story, command("another", "cut"))
    with pytest.raises(StoreError, match="or it went on in another way since"):
        store.adopt(story)
    assert [entry.command for entry in store.load(story).commands][-1] == read_command(
        {"type": "cut", "id": "another"}
    )


def test_nothing_is_taken_in_beyond_a_chunk_that_is_missing_or_damaged(store, other):
    story = tell(store, 9)
    chunks = [chunk.path for chunk in store.load(story).chunks]
    chunks[2].write_bytes(chunks[2].read_bytes()[:-3])
    move(story, store.folder, other)
    assert other.adopt(story) == 5
    assert check(other.load(story)) == 5


def test_a_branch_waits_for_its_parent(store, other):
    story = tell(store, 3)
    branch = begin(store, parent=(story, 0))
    journal(store, branch, 0)
    journal(store, branch, 1)
    journal(store, branch, 2)
    for moved in (story, branch):
        move(moved, store.folder, other)
    with pytest.raises(StoreError, match=f"branches off {story}, which is not there"):
        other.adopt(branch)
    assert other.adopt(story) == other.adopt(branch) == 3
    assert other.load(branch).parent == store.load(branch).parent


def test_an_empty_folder_is_not_taken_in(other):
    (other.folder / "stories" / "abcdefghijkl").mkdir(parents=True)
    with pytest.raises(StoreError, match="its folder has no chunks"):
        other.adopt("abcdefghijkl")
    assert other.stories() == []
