"""A library is one process's, its owner's alone, and is missed at once where somebody removes it."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import LibraryInUse, StoreError
from tests.serving.storage.numbered_story import begin, check, chunk, command, journal, tell

pytestmark = pytest.mark.unit


def modes(library: Path) -> set[tuple[str, str]]:
    found = [library, *library.rglob("*")]
    return {("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode))) for path in found}


@pytest.mark.parametrize("there", [False, True])
def test_a_new_library_is_its_owners_alone(tmp_path, there):
    library = tmp_path / "library"
    if there:
        library.mkdir(0o755)
    with Store(library) as store:
        story = tell(store, 3)
        store.add_picture(np.zeros((2, 2, 3), np.uint8))
        store.write_still(story, (0, 0, 0), np.zeros((2, 2, 3), np.uint8))
        (library / "stories" / story / "notes.txt").touch(0o600)
        store.sweep()
        assert modes(library) == {("folder", "0o700"), ("file", "0o600")}


def test_a_library_that_others_may_read_stays_so(tmp_path):
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o755)
    with Store(tmp_path) as store:
        story = tell(store, 3)
        assert stat.S_IMODE(store.load(story).chunks[0].path.stat().st_mode) == 0o644
        assert stat.S_IMODE((tmp_path / "library.db").stat().st_mode) == 0o644


def test_it_is_open_once_and_again_after_it_is_closed(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(LibraryInUse, match="end that, or choose another library"):
        Store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed; open it again"):
        begin(store)
    Store(tmp_path).close()


def test_after_a_stop_the_database_is_one_file(tmp_path):
    with Store(tmp_path / "library") as store:
        story = tell(store, 7)
        reader = store._engine.connect()  # somebody is late
        reader.exec_driver_sql("SELECT 1")
        reader.rollback()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "library" / "library.db", copy)
    shutil.copytree(tmp_path / "library" / "stories", copy / "stories")
    reader.close()
    with Store(copy) as store:
        assert check(store.load(story)) == 7


def test_the_log_is_emptied_while_stories_are_told(tmp_path):
    with Store(tmp_path) as store:
        story, before = begin(store), (tmp_path / "library.db").stat().st_size
        for number in range(40):
            journal(store, story, number)
        assert (tmp_path / "library.db").stat().st_size > before
        assert (tmp_path / "library.db-wal").stat().st_size < 2**20


@pytest.mark.parametrize("removed", [".", "library.db", "library.lock"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_library_that_is_removed_is_missed_at_the_next_transaction(tmp_path, removed, replaced):
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    with Store(library) as store:
        story = tell(store, 3)
        shutil.move(library / removed, elsewhere)
        if replaced:
            copy = shutil.copytree if elsewhere.is_dir() else shutil.copy
            copy(elsewhere, library / removed)
        for call in (
            lambda: store.append_command(story, command("a")),
            lambda: store.append_chunk(story, chunk(1)),
            lambda: begin(store),
            lambda: store.add_picture(np.zeros((2, 2, 3), np.uint8)),
            store.stories,
        ):
            with pytest.raises(StoreError, match="was removed or replaced while the library was open"):
                call()
        assert library.exists() == (removed != "." or replaced)


def test_nothing_is_answered_where_the_databases_log_is_removed(tmp_path):
    """SQLite goes on in a file without a name."""
    with Store(tmp_path) as store:
        story = tell(store, 3)
        (tmp_path / "library.db-wal").unlink()
        with pytest.raises(StoreError, match=r"library\.db-wal was removed"):
            store.append_command(story, command("a"))


def test_a_storys_folder_that_is_removed_is_missed_and_can_be_put_back(store):
    story = tell(store, 3)
    folder = store.folder / "stories" / story
    shutil.move(folder, store.folder / "elsewhere")
    for call in (
        lambda: store.append_command(story, command("a")),
        lambda: store.append_chunk(story, chunk(1)),
    ):
        with pytest.raises(StoreError, match="was removed; put it back from a copy"):
            call()
    assert not folder.exists()
    begin(store)
    shutil.move(store.folder / "elsewhere", folder)
    journal(store, story, 3)
    assert check(store.load(story)) == 4
