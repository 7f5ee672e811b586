"""A studio of replicas whose library is on PostgreSQL, as several machines need it."""

from __future__ import annotations

import time

import pytest

from tests.cluster.replicated import replicated
from tests.cluster.watching import begin, goes_on
from tests.serving.storage.conftest import empty_postgres

pytestmark = pytest.mark.system


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one folder", "files at an address"])
def test_stories_go_on_when_their_replica_is_killed(cluster, tmp_path, elsewhere):
    media = f"file://{tmp_path}/far" if elsewhere else None
    with replicated(cluster, tmp_path / "library", 2, empty_postgres(), media) as studio:
        assert not (tmp_path / "library" / "library.db").exists()
        (one, story), (other, other_story) = begin(studio), begin(studio)
        lost = studio.owner(story)
        assert lost != studio.owner(other_story)
        kept, began = studio.chunks(story), time.monotonic()
        studio.kill(lost)
        again = goes_on(studio, one)
        seconds = time.monotonic() - began
        print(f"\nwent on after {seconds:.1f} s")
        assert seconds < 15
        assert studio.chunks(story)[: len(kept)] == kept
        numbers = [chunk for _, _, chunk, _ in studio.chunks(story)]
        assert numbers == list(range(len(numbers)))
        shown = len(other.newest(0))
        while len(other.newest(0)) < shown + 16:
            other.hear()
        for viewer in (again, other):
            viewer.direct("stop")
            viewer.__exit__()
