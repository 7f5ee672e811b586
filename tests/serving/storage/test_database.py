from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, text

from shotstream.serving.storage.database import open_database
from shotstream.serving.storage.schema import metadata
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, journal

pytestmark = pytest.mark.system


def test_migrations_make_the_tables_that_the_code_speaks_of(store):
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        connection.rollback()


def test_sqlite_is_set_to_keep_what_it_was_told(tmp_path):
    engine = open_database(tmp_path / "library.db")
    with engine.connect() as connection:
        found = [connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()


def test_a_library_from_before_titles_is_brought_up_to_date(tmp_path, url):
    with Store(tmp_path, url) as store:
        story = begin(store)
        with store._transaction() as connection:
            chunks = [("chunks", column) for column in ("sha256", "clip_sha256", "put_aside")]
            for table, column in (
                ("stories", "title"),
                ("stories", "sounds"),
                ("stories", "auto_retake"),
                ("stories", "parent_shots"),
                ("takes", "adapters"),
                *chunks,
            ):
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
            for table in ("stills", "sounds", "continuity", "leases", "replicas", "library"):
                connection.execute(text(f"DROP TABLE {table}"))
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with Store(tmp_path, url) as store:
        assert [(found.id, found.title) for found in store.stories()] == [(story, "")]
        store.rename(story, "The fox")
        assert store.summary(story).title == "The fox"


def test_opening_again_keeps_what_is_there(tmp_path, url):
    with Store(tmp_path, url) as store:
        story = begin(store)
        for number in range(4):
            journal(store, story, number)
        before = store.load(story), store.snapshot(story)
    with Store(tmp_path, url) as store:
        assert (store.load(story), store.snapshot(story)) == before


def test_a_library_of_a_newer_version_is_refused(tmp_path):
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "library.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for _ in range(2):  # and the library is not left claimed
        with pytest.raises(StoreError, match=r"newer ShotStream .*9999"):
            Store(tmp_path)


def test_a_step_that_is_interrupted_leaves_no_table(tmp_path):
    reached = []

    def interrupt(_connection, _cursor, statement: str, *_) -> None:
        if "CREATE TABLE chunks" in statement:
            reached.append(statement)
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    assert reached
    with closing(sqlite3.connect(tmp_path / "library.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    Store(tmp_path).close()


@pytest.mark.parametrize("url", ["nonsense", "nobase://x/y", "postgresql+nothing://x/y"])
def test_a_url_that_cannot_be_used_is_explained(tmp_path, url):
    with pytest.raises(StoreError, match=r"cannot be used: .*give one such as postgresql"):
        Store(tmp_path, url)


def test_a_database_that_is_none_is_explained(tmp_path):
    (tmp_path / "library.db").write_text("a diary, not a database, and long enough to be read as one" * 20)
    with pytest.raises(StoreError, match=r"is damaged \(file is not a database\); put library.db back"):
        Store(tmp_path)
