"""A full disk takes nothing away, leaves nothing half-written, and is over when there is room again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import event

from shotstream.media.files import DiskFull
from shotstream.serving.storage.store import Store
from tests.serving.storage.numbered_story import begin, card, check, check_board, chunk, journal

pytestmark = pytest.mark.system


def files(store: Store) -> list[str]:
    return sorted(file.name for file in (store.folder / "stories").rglob("*") if file.is_file())


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
    for entry in range(4):
        journal(store, story, entry)
    before = files(store)

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(DiskFull, match=r"Could not write .*(free some space|raise the limit)"):
                journal(store, story, 4)
    assert files(store) == before
    assert check(store.load(story)) == 4
    check_board(store.snapshot(story), 4)
    journal(store, story, 4)
    assert check(store.load(story)) == 5


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
        assert check(store.load(story)) == number > 0
        check_board(store.snapshot(story), number)
        kept = files(store)
        fill(lambda _: begin(store))
        with pytest.raises(DiskFull):  # its file is written first
            store.append_chunk(story, chunk(99, prompt="runs " * 10**5))
        with pytest.raises(DiskFull):
            store.note(story, [card(99, prompt="runs " * 10**5)])
        assert files(store) == kept
        check_board(store.snapshot(story), number)
        limit[0] = 2**30
        journal(store, story, number)
        assert check(store.load(story)) == number + 1


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from shotstream.media.files import DiskFull
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import Swept
from tests.serving.storage.numbered_story import begin, check, check_board, journal

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
            assert check(told) == number
            check_board(store.snapshot(story), number)
            assert sorted(told.chunks[0].path.parent.iterdir()) == sorted(chunk.path for chunk in told.chunks)
            if failures == 3:
                ballast.unlink()
                journal(store, story, number)
                number += 1
    assert number > 20, number
with Store(disk / "library") as store:
    assert store.sweep() == Swept()
    assert check(store.load(story)) == number
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
