"""Another program that holds the database is waited for."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import pytest

from shotstream.serving.storage import database
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, check, journal

pytestmark = pytest.mark.unit


def hold(library, seconds: float, held: threading.Event) -> None:
    """Hold the lock for writing, as a database browser does, and write something of one's own."""
    with closing(sqlite3.connect(library / "library.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        held.set()
        time.sleep(seconds)
        other.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        other.execute("INSERT INTO notes VALUES ('mine')")
        other.execute("COMMIT")


@pytest.mark.parametrize("seconds", [0.3, pytest.param(3.0, marks=pytest.mark.long)])
def test_a_writer_waits_for_another_program(tmp_path, seconds):
    with Store(tmp_path) as store:
        story = begin(store)
        for number in range(4):  # commands and chunks
            held = threading.Event()
            other = threading.Thread(target=hold, args=(tmp_path, seconds, held))
            other.start()
            held.wait()
            journal(store, story, number)
            other.join()
        assert check(store.load(story)) == 4


def test_a_library_is_opened_and_closed_while_another_program_holds_it(tmp_path):
    with Store(tmp_path) as store:
        story = begin(store)
    held = threading.Event()
    other = threading.Thread(target=hold, args=(tmp_path, 0.3, held))
    other.start()
    held.wait()
    with Store(tmp_path) as store:
        journal(store, story, 0)
    other.join()


def test_who_waits_too_long_is_told_what_to_close(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_SQLITE_WAIT_SECONDS", 0.1)
    with Store(tmp_path) as store:
        story, held = begin(store), threading.Event()
        other = threading.Thread(target=hold, args=(tmp_path, 1.0, held))
        other.start()
        held.wait()
        with pytest.raises(
            StoreError, match=r"another program holds the library's database .*close that program"
        ):
            journal(store, story, 0)
        other.join()
        journal(store, story, 0)
        assert check(store.load(story)) == 1
