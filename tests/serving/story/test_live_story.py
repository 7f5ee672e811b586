from __future__ import annotations

import logging

import pytest

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.events import (
    Deleted,
    Figures,
    MemoryChanged,
    Receipt,
    Refused,
    ShotChanged,
    Shown,
    StateChanged,
)
from shotstream.serving.protocol.states import State
from shotstream.streaming.rollout import ShotRollout
from tests.serving.conftest import FOX, Studio
from tests.serving.story.shown import places

pytestmark = pytest.mark.law


def from_frame(receipt: Receipt | Refused) -> tuple[int, int]:
    assert isinstance(receipt, Receipt), receipt
    assert receipt.applies_from
    return receipt.applies_from.shot, receipt.applies_from.frame


def test_a_shot_is_told_and_every_change_with_it(studio: Studio) -> None:
    live = studio.begin()
    assert from_frame(studio.send(live, "1", type="shoot", prompt="runs")) == (0, 0)
    studio.run()
    assert places(studio, live) == [(0, 0, 0, False), (0, 0, 1, False), (0, 0, 2, True)]
    viewer = studio.viewer(live)
    assert [event.state for event in viewer.of(StateChanged)] == ["shooting", "idle"]
    cards = [(card.state, card.chunks, card.length_seconds) for card in viewer.of(ShotChanged)]
    assert cards == [("queued", 0, 2.625), ("live", 1, 2.625), ("live", 2, 2.625), ("done", 3, 2.625)]
    assert [event.id for event in viewer.of(Shown)] == ["1"]
    assert viewer.of(MemoryChanged)[-1].global_used == 6
    assert live.snapshot.shots[0].frames == 21


def test_a_cut_begins_the_next_shot_between_two_chunks(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=5)
    studio.run(2)
    assert from_frame(studio.send(live, type="shoot", prompt="sleeps", chunks=1)) == (1, 0)
    assert live.snapshot.state is State.CUTTING
    studio.run()
    assert places(studio, live) == [(0, 0, 0, False), (0, 0, 1, False), (1, 0, 0, True)]
    assert [card.state for card in live.snapshot.shots] == ["done", "done"]


def test_a_shot_that_was_cut_is_over(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=5)
    studio.run(2)
    receipt = studio.send(live, type="cut")
    assert isinstance(receipt, Receipt)
    assert receipt.applies_from is None
    studio.run()
    assert len(places(studio, live)) == 2
    assert studio.send(live, type="extend", chunks=1).type == "refused"
    assert live.snapshot.shots[0].length_seconds == live.director.timing.seconds(2)


def test_a_held_shot_goes_on_to_the_limit_or_its_cut(make_studio) -> None:
    studio = make_studio(shot_seconds=4.6)  # five chunks
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    assert from_frame(studio.send(live, type="hold")) == (0, 5)
    studio.run()
    assert [place[2:] for place in places(studio, live)] == [(n, n == 4) for n in range(5)]
    assert live.snapshot.state is State.IDLE
    assert studio.send(live, type="hold").type == "refused"
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.run()
    assert from_frame(studio.send(live, type="hold")) == (1, 5)
    studio.run(2)
    studio.send(live, type="extend", chunks=1)
    studio.run()
    assert places(studio, live)[-1] == (1, 0, 4, True)


@pytest.mark.parametrize("turns", [1, 4, 20])
def test_a_held_shot_goes_on_after_a_restart(make_studio, turns: int) -> None:
    """Under other limits too: where it ended is known."""
    studio = make_studio(shot_seconds=6.0)
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.send(live, type="hold")
    studio.run(turns)
    again = make_studio(studio.store.copy(), shot_seconds=3.0)
    assert again.open(live.story).snapshot == live.snapshot
    again.run()
    assert again.store.load(live.story).chunks[-1].last
    same = make_studio(studio.store.copy(), shot_seconds=6.0)
    resumed = same.open(live.story)
    made = len(places(studio, live))
    studio.run()
    same.run()
    assert studio.viewer(live).film()[made:] == same.viewer(resumed).film()


