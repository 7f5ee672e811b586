"""A branch is another story that has the chunks of the shots it shares, as they were when it went off."""

from __future__ import annotations

import pytest

from shotstream.serving.storage.stored import NewBranch, StoredParent, new_id
from tests.serving.storage.numbered_story import begin, chunk, command

pytestmark = pytest.mark.unit


def test_a_branch_knows_where_in_its_parent_it_began(store):
    parent = begin(store)
    store.append_command(parent, command("a"))
    store.append_chunk(parent, chunk())
    branch = begin(store, parent=(parent, 0))
    store.append_command(parent, command("b"))
    told = store.load(branch)
    assert told.parent == StoredParent(parent, 0, 2)
    assert told.entries == []
    assert len(store.load(parent).entries) == 3


def test_a_branch_begins_with_the_title_of_its_parent_and_keeps_it(store):
    parent = begin(store, title="The fox")
    branches = [begin(store, parent=(parent, 0)), begin(store, parent=(parent, 0), title="The other fox")]
    branches.append(new_id())
    go_off = NewBranch(branches[-1], seed=7, shot=0, changes=[])
    store.append_command(parent, command("a", "branch", shot=0), branch=go_off)
    store.rename(parent, "The cat")
    titles = [store.summary(branch).title for branch in branches]
    assert titles == ["The fox", "The other fox", "The fox"]


def test_takes_are_read_in_order_and_apart(store):
    story, other = begin(store), begin(store)
    first = [store.append_chunk(story, chunk(0, 0)), store.append_chunk(story, chunk(0, 1))]
    second = [store.append_chunk(story, chunk(0, index, take=1)) for index in range(3)]
    first.append(store.append_chunk(story, chunk(0, 2)))
    assert store.take_chunks(story, 0, 0) == first
    assert store.take_chunks(story, 0, 1) == second
    for nothing in ((story, 0, 2), (story, 1, 0), (other, 0, 0)):
        assert store.take_chunks(*nothing) == []


def test_a_branch_has_its_own_takes_and_of_the_shots_it_shares_its_parents(store):
    parent = begin(store)
    shared = [store.append_chunk(parent, chunk(shot)) for shot in (0, 1, 2)]
    branch = begin(store, parent=(parent, 1))
    leaf = begin(store, parent=(branch, 0))
    for story in (branch, leaf):
        assert store.take_chunks(story, 0, 0) == [shared[0]]
    assert store.take_chunks(branch, 1, 0) == [shared[1]]
    assert store.take_chunks(leaf, 1, 0) == store.take_chunks(branch, 2, 0) == []
    own = store.append_chunk(branch, chunk(2))
    assert store.take_chunks(branch, 2, 0) == [own]
    assert store.take_chunks(parent, 2, 0) == [shared[2]]


def test_a_branch_has_nothing_that_its_parent_made_later(store):
    parent = begin(store)
    shared = store.append_chunk(parent, chunk(0, 0))
    branch = begin(store, parent=(parent, 0))
    leaf = begin(store, parent=(branch, 0))
    store.append_chunk(parent, chunk(0, 1))
    store.append_chunk(parent, chunk(0, 0, take=1))
    later = store.append_chunk(branch, chunk(0, 0, take=1))
    for story in (branch, leaf):
        assert store.take_chunks(story, 0, 0) == [shared]
    assert store.take_chunks(branch, 0, 1) == [later]
    assert store.take_chunks(leaf, 0, 1) == []
