"""Opening the database of a library: its engine, its migrations, and what a full disk means to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shotstream.media.files import DiskFull
from shotstream.serving.storage.stored import StoreError

try:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
except ImportError as error:
    raise ImportError('The store needs SQLAlchemy and alembic: pip install "shotstream[serve]"') from error

_MIGRATIONS = Path(__file__).with_name("migrations")
_MOST_WAL_PAGES = 64
"""With more of it, what was committed moves from the write-ahead log to the database's file."""
_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"wal_autocheckpoint={_MOST_WAL_PAGES}",
)
_SQLITE_WAIT_SECONDS = 10.0
"""How long a writer waits for another program that holds the database."""
_SQLITE_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_POSTGRES_NO_ROOM = "53100"


def open_database(where: str | Path, *, migrate: bool = True) -> Engine:
    """Connect to a database and bring its tables up to date; an empty one gets them.

    Args:
        where: Any SQLAlchemy URL with a synchronous driver, or the file of a SQLite database. SQLite is set
            to write-ahead logging, so that readers do not wait, and to reach the disk at every commit.
        migrate: False to leave its tables as they are, for who only reads.

    Raises:
        DiskFull: If there is no room for the tables.
        StoreError: If it cannot be reached, or was made by a newer ShotStream.
    """
    try:
        is_file = isinstance(where, Path)
        engine = _engine(URL.create("sqlite", database=str(where)) if is_file else make_url(where))
    except (ArgumentError, ImportError) as error:
        raise StoreError(
            f"the URL of the library's database cannot be used: {error}; give one such as "
            'postgresql+psycopg://user@host/name (pip install "shotstream[postgres]"), or none for SQLite'
        ) from error
    if migrate:
        with database_errors():
            _migrate(engine)
    return engine


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn an error of the database into one sentence.

    Raises:
        DiskFull: If it had no room.
        StoreError: In place of any other.
    """
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip()
        if isinstance(error, DBAPIError) and _no_room(error):
            raise DiskFull(
                f"Could not write the library's database ({reason}): free some space. What was written "
                "before is whole, and of this nothing was left."
            ) from error
        if isinstance(error, DBAPIError) and _held(error):
            raise StoreError(
                f"another program holds the library's database ({reason}), and did so for more than "
                f"{_SQLITE_WAIT_SECONDS:g} seconds; close that program, then try again"
            ) from error
        if "malformed" in reason or "not a database" in reason:
            raise StoreError(
                f"the library's database is damaged ({reason}); put library.db back from a copy"
            ) from error
        raise StoreError(
            f"the library's database refused ({reason}); see that it can be reached and written, "
            "then try again"
        ) from error


def writer(engine: Engine) -> Engine:
    """The same engine for transactions that write: they wait for each other before they read anything.

    A transaction that reads first and writes then fails at once where another program has written meanwhile.
    """
    return engine.execution_options(writes=True)


def empty_log(engine: Engine) -> None:
    """Move all that was committed from SQLite's write-ahead log into the database's file.

    Raises:
        StoreError: If the file cannot be written.
    """
    if engine.dialect.name == "sqlite":
        with database_errors(), engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver
            try:
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:  # the driver's own: it goes past SQLAlchemy
                raise StoreError(
                    f"the library's log could not be put into its database ({error}); what it has is safe"
                ) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, isolation_level="REPEATABLE READ", pool_pre_ping=True, max_overflow=-1)
    engine = create_engine(  # no reader makes the writer wait for a connection
        url, max_overflow=-1, connect_args={"timeout": _SQLITE_WAIT_SECONDS}
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, and hold reads and tables too
    connection.text_factory = _read_text
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _read_text(data: bytes) -> str:
    """Read a text; a damaged one keeps nobody from reading the others."""
    return data.decode(errors="replace")


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with writer(engine).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the library was made by a newer ShotStream ({error}); bring this one up to date, or choose "
            "another library"
        ) from error


def _held(error: DBAPIError) -> bool:
    return isinstance(error.orig, sqlite3.Error) and (error.orig.sqlite_errorcode & 0xFF) in _SQLITE_HELD


def _no_room(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode in _SQLITE_NO_ROOM
    return getattr(error.orig, "sqlstate", None) == _POSTGRES_NO_ROOM
