"""A writer that is killed at any moment loses nothing that it was told is kept."""

from __future__ import annotations

import multiprocessing
import random
import time

import pytest

from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import Swept
from tests.serving.storage.numbered_story import begin, check, check_board, write_for_ever

pytestmark = pytest.mark.system

KILLS = 20
MOST_ENTRIES = 8
"""After so many entries it is killed, at most; then at a random moment of the next one."""
LONGEST_SECONDS = 0.05


def test_every_entry_whose_call_returned_outlives_kill_9(tmp_path):
    library, receipts = tmp_path / "library", tmp_path / "receipts"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.serving.storage.numbered_story"])
    chance = random.Random(0)
    kept = 0
    for _ in range(KILLS):
        receipts.write_bytes(b"")
        process = processes.Process(target=write_for_ever, args=(library, receipts))
        process.start()
        enough = chance.randrange(MOST_ENTRIES)
        while receipts.stat().st_size < enough:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, LONGEST_SECONDS))
        process.kill()
        process.join()
        assert process.exitcode == -9
        promised = kept + receipts.stat().st_size
        with Store(library) as store:
            store.sweep()
            assert store.sweep() == Swept()
            story = store.stories()[0].id if store.stories() else begin(store)
            told = store.load(story)
            kept = check(told)
            assert promised <= kept <= promised + 1
            check_board(store.snapshot(story), kept)
            assert set(library.glob("stories/*/*/*")) == {chunk.path for chunk in told.chunks}
    assert kept > 2 * KILLS, "the writer was killed too early to tell anything"
