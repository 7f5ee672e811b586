"""A copy that is made while stories are told is whole, and lacks nothing that was answered before."""

from __future__ import annotations

import errno
import os
import stat
import threading

import numpy as np
import pytest

from shotstream.media.files import DiskFull
from shotstream.serving.storage import backup
from shotstream.serving.storage.backup import back_up
from shotstream.serving.storage.integrity import check_library, open_to_read
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, check, check_board, journal, tell

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("links", [True, False])
def test_a_copy_has_all_and_is_its_owners_alone(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", _refuse_link)
    with Store(tmp_path / "library") as store:
        story, empty = tell(store, 9), begin(store)
        store.write_still(story, (0, 0, 3), np.zeros((2, 2, 3), np.uint8))
        store.add_picture(np.zeros((2, 2, 3), np.uint8))
        with open_to_read(tmp_path / "library") as reader:  # as another process would
            made = back_up(reader, tmp_path / "copy")
        assert (made.stories, made.files, made.linked, made.missing) == (2, 10, 10 * links, [])
        journal(store, story, 9)
    copied = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").iterdir())
    assert copied == ["library.db", "stories", "uploads"]
    for path in (tmp_path / "copy").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    with Store(tmp_path / "copy") as copy:
        assert check(copy.load(story)) == 9
        check_board(copy.snapshot(story), 9)
        assert copy.load(empty).entries == []
        assert check_library(copy) == []


def _refuse_link(*_: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def test_a_copy_lacks_nothing_that_was_answered_before(tmp_path):
    with Store(tmp_path / "library") as store, open_to_read(tmp_path / "library") as reader:
        story, answered, stop = begin(store), [0], threading.Event()

        def tell_on() -> None:
            while not stop.is_set():
                journal(store, story, answered[0])
                answered[0] += 1

        writer = threading.Thread(target=tell_on)
        writer.start()
        promised = []
        for number in range(4):
            while answered[0] < 6 * (number + 1):
                pass
            promised.append(answered[0])
            back_up(reader, tmp_path / str(number))
        stop.set()
        writer.join()
    for number, entries in enumerate(promised):
        with Store(tmp_path / str(number)) as copy:
            assert check(copy.load(story)) >= entries
            assert check_library(copy) == []


def test_a_story_that_is_deleted_for_good_meanwhile_is_not_in_the_copy(tmp_path, monkeypatch):
    with Store(tmp_path / "library") as store:
        story, gone = tell(store, 3), tell(store, 3)
        store.delete(gone)
        copy_files = backup._copy_files

        def forget_first(*arguments):
            if any(summary.id == gone for summary in store.stories(deleted=True)):
                store.forget(gone)
            return copy_files(*arguments)

        monkeypatch.setattr(backup, "_copy_files", forget_first)
        assert back_up(store, tmp_path / "copy").missing == []
    with Store(tmp_path / "copy") as copy:
        assert [summary.id for summary in copy.stories()] == [story]
        assert copy.stories(deleted=True) == []
        assert check_library(copy) == []


def test_what_is_missing_in_the_library_is_told(tmp_path):
    with Store(tmp_path / "library") as store:
        lost = store.load(tell(store, 9)).chunks[1].path
        lost.unlink()
        assert back_up(store, tmp_path / "copy").missing == [lost.relative_to(store.folder)]


def test_a_copy_goes_into_no_folder_that_has_something(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "film.mp4").touch()
    with Store(tmp_path / "library") as store:
        for target in ("full", "full/film.mp4"):
            with pytest.raises(StoreError, match="is there already"):
                back_up(store, tmp_path / target)
        with pytest.raises(StoreError, match="is in the library itself"):
            back_up(store, tmp_path / "library" / "copy")
    assert (tmp_path / "full" / "film.mp4").exists()


def test_a_copy_is_whole_or_absent(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(tmp_path / "library") as store:
        tell(store, 3)
        monkeypatch.setattr(backup, "_copy", full)
        with pytest.raises(DiskFull, match="free some space"):
            back_up(store, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["library"]
