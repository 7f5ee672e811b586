"""The storyboard in the library is what its changes add up to, and no half of any."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotstream.serving.protocol import events
from shotstream.serving.protocol.events import (
    Change,
    Deleted,
    MemoryChanged,
    MemoryFrame,
    ShotCard,
    StateChanged,
)
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, card, chunk, command

pytestmark = pytest.mark.law

NOTHING = events.Memory(frames=[], global_used=0, global_size=0, local_used=0, local_size=0)
FRAMES = [
    MemoryFrame(shot=0, take=1, frame=5, source="pin"),
    MemoryFrame(shot=0, take=0, frame=-1, source="reference", upload="abc"),
]


def memory(frames: list[MemoryFrame], used: int = 2) -> MemoryChanged:
    return MemoryChanged(frames=frames, global_used=used, global_size=3, local_used=4, local_size=6)


def test_a_new_story_shows_nothing(store):
    board = store.snapshot(begin(store))
    assert (board.setting, board.seed, board.state, board.reason) == ("a fox", 7, State.IDLE, None)
    assert (board.shots, board.memory, board.parent) == ([], NOTHING, None)


def test_a_branch_begins_with_what_it_shares(store):
    story = begin(store)
    branch = begin(store, changes=[card(0, 2), memory(FRAMES)], parent=(story, 0))
    board = store.snapshot(branch)
    assert board.parent == events.Parent(story=story, shot=0)
    assert [shot.number for shot in board.shots] == [0]
    assert board.memory.frames == FRAMES
    assert store.snapshot(story).shots == []


def test_states_are_kept_with_their_reasons(store):
    story = begin(store)
    store.note(story, [StateChanged(state=State.FAILED, reason="The disk is full.")])
    board, listed = store.snapshot(story), store.stories()[0]
    assert (board.state, board.reason) == (State.FAILED, "The disk is full.")
    assert (listed.state, listed.reason) == ("failed", "The disk is full.")
    store.note(story, [StateChanged(state=State.IDLE)])
    assert (store.snapshot(story).state, store.snapshot(story).reason) == (State.IDLE, None)
    history = store.history(story)
    assert [(event["state"], event["reason"]) for event in history] == [
        ("failed", "The disk is full."),
        ("idle", None),
    ]
    told = store.load(story)
    assert told.created_seconds < history[0]["moment_seconds"] <= told.changed_seconds


def test_what_is_refused_leaves_the_storyboard_alone(store):
    story = begin(store)
    store.append_command(story, command("a"), [card(0, 1), memory(FRAMES)])
    before, history = store.snapshot(story), store.history(story)
    every_kind = [card(0, 2), card(1), memory([]), StateChanged(state=State.PAUSED)]
    with pytest.raises(StoreError):
        store.append_command(story, command("a"), every_kind)
    assert (store.snapshot(story), store.history(story)) == (before, history)


cards = st.builds(
    card,
    st.integers(0, 4),
    st.integers(0, 9),
    prompt=st.text("läuft 走る", max_size=9),
    prompts=st.lists(st.tuples(st.integers(0, 9), st.text("ab")), max_size=3),
    length_seconds=st.floats(0.1, 60),
    seed=st.integers(0, 2**63 - 1),
    state=st.sampled_from(["queued", "live", "done", "stale", "deleted"]),
)
changes = st.one_of(
    cards,
    st.builds(Deleted, shot=st.integers(0, 4)),
    st.builds(memory, st.lists(st.sampled_from(FRAMES), max_size=3), st.integers(0, 3)),
    st.builds(StateChanged, state=st.sampled_from(State), reason=st.none() | st.text("abc")),
)
steps = st.lists(st.tuples(st.sampled_from(["command", "chunk", "note"]), st.lists(changes, max_size=4)))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, max_size=3), steps)
def test_a_snapshot_is_what_the_changes_add_up_to(store, beginning, steps):
    story = begin(store, changes=beginning)
    for number, (kind, changed) in enumerate(steps):
        if kind == "command":
            store.append_command(story, command(str(number)), changed)
        elif kind == "chunk":
            store.append_chunk(story, chunk(number), changed)
        else:
            store.note(story, changed)
    board = store.snapshot(story)
    expected = added_up([*beginning, *(change for _, changed in steps for change in changed)])
    assert (board.shots, board.memory, board.state, board.reason) == expected


def added_up(changes: list[Change]) -> tuple:
    shots, memory, state, reason = {}, NOTHING, State.IDLE, None
    for change in changes:
        fields = change.model_dump(exclude={"type"})
        if isinstance(change, events.ShotChanged):
            shots[change.number] = ShotCard(**fields)
        elif isinstance(change, Deleted):
            shots.pop(change.shot, None)
        elif isinstance(change, MemoryChanged):
            memory = events.Memory(**fields)
        else:
            state, reason = change.state, change.reason
    return [shots[number] for number in sorted(shots)], memory, state, reason
