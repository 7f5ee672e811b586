"""Whatever is wrong with a library is found, named by its kind, and comes with a remedy."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from shotstream.serving.storage.integrity import LibraryFault, check_library, open_to_read
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import command, journal, tell

pytestmark = pytest.mark.unit

ENTRIES = 9
"""Of the story in the library: four chunks."""


@pytest.fixture
def library(tmp_path, empty_library) -> Path:
    """A library of two stories, with clips, stills and a picture."""
    folder = tmp_path / "library"
    shutil.copytree(empty_library, folder)
    with Store(folder) as store:
        story = tell(store, ENTRIES)
        tell(store, 3)
        store.write_still(story, (0, 0, 3), np.zeros((2, 2, 3), np.uint8))
        upload = store.add_picture(np.full((3, 3, 3), 7, np.uint8))
        store.append_command(story, command("picture", "reference", upload=upload))
    return folder


def check(library: Path) -> list[LibraryFault]:
    with open_to_read(library) as reader:
        return check_library(reader)


def change(library: Path, statement: str) -> None:
    with closing(sqlite3.connect(library / "library.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def files(library: Path, inside: str) -> list[Path]:
    with Store(library) as store:
        chunks = max((store.load(story.id).chunks for story in store.stories()), key=len)
    return sorted((chunks[0].path.parents[1] / inside).iterdir())


def flip(file: Path, place: int = -9) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def swap(library: Path) -> None:
    first, second = files(library, "chunks")[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def damage_database(library: Path, tables: tuple[str, ...] = ("commands", "chunks")) -> None:
    """Damage the pages of tables, as a bad disk does."""
    with closing(sqlite3.connect(library / "library.db")) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    data = bytearray((library / "library.db").read_bytes())
    for page in (roots[table] for table in tables):
        data[(page - 1) * 4096 : (page - 1) * 4096 + 8] = b"\xff" * 8
    (library / "library.db").write_bytes(data)


def link_folder(library: Path, inside: str) -> None:
    folder = files(library, inside)[0].parent
    shutil.move(folder, library.parent / "elsewhere")
    folder.symlink_to(library.parent / "elsewhere", target_is_directory=True)


DAMAGE: list[tuple[Callable[[Path], object], list[str]]] = [
    (lambda library: files(library, "chunks")[1].unlink(), ["missing chunk"]),
    (lambda library: flip(files(library, "chunks")[1]), ["damaged chunk"]),
    (lambda library: flip(files(library, "chunks")[1], 60), ["damaged chunk"]),
    (swap, ["swapped chunk", "swapped chunk"]),
    (lambda library: flip(files(library, "clips")[0]), ["damaged clip"]),
    (lambda library: files(library, "clips")[0].unlink(), ["missing clip"]),
    (lambda library: flip(files(library, "stills")[0]), ["damaged still"]),
    (lambda library: next((library / "uploads").iterdir()).unlink(), ["damaged picture"]),
    (lambda library: flip(next((library / "uploads").iterdir()), 45), ["damaged picture"]),
    (lambda library: change(library, "UPDATE shots SET card = '{'"), ["damaged row"] * 2),
    (lambda library: change(library, "UPDATE shots SET card = '{\"number\": 0}'"), ["damaged row"] * 2),
    (lambda library: change(library, "UPDATE stories SET memory = 'nothing'"), ["damaged row"] * 2),
    (lambda library: change(library, "UPDATE stories SET state = 'tired'"), ["damaged row"] * 2),
    (lambda library: change(library, "UPDATE stories SET fps = 'fast'"), ["damaged row"] * 2),
    (lambda library: change(library, "UPDATE commands SET body = '{' WHERE position = 3"), ["damaged row"]),
    (lambda library: change(library, "UPDATE commands SET receipt = x'ff'"), ["damaged row"] * 2),
    (lambda library: change(library, "DELETE FROM commands WHERE position = 3"), ["damaged row"]),
    (lambda library: change(library, "UPDATE chunks SET first_frame = 3 WHERE chunk = 1"), ["damaged row"]),
    (lambda library: change(library, "UPDATE chunks SET chunk = 3 WHERE position = 4"), ["damaged row"]),
    (damage_database, ["damaged database"]),
    (
        lambda library: shutil.copytree(
            files(library, "chunks")[0].parents[1], library / "stories" / "abcdefghijkl"
        ),
        ["unknown folder"],
    ),
    (lambda library: (library / "stories" / "notes.txt").touch(), ["unknown file"]),
    (lambda library: files(library, "chunks")[0].with_name("notes.txt").touch(), ["unknown file"]),
    (lambda library: link_folder(library, "clips"), ["link"]),
    (lambda library: link_folder(library, "chunks"), ["link"]),
]
NAMES = [f"{number} {kinds[0]}" for number, (_, kinds) in enumerate(DAMAGE)]


@pytest.mark.parametrize(("damage", "kinds"), DAMAGE, ids=NAMES)
def test_what_is_wrong_is_found_and_nothing_is_changed(library, damage, kinds):
    assert check(library) == []
    damage(library)
    before = {file: file.read_bytes() for file in library.rglob("*") if file.is_file()}
    found = check(library)
    if kinds == ["link"]:
        found = [finding for finding in found if finding.kind != "missing clip"]
    assert [finding.kind for finding in found] == kinds
    assert all(finding.remedy and finding.where for finding in found)
    assert {file: file.read_bytes() for file in library.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("entries", "said"), [(14, "1 chunks are"), (16, "2 chunks are")])
def test_a_database_that_is_older_than_the_files_is_found(library, entries, said):
    older = (library / "library.db").read_bytes()
    with Store(library) as store:
        story = max(store.stories(), key=lambda story: len(store.load(story.id).entries)).id
        store.append_command(story, command("one more"))
        for number in range(11, entries):
            journal(store, story, number)
    (library / "library.db").write_bytes(older)
    found = check(library)
    assert [finding.kind for finding in found] == ["older database"]
    assert f"stories/{story} ({said} newer" in str(found[0])
    assert "library check --adopt" in str(found[0])


def test_one_chunk_that_a_kill_has_left_is_no_fault(library):
    newest = files(library, "chunks")[-1]
    shutil.copy(newest, newest.with_name("0-0-4-10.safetensors"))
    newest.with_name(".0-0-4-10.1-2.part.safetensors").touch()
    assert check(library) == []


def test_a_library_is_checked_while_it_is_open_elsewhere(library):
    with Store(library) as store:
        journal(store, store.stories()[0].id, 13)
        assert check(library) == []
        flip(files_of(store)[0])
        assert [finding.kind for finding in check(library)] == ["damaged chunk"]
        store.load(store.stories()[0].id)


def files_of(store: Store) -> list[Path]:
    return [chunk.path for story in store.stories() for chunk in store.load(story.id).chunks]


def test_a_database_that_cannot_be_opened_is_called_damaged(library):
    damage_database(library, ("alembic_version",))
    with pytest.raises(StoreError, match=r"is damaged .*; put library.db back from a copy"):
        check(library)


def test_what_is_no_library_is_not_made_one(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(StoreError, match="there is no library in"), open_to_read(folder):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_row_costs_one_story_or_one_card_and_no_list(library):
    with Store(library) as store:
        first, second = (story.id for story in store.stories())
    change(library, f"UPDATE stories SET state = x'ff00', title = x'c328' WHERE id = '{first}'")
    change(library, f"UPDATE shots SET card = x'ff' WHERE story = '{second}'")
    change(library, f"UPDATE stories SET memory = '[' WHERE id = '{second}'")
    with Store(library) as store:
        assert [story.id for story in store.stories()] == [second]
        assert store.snapshot(second).shots == []
        assert store.snapshot(second).memory.frames == []
        assert store.load(second).entries
        for call in (store.load, store.snapshot, store.summary):
            with pytest.raises(StoreError, match=r"is damaged .*put library.db back from a copy"):
                call(first)
