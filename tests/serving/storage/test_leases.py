"""A story is told by the replica that has its lease, and by no other."""

from __future__ import annotations

import threading

import pytest

from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.leases import LeaseLost, ReplicaFigures
from shotstream.serving.storage.shared_store import SharedStore
from tests.serving.storage.numbered_story import begin, card, chunk, command

pytestmark = pytest.mark.system


@pytest.fixture
def replicas(store, url):
    """Two replicas of the library, with places for two stories each."""
    stores = [SharedStore(store.folder, url, name) for name in ("one", "two")]
    for own in stores:
        store.leases.add(own.replica, f"127.0.0.1:{len(own.replica)}", ReplicaFigures(places=2))
    yield stores
    for own in stores:
        own.close()


def test_who_has_the_lease_writes_and_no_other_does(store, replicas):
    one, two = replicas
    story = begin(store)
    one.claim(story)
    one.claim(story)  # it has it already
    one.append_chunk(story, chunk(), [card(0, 1)])
    with pytest.raises(Refusal, match="goes on elsewhere"):
        two.claim(story)
    for write in (
        lambda: two.append_chunk(story, chunk(index=1), [card(0, 2)]),
        lambda: two.append_command(story, command("a")),
        lambda: two.note(story, [card(0, 1)]),
        lambda: two.keep_clip(story, store.load(story).chunks[0], b"clip"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert len(store.load(story).chunks) == 1
    assert store.leases.owner(story).name == "one"
    assert [(entry.name, entry.stories, entry.room) for entry in store.leases.replicas()] == [
        ("one", 1, 1),
        ("two", 0, 2),
    ]


def test_a_replica_that_is_given_up_writes_nothing_more(store, replicas):
    one, two = replicas
    story = begin(store)
    one.claim(story)
    one.append_chunk(story, chunk(), [card(0, 1)])
    assert store.leases.drop("one") == [story]
    with pytest.raises(LeaseLost):
        one.append_chunk(story, chunk(index=1), [card(0, 2)])
    assert not store.leases.beat("one", ReplicaFigures())
    two.claim(story)
    two.append_chunk(story, chunk(index=1), [card(0, 2)])
    assert [made.chunk for made in store.load(story).chunks] == [0, 1]
    with pytest.raises(Refusal):
        one.claim(begin(store))


def test_a_replica_that_is_drained_takes_nothing_new(store, replicas):
    one, _ = replicas
    before, after = begin(store), begin(store)
    one.claim(before)
    store.leases.drain("one")
    one.append_chunk(before, chunk(), [card(0, 1)])  # what runs ends
    with pytest.raises(Refusal):
        one.claim(after)
    with pytest.raises(Refusal):
        one.claim(before)
    assert not store.leases.assign(after, "one")
    assert store.leases.replicas()[0].room == 0


def test_of_many_who_want_a_story_one_gets_it(store, replicas):
    story, won = begin(store), []
    names = ["one", "two"] * 4

    def want(name):
        if store.leases.assign(story, name):
            won.append(name)

    threads = [threading.Thread(target=want, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [store.leases.owner(story).name]
    store.leases.release(story, won[0])
    assert store.leases.owner(story) is None


def test_replicas_sweep_nothing_away(store, replicas):
    story = begin(store)
    replicas[0].claim(story)
    replicas[0].append_chunk(story, chunk(), [card(0, 1)])
    unknown = store.folder / "stories" / story / "chunks" / "0-0-9-9.safetensors"
    unknown.write_bytes(b"not journalled yet")
    assert replicas[1].sweep().sentences == []
    assert unknown.exists()
    store.leases.clear()
    assert store.leases.replicas() == []