def test_redirecting_applies_from_the_next_chunk(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs")
    studio.run(2)
    assert from_frame(studio.send(live, type="redirect", prompt="sleeps")) == (0, 13)
    studio.run()
    assert [chunk.prompt for chunk in studio.viewer(live).chunks] == ["runs", "runs", "sleeps"]
    assert live.snapshot.shots[0].prompts == [(0, "runs"), (2, "sleeps")]


def test_unknown_words_are_noted_and_not_logged(studio: Studio, caplog, capsys, recwarn) -> None:
    live = studio.begin()
    with caplog.at_level(logging.DEBUG):
        receipt = studio.send(live, type="shoot", prompt="zebra runs")
        studio.run()
    assert isinstance(receipt, Receipt)
    assert "does not know these words: zebra" in str(receipt.note)
    assert "zebra" not in caplog.text + "".join(capsys.readouterr())
    assert not recwarn.list


def test_no_more_is_made_than_will_be_shown_soon(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=6)
    studio.run(watching=False)
    assert len(places(studio, live)) == 3  # 21 frames at 8 a second
    assert live.waits_for_viewers
    assert live.snapshot.state is State.SHOOTING, "waiting is no state"
    studio.clock.now += 1
    studio.run(1, watching=False)
    assert studio.viewer(live).of(Figures)[-1].waiting
    studio.show_newest(live)
    studio.run(watching=False)
    assert len(places(studio, live)) == 5, "of the 16 new frames none is shown"


def test_prompt_to_glass_is_measured_when_first_shown(studio: Studio) -> None:
    live = studio.begin()
    studio.offer(live, "1", type="shoot", prompt="runs")
    studio.clock.now += 3
    studio.run(watching=False)
    assert not studio.viewer(live).of(Shown)
    arrived = studio.clock.now
    studio.show_newest(live)
    studio.clock.now += 5
    studio.run(watching=False)
    [shown] = studio.viewer(live).of(Shown)
    assert (shown.id, shown.prompt_to_glass_seconds) == ("1", pytest.approx(arrived))


def test_edited_shots_are_shot_again_in_order(studio: Studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(live, type="edit", shot=1, prompt="at night")
    assert [card.state for card in live.snapshot.shots] == ["done", "stale", "stale"]
    studio.send(live, type="reshoot", from_shot=0)
    assert [card.state for card in live.snapshot.shots] == ["done", "queued", "queued"]
    studio.run()
    assert places(studio, live)[3:] == [(1, 1, 0, True), (2, 1, 0, True)]
    assert [card.prompt for card in live.snapshot.shots] == ["runs", "at night", "a cat"]
    assert [card.state for card in live.snapshot.shots] == ["done"] * 3
    assert studio.send(live, type="reshoot", from_shot=0).type == "refused"


def test_a_deleted_shot_comes_back_and_take_numbers_are_not_used_twice(studio: Studio) -> None:
    live = studio.begin()
    for _ in range(2):
        studio.send(live, type="shoot", prompt="runs", chunks=1)
        studio.run()
    before = live.snapshot
    studio.send(live, type="delete", shot=1)
    assert len(live.snapshot.shots) == 1
    assert studio.viewer(live).of(Deleted) == [Deleted(shot=1)]
    studio.send(live, type="undo")
    assert live.snapshot.shots == before.shots
    assert live.snapshot.memory.frames == before.memory.frames
    studio.send(live, type="delete", shot=1)
    studio.send(live, type="shoot", prompt="sleeps", chunks=1)
    assert studio.send(live, type="undo").type == "refused"
    studio.run()
    assert places(studio, live)[-1] == (1, 1, 0, True)


def test_a_shot_in_the_middle_is_left_out_and_comes_back(studio: Studio, make_studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(live, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    before = live.snapshot
    studio.send(live, type="edit", shot=1, prompt="at night")
    assert studio.send(live, type="delete", shot=1).type == "receipt"
    without = live.snapshot
    assert [card.state for card in without.shots] == ["done", "deleted", "stale"]
    assert {frame.shot for frame in without.memory.frames} == {0, 2}
    assert len(without.memory.frames) == len(before.memory.frames)
    assert [shot.card.number for shot in StoryFilm.of(studio.store, live.story).shots] == [0, 2]
    assert make_studio(studio.store.copy()).open(live.story).snapshot == without
    assert studio.send(live, type="delete", shot=1).type == "refused"
    studio.send(live, type="reshoot", from_shot=0)
    studio.run()
    assert [(card.take, card.state) for card in live.snapshot.shots] == [
        (0, "done"),
        (0, "deleted"),
        (1, "done"),
    ]
    studio.send(live, type="choose", shot=1, take=0)
    studio.send(live, type="choose", shot=2, take=0)
    assert live.snapshot.memory.frames == before.memory.frames
    assert [card.state for card in live.snapshot.shots] == ["done", "done", "done"]


def test_undo_brings_back_a_shot_in_the_middle(studio: Studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    before = live.snapshot
    studio.send(live, type="delete", shot=0)
    studio.send(live, type="delete", shot=1)
    assert [card.state for card in live.snapshot.shots] == ["deleted"]
    studio.send(live, type="undo")
    studio.send(live, type="undo")
    assert (live.snapshot.shots, live.snapshot.memory.frames) == (before.shots, before.memory.frames)


def test_a_story_goes_on_when_all_that_was_told_is_deleted(studio: Studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(live, type="delete", shot=0)
    studio.send(live, type="retake", shot=1)
    studio.run()
    assert places(studio, live)[-1] == (1, 1, 0, True)
    studio.send(live, type="choose", shot=0, take=0)
    studio.send(live, type="retake", shot=0)
    studio.run()
    assert [card.state for card in live.snapshot.shots] == ["done", "stale"]


def test_a_branch_is_another_story(studio: Studio, make_studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    receipt = studio.send(live, type="branch", shot=0)
    assert isinstance(receipt, Receipt)
    branch = studio.open(str(receipt.story))
    assert branch.snapshot.parent
    assert (branch.snapshot.parent.story, branch.snapshot.parent.shot) == (live.story, 0)
    assert [card.prompt for card in branch.snapshot.shots] == ["runs"]
    studio.send(branch, type="shoot", prompt="sleeps", chunks=1)
    studio.run()
    assert studio.viewer(branch).film()[0] == studio.viewer(live).film()[1]
    again = make_studio(studio.store)
    assert again.open(branch.story).snapshot == branch.snapshot


def test_references_are_uploads(studio: Studio) -> None:
    live = studio.begin()
    refused = studio.send(live, type="reference", upload="cat")
    assert isinstance(refused, Refused)
    assert refused.code == "not_found"
    assert from_frame(studio.send(live, type="reference", upload=FOX)) == (0, 0)
    assert [frame.source for frame in live.snapshot.memory.frames] == ["reference"]
    studio.send(live, type="unpin", shot=0, frame=-1)
    assert not live.snapshot.memory.frames


def test_a_paused_story_takes_commands_and_makes_nothing(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="pause")
    studio.send(live, type="shoot", prompt="runs")
    assert live.snapshot.state is State.PAUSED
    studio.run()
    assert not places(studio, live)
    studio.send(live, type="resume")
    assert live.snapshot.state is State.SHOOTING
    studio.run()
    assert len(places(studio, live)) == 3


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_full_disk_stops_the_story_and_loses_nothing(studio: Studio, make_studio, fails_at: int) -> None:
    straight = make_studio()
    expected = straight.begin()
    straight.send(expected, "0", type="shoot", prompt="runs")
    straight.run()
    live = studio.begin()
    studio.send(live, "0", type="shoot", prompt="runs")
    studio.run(fails_at)
    studio.store.full = True
    studio.run()
    assert live.snapshot.state is State.FAILED
    assert live.snapshot.reason == (
        "the newest chunk could not be saved: the disk is full; free some space; put it right, then resume"
    )
    assert len(places(studio, live)) == fails_at, "what is not saved is not shown"
    refused = studio.send(live, type="redirect", prompt="sleeps")
    assert isinstance(refused, Refused)
    assert refused.code == "not_now"
    assert studio.send(live, type="resume").type == "refused", "it is full still"
    studio.store.full = False
    assert studio.send(live, type="resume").type == "receipt"
    studio.run()
    assert studio.viewer(live).film() == straight.viewer(expected).film()


def test_a_command_that_cannot_be_saved_is_refused_and_leaves_no_trace(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.run()
    studio.store.full = True
    refused = studio.send(live, "kept", type="retake", shot=0)
    assert isinstance(refused, Refused)
    assert "the disk is full" in refused.message
    studio.store.full = False
    studio.send(live, type="resume")
    studio.run()
    assert len(places(studio, live)) == 1
    assert studio.send(live, "kept", type="retake", shot=0).type == "receipt", "its id is free"


def test_a_broken_model_fails_one_story(studio: Studio, monkeypatch) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs")
    studio.run(1)
    with monkeypatch.context() as broken:
        broken.delattr(ShotRollout, "denoise")
        studio.run()
    assert live.snapshot.state is State.FAILED
    studio.send(live, type="resume")
    studio.run()
    assert len(places(studio, live)) == 3


def test_too_much_is_refused(make_studio) -> None:
    studio = make_studio(prompt_characters=10, shot_seconds=2.6, shots=1, queued_commands=2)
    live = studio.begin()

    def code(**fields) -> str:
        answer = studio.send(live, **fields)
        assert isinstance(answer, Refused)
        return answer.code

    assert code(type="shoot", prompt="a fox that runs") == "too_long"
    assert code(type="shoot", prompt="runs", seconds=2.7) == "limit"
    assert code(type="cut") == "not_now"
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    assert code(type="extend", seconds=2.1) == "limit"
    studio.run()
    assert code(type="shoot", prompt="runs") == "limit"
    assert code(type="pin", shot=1, frame=0) == "not_found"
    for id in "abc":
        studio.offer(live, id, type="pause")
    [busy] = studio.viewer(live).answers[-1:]
    assert isinstance(busy, Refused)
    assert (busy.id, busy.code) == ("c", "busy"), "at once, while the others wait"


def test_a_command_that_was_saved_after_all_is_not_followed_twice(studio: Studio, monkeypatch) -> None:
    """A database may lose the connection after it has kept what it was told."""
    live = studio.begin()
    append = studio.store.append_command

    def keep_and_fail(*arguments):
        append(*arguments)
        raise OSError("the connection is gone")

    monkeypatch.setattr(studio.store, "append_command", keep_and_fail)
    assert studio.send(live, "once", type="shoot", prompt="runs", chunks=1).type == "refused"
    monkeypatch.undo()
    studio.send(live, "on", type="resume")
    assert studio.send(live, "once", type="shoot", prompt="runs", chunks=1).type == "receipt"
    studio.run()
    assert places(studio, live) == [(0, 0, 0, True)]


def test_a_stale_shot_that_waits_is_not_taken_twice(studio: Studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(live, type="edit", shot=0, prompt="at night")
    studio.send(live, type="reshoot", from_shot=0)
    studio.send(live, type="retake", shot=2)
    studio.run()
    takes = [place[:2] for place in places(studio, live)[3:]]
    assert sorted(takes) == [(1, 1), (2, 1)]
    assert live.snapshot.shots[0].state == "stale", "its turn was cut short before it had a chunk"


def test_waiting_in_the_queue_is_not_counted_as_waiting_for_the_picture(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, "now", type="shoot", prompt="runs", chunks=1)
    studio.send(live, "later", type="shoot", prompt="sleeps", chunks=1, after=True)
    studio.run()
    assert [event.id for event in studio.viewer(live).of(Shown)] == ["now"]


def test_a_former_take_stands_for_its_shot_again(studio: Studio, make_studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    studio.send(live, type="retake", shot=0, prompt="a cat")
    studio.run()
    retaken = live.snapshot
    assert [(card.take, card.takes, card.prompt) for card in retaken.shots] == [
        (1, 2, "a cat"),
        (0, 1, "sleeps"),
    ]
    assert studio.send(live, type="choose", shot=0, take=0).type == "receipt"
    chosen = live.snapshot
    assert [(card.take, card.takes, card.state) for card in chosen.shots] == [(0, 2, "done"), (0, 1, "stale")]
    assert chosen.shots[0].prompt == "runs"
    assert {frame.take for frame in chosen.memory.frames} == {0}
    assert studio.send(live, type="choose", shot=0, take=2).code == "not_found"
    assert make_studio(studio.store.copy()).open(live.story).snapshot == chosen
    studio.send(live, type="choose", shot=0, take=1)
    assert live.snapshot.shots[0] == retaken.shots[0]
    studio.send(live, type="retake", shot=0)
    studio.run()
    assert [card.take for card in live.snapshot.shots] == [2, 0]


def test_a_chosen_shot_does_not_wait_to_be_taken_anew(studio: Studio) -> None:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(live, type="edit", shot=0, prompt="a cat")
    studio.send(live, type="reshoot", from_shot=0)
    studio.send(live, type="choose", shot=1, take=0)
    studio.run()
    assert places(studio, live)[2:] == [(0, 1, 0, True)]


def test_what_is_too_far_back_is_refused_in_words(studio: Studio) -> None:
    live = studio.begin()
    for _ in range(17):
        studio.send(live, type="shoot", prompt="runs", chunks=1)
        studio.run(2)
    for fields in ({"type": "choose", "take": 0}, {"type": "delete"}):
        refused = studio.send(live, shot=0, **fields)
        assert (refused.code, refused.message[:22]) == ("not_found", "shot 1 is too far back")


def test_the_shot_that_runs_keeps_its_take(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=3)
    studio.run()
    studio.send(live, type="retake", shot=0)
    studio.run(1)
    assert studio.send(live, type="choose", shot=0, take=0).code == "not_now"
    studio.send(live, type="cut")
    assert studio.send(live, type="choose", shot=0, take=0).type == "receipt"
    assert studio.send(live, type="extend", chunks=1).type == "refused", "only what was made last goes on"
    assert (live.snapshot.shots[0].take, live.snapshot.shots[0].chunks) == (0, 3)


def test_a_branch_has_the_takes_of_its_parent(studio: Studio) -> None:
    live = studio.begin()
    for fields in ({"type": "shoot", "prompt": "runs", "chunks": 1}, {"type": "retake", "shot": 0}):
        studio.send(live, **fields)
        studio.run()
    branch = studio.open(studio.send(live, type="branch", shot=0).story)
    assert (branch.snapshot.shots[0].take, branch.snapshot.shots[0].takes) == (1, 2)
    studio.send(branch, type="choose", shot=0, take=0)
    assert branch.snapshot.shots[0].take == 0
    studio.send(branch, type="retake", shot=0)
    studio.run()
    assert branch.snapshot.shots[0].take == 2
    assert live.snapshot.shots[0].take == 1
