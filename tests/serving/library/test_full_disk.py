"""A full disk takes nothing away, leaves nothing half-written, and is over when there is room again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from shotstream.serving.store import Store
from shotstream.serving.stored import ChunkMeta
from sqlalchemy import event

from shotstream.media.files import DiskFull
from tests.serving.telling import begin, check, journal, latents

pytestmark = pytest.mark.cpu


def files(store: Store) -> list[str]:
    return sorted(file.name for file in (store.library / "stories").rglob("*") if file.is_file())


def fill(write: Callable[[int], object]) -> int:
    """Write until the database is full; return how many times that went well."""
    number = -1
    with pytest.raises(DiskFull, match=r"database .*full.* free some space"):  # noqa: PT012
        for number in range(500):
            write(number)
    return number


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_for_the_latents(store, monkeypatch, number):
    story = begin(store)
    journal(store, story, 0)
    before = files(store)

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(DiskFull, match=r"Could not write .*(free some space|raise the limit)"):
                journal(store, story, 1)
    assert files(store) == before
    assert check(store.load(story), least=1) == 1
    journal(store, story, 1)
    assert check(store.load(story), least=2) == 2


def test_no_room_for_the_rows(tmp_path):
    """SQLite itself says so: its file may not grow any more."""
    with Store(tmp_path) as store:
        story, limit = begin(store), [1]
        event.listen(
            store._engine,
            "checkout",
            lambda connection, *_: connection.execute(f"PRAGMA max_page_count={limit[0]}").close(),
        )
        number = fill(lambda number: journal(store, story, number))
        assert number > 0
        assert len(files(store)) == number
        assert check(store.load(story), least=number) == number
        fill(lambda _: begin(store))
        long = ChunkMeta(seed=7, length_chunks=5, prompt="runs " * 10**5, first_frame=0, frames=8)
        with pytest.raises(DiskFull):  # no command goes before it, so its file is written first
            store.append_chunk(story, 99, 0, 0, latents(0), long)
        assert len(files(store)) == number
        limit[0] = 2**30
        journal(store, story, number)
        assert check(store.load(story), least=number + 1) == number + 1


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from shotstream.media.files import DiskFull
from shotstream.serving.store import Store
from tests.serving.telling import begin, check, journal

disk = Path(sys.argv[1])
ballast = disk / "ballast"
ballast.write_bytes(bytes(300_000))
with Store(disk / "library") as store:
    story, number, failures = begin(store), 0, 0
    while failures < 5:
        try:
            journal(store, story, number)
            number += 1
        except DiskFull:
            failures += 1
            told = store.load(story)
            assert check(told, least=number) == number
            assert sorted(told.chunks[0].path.parent.iterdir()) == sorted(chunk.path for chunk in told.chunks)
            if failures == 3:
                ballast.unlink()
                journal(store, story, number)
                number += 1
    assert number > 20, number
with Store(disk / "library") as store:
    assert store.sweep().removed == []
    assert check(store.load(story), least=number) == number
print("kept", number)
"""


def test_a_disk_that_is_really_full(tmp_path):
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$1" -c "$2" "$0"'
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*alone, 'mount -t tmpfs tmpfs "$0"', tmp_path], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk of their own")
    done = subprocess.run(
        [*alone, script, tmp_path, sys.executable, ON_A_SMALL_DISK],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept")
