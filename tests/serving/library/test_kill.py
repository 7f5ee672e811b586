"""A writer that is killed at any moment loses nothing that it was told is kept."""

from __future__ import annotations

import multiprocessing
import random
import time

import pytest
from shotstream.serving.store import Store
from shotstream.serving.stored import Swept

from tests.serving.telling import begin, check, write_for_ever

pytestmark = pytest.mark.cpu

KILLS = 20
LONGEST_SECONDS = 0.3


def test_every_chunk_whose_call_returned_outlives_kill_9(tmp_path):
    library, receipts = tmp_path / "library", tmp_path / "receipts"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.serving.telling"])
    chance = random.Random(0)
    kept = 0
    for _ in range(KILLS):
        receipts.write_bytes(b"")
        process = processes.Process(target=write_for_ever, args=(library, receipts))
        process.start()
        time.sleep(chance.uniform(0, LONGEST_SECONDS))
        process.kill()
        process.join()
        assert process.exitcode == -9
        before = kept + receipts.stat().st_size
        with Store(library) as store:
            store.sweep()
            assert store.sweep() == Swept([], [], [])
            story = store.stories()[0].id if store.stories() else begin(store)
            told = store.load(story)
            kept = check(told, least=before)
            assert kept <= before + 1
            if kept:
                folder = told.chunks[0].path.parent
                assert sorted(folder.iterdir()) == sorted(chunk.path for chunk in told.chunks)
    assert kept > 2 * KILLS, "the writer was killed too early to tell anything"
