"""Laws of a live story, over random commands."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shotstream.models.cache import DualCache
from shotstream.serving.protocol.events import Receipt, Refused, StateChanged
from shotstream.serving.protocol.states import TRANSITIONS, State, StateMachine
from shotstream.serving.story.live_story import LiveStory
from tests.serving.conftest import Studio, studios
from tests.serving.random_commands import SHOOT, TURN, any_command, apply, half_seen, steps

pytestmark = pytest.mark.law


@settings(max_examples=10, deadline=None)
@given(half_seen)
def test_what_is_put_aside_was_never_part_of_the_story(pipeline, steps: list[dict]) -> None:
    """The library tells the story that was seen, and goes on with the same bits."""
    with studios(pipeline) as make_studio:
        straight = make_studio(shot_seconds=5.0, open_stories=2, lookahead_seconds=4.0)
        live = straight.begin()
        apply(straight, live, steps)
        assert State.FAILED not in [event.state for event in straight.viewer(live).of(StateChanged)]
        straight.show_newest(live)
        live.attend()
        event(f"{min(straight.put_aside, 5)} chunks put aside, or more")
        again = make_studio(straight.store.copy(), shot_seconds=5.0, open_stories=2, lookahead_seconds=4.0)
        resumed = again.open(live.story)
        assert resumed.snapshot == live.snapshot == again.store.snapshot(live.story)
        film = straight.viewer(live).film()
        kept = again.store.load(live.story).chunks
        assert [place[:3] for place in film] == [(chunk.shot, chunk.take, chunk.chunk) for chunk in kept]
        for studio, story in ((straight, live), (again, resumed)):
            apply(studio, story, [SHOOT, TURN, {"type": "redirect", "prompt": "sleeps"}, TURN], len(steps))
        assert again.viewer(resumed).film() == straight.viewer(live).film()[len(film) :]


def told(studio: Studio, live: LiveStory) -> tuple:
    return studio.viewer(live).film(), studio.viewer(live).answers, live.snapshot


@settings(max_examples=20, deadline=None)
@given(steps, st.data())
def test_a_story_goes_on_from_its_library_bit_for_bit(pipeline, steps: list[dict], data) -> None:
    """What is answered, what is seen and what is remembered are as without the restart."""
    limits = {"prompt_characters": 60, "shot_seconds": 5.0, "open_stories": 2}
    with studios(pipeline) as make_studio:
        straight = make_studio(**limits)
        live = straight.begin()
        apply(straight, live, steps)
        moment = data.draw(st.integers(0, len(steps)))
        first = make_studio(**limits)
        began = first.begin()
        apply(first, began, steps[:moment])
        chance = data.draw(st.randoms(use_true_random=False))
        for still in sorted(first.store.folder.glob("stories/*/stills/*")):
            if chance.random() < 0.3:  # a kill was quicker
                still.unlink()
        second = make_studio(first.store, **limits)
        resumed = second.open(began.story)
        assert resumed.snapshot == began.snapshot == second.store.snapshot(began.story)
        apply(second, resumed, steps[moment:], moment)
        film, answers, snapshot = told(straight, live)
        one, two = told(first, began), told(second, resumed)
        assert one[0] + two[0] == film
        assert without_branches(one[1] + two[1]) == without_branches(answers)
        assert resumed.snapshot == snapshot
        assert State.FAILED not in [event.state for event in straight.viewer(live).of(StateChanged)]


@settings(max_examples=15, deadline=None)
@given(steps)
def test_no_command_copies_the_cache(pipeline, steps: list[dict]) -> None:
    """At true size that is seven gigabytes, which nobody counts."""
    with studios(pipeline) as make_studio, pytest.MonkeyPatch.context() as patch:
        patch.setattr(DualCache, "state_dict", None)
        patch.setattr(DualCache, "load_state_dict", None)
        studio = make_studio(prompt_characters=60)
        live = studio.begin()
        apply(studio, live, [*steps, {"type": "stop"}])
        assert State.FAILED not in [event.state for event in studio.viewer(live).of(StateChanged)]


def without_branches(answers: list) -> list:
    """The names of branches are random."""
    return [answer.model_copy(update={"story": None}) for answer in answers]


@settings(max_examples=15, deadline=None)
@given(steps, st.data())
def test_sending_again_does_nothing(pipeline, steps: list[dict], data) -> None:
    """A command that was taken is answered by its old receipt, at any later time, after a restart too."""
    with studios(pipeline) as make_studio:
        studio = make_studio(prompt_characters=60)
        live = studio.begin()
        apply(studio, live, steps)
        if data.draw(st.booleans()):
            studio = make_studio(studio.store, prompt_characters=60)
            live = studio.open(live.story)
        before, entries = live.snapshot, studio.store.load(live.story).entries
        for entry in studio.store.load(live.story).commands:
            again = studio.send(live, **entry.command.model_dump(exclude_none=True))
            assert again == entry.receipt
        assert live.snapshot == before
        assert studio.store.load(live.story).entries == entries


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(any_command, st.just(TURN))), max_size=60))
def test_every_command_is_answered_once(pipeline, steps: list[tuple[int, dict]]) -> None:
    """Of two stories, in any order, and where more are sent than fit into the queue."""
    with studios(pipeline) as make_studio:
        studio = make_studio(queued_commands=4)
        open_stories = [studio.begin(), studio.begin()]
        for number, (which, step) in enumerate(steps):
            if step:
                studio.offer(open_stories[which], str(number), **step)
            else:
                studio.engine.turn()
        studio.engine.turn()
        for which, live in enumerate(open_stories):
            sent = [str(number) for number, (whose, step) in enumerate(steps) if whose == which and step]
            answers = studio.viewer(live).answers
            assert sorted(answer.id for answer in answers) == sorted(sent)
            assert all(isinstance(answer, Receipt | Refused) for answer in answers)


class AnyOrder(RuleBasedStateMachine):
    """The transition table by itself: what is allowed happens, and pauses and failures lie over the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = StateMachine()

    @precondition(lambda self: self.machine.state is not State.FAILED)
    @rule(event=st.sampled_from(sorted(TRANSITIONS)))
    def happen(self, event: str) -> None:
        machine = self.machine
        before, expected = machine.beneath, TRANSITIONS[event].get(machine.beneath)
        assert machine.allows(event) == (expected is not None)
        if expected is not None:
            machine.fire(event)
            assert machine.beneath is expected
            assert before is expected or event not in ("pause", "resume")

    @rule()
    def fail(self) -> None:
        self.machine.fail("the disk is full")
        assert [event for event in TRANSITIONS if self.machine.allows(event)] == ["resume"]

    @precondition(lambda self: self.machine.state in (State.FAILED, State.PAUSED))
    @rule()
    def resume(self) -> None:
        beneath = self.machine.beneath
        self.machine.fire("resume")
        assert self.machine.state is beneath

    @invariant()
    def is_always_in_one_state(self) -> None:
        machine = self.machine
        assert (machine.state is State.FAILED) == (machine.reason is not None)
        assert machine.beneath not in (State.PAUSED, State.FAILED)
        assert machine.running == any(
            machine.beneath in TRANSITIONS[event] for event in ("cut", "chunk made")
        )


test_the_transition_table = AnyOrder.TestCase
test_the_transition_table.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
