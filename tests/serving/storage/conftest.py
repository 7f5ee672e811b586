"""Stores to test: one on SQLite, and one on PostgreSQL where a server is at hand (see postgres.sh)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from shotstream.serving.storage.store import Store

POSTGRES = "SHOTSTREAM_TEST_POSTGRES"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request) -> str | None:
    """Of an empty database; None for the SQLite file in the library."""
    return None if request.param == "sqlite" else empty_postgres()


def empty_postgres() -> str:
    """URL of an empty database on the PostgreSQL server that is at hand; without one the test is skipped."""
    server = os.environ.get(POSTGRES)
    if server is None:
        pytest.skip(f"{POSTGRES} names no server; run tests/serving/storage/postgres.sh pytest FOLDER")
    own = f"tests_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {own} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {own}"))
    engine.dispose()
    return make_url(server).set(database=own).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def empty_library(tmp_path_factory):
    """Copied, as making its tables takes longer."""
    library = tmp_path_factory.mktemp("empty") / "library"
    Store(library).close()
    return library


@pytest.fixture
def store(tmp_path, url, empty_library) -> Iterator[Store]:
    if url is None:
        shutil.copytree(empty_library, tmp_path / "library")
    with Store(tmp_path / "library", url) as store:
        yield store
