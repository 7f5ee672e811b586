from __future__ import annotations

import logging

import pytest

from shotstream.serving.events import (
    Deleted,
    Figures,
    MemoryChanged,
    Receipt,
    Refused,
    ShotChanged,
    Shown,
    StateChanged,
)
from shotstream.serving.film import StoryFilm
from shotstream.serving.states import State
from shotstream.streaming.rollout import ShotRollout
from tests.serving.conftest import FOX, Studio

pytestmark = pytest.mark.cpu


def places(studio: Studio, telling) -> list[tuple]:
    return [place[:4] for place in studio.viewer(telling).film()]


def from_frame(receipt: Receipt | Refused) -> tuple[int, int]:
    assert isinstance(receipt, Receipt), receipt
    assert receipt.applies_from
    return receipt.applies_from.shot, receipt.applies_from.frame


def test_a_shot_is_told_and_every_change_with_it(studio: Studio) -> None:
    telling = studio.begin()
    assert from_frame(studio.send(telling, "1", type="shoot", prompt="runs")) == (0, 0)
    studio.run()
    assert places(studio, telling) == [(0, 0, 0, False), (0, 0, 1, False), (0, 0, 2, True)]
    viewer = studio.viewer(telling)
    assert [event.state for event in viewer.of(StateChanged)] == ["shooting", "idle"]
    cards = [(card.state, card.chunks, card.length_seconds) for card in viewer.of(ShotChanged)]
    assert cards == [("queued", 0, 2.625), ("live", 1, 2.625), ("live", 2, 2.625), ("done", 3, 2.625)]
    assert [event.id for event in viewer.of(Shown)] == ["1"]
    assert viewer.of(MemoryChanged)[-1].global_used == 6
    assert telling.snapshot.shots[0].frames == 21


def test_a_cut_begins_the_next_shot_between_two_chunks(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=5)
    studio.run(2)
    assert from_frame(studio.send(telling, type="shoot", prompt="sleeps", chunks=1)) == (1, 0)
    assert telling.snapshot.state is State.CUTTING
    studio.run()
    assert places(studio, telling) == [(0, 0, 0, False), (0, 0, 1, False), (1, 0, 0, True)]
    assert [card.state for card in telling.snapshot.shots] == ["done", "done"]


def test_a_shot_that_was_cut_is_over(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=5)
    studio.run(2)
    receipt = studio.send(telling, type="cut")
    assert isinstance(receipt, Receipt)
    assert receipt.applies_from is None
    studio.run()
    assert len(places(studio, telling)) == 2
    assert studio.send(telling, type="extend", chunks=1).type == "refused"
    assert telling.snapshot.shots[0].length_seconds == telling.directed.tempo.seconds(2)


def test_a_held_shot_goes_on_to_the_limit_or_its_cut(make_studio) -> None:
    studio = make_studio(shot_seconds=4.6)  # five chunks
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=1)
    assert from_frame(studio.send(telling, type="hold")) == (0, 5)
    studio.run()
    assert [place[2:] for place in places(studio, telling)] == [(n, n == 4) for n in range(5)]
    assert telling.snapshot.state is State.IDLE
    assert studio.send(telling, type="hold").type == "refused"
    studio.send(telling, type="shoot", prompt="runs", chunks=1)
    studio.run()
    assert from_frame(studio.send(telling, type="hold")) == (1, 5)
    studio.run(2)
    studio.send(telling, type="extend", chunks=1)
    studio.run()
    assert places(studio, telling)[-1] == (1, 0, 4, True)


@pytest.mark.parametrize("turns", [1, 4, 20])
def test_a_held_shot_goes_on_after_a_restart(make_studio, turns: int) -> None:
    """Under other limits too: where it ended is known."""
    studio = make_studio(shot_seconds=6.0)
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=1)
    studio.send(telling, type="hold")
    studio.run(turns)
    again = make_studio(studio.store.copy(), shot_seconds=3.0)
    assert again.open(telling.story).snapshot == telling.snapshot
    again.run()
    assert again.store.load(telling.story).chunks[-1].last
    same = make_studio(studio.store.copy(), shot_seconds=6.0)
    resumed = same.open(telling.story)
    made = len(places(studio, telling))
    studio.run()
    same.run()
    assert studio.viewer(telling).film()[made:] == same.viewer(resumed).film()


def test_redirecting_applies_from_the_next_chunk(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs")
    studio.run(2)
    assert from_frame(studio.send(telling, type="redirect", prompt="sleeps")) == (0, 13)
    studio.run()
    assert [chunk.prompt for chunk in studio.viewer(telling).chunks] == ["runs", "runs", "sleeps"]
    assert telling.snapshot.shots[0].prompts == [(0, "runs"), (2, "sleeps")]


def test_unknown_words_are_noted_and_not_logged(studio: Studio, caplog, capsys, recwarn) -> None:
    telling = studio.begin()
    with caplog.at_level(logging.DEBUG):
        receipt = studio.send(telling, type="shoot", prompt="zebra runs")
        studio.run()
    assert isinstance(receipt, Receipt)
    assert "does not know these words: zebra" in str(receipt.note)
    assert "zebra" not in caplog.text + "".join(capsys.readouterr())
    assert not recwarn.list


def test_no_more_is_made_than_will_be_shown_soon(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=6)
    studio.run(watching=False)
    assert len(places(studio, telling)) == 3  # 21 frames at 8 a second
    assert telling.waiting
    assert telling.snapshot.state is State.SHOOTING, "waiting is no state"
    studio.clock.now += 1
    studio.run(1, watching=False)
    assert studio.viewer(telling).of(Figures)[-1].waiting
    studio.show_newest(telling)
    studio.run(watching=False)
    assert len(places(studio, telling)) == 5, "of the 16 new frames none is shown"


def test_prompt_to_glass_is_measured_when_first_shown(studio: Studio) -> None:
    telling = studio.begin()
    studio.offer(telling, "1", type="shoot", prompt="runs")
    studio.clock.now += 3
    studio.run(watching=False)
    assert not studio.viewer(telling).of(Shown)
    arrived = studio.clock.now
    studio.show_newest(telling)
    studio.clock.now += 5
    studio.run(watching=False)
    [shown] = studio.viewer(telling).of(Shown)
    assert (shown.id, shown.prompt_to_glass_seconds) == ("1", pytest.approx(arrived))


def test_edited_shots_are_shot_again_in_order(studio: Studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(telling, type="edit", shot=1, prompt="at night")
    assert [card.state for card in telling.snapshot.shots] == ["done", "stale", "stale"]
    studio.send(telling, type="reshoot", from_shot=0)
    assert [card.state for card in telling.snapshot.shots] == ["done", "queued", "queued"]
    studio.run()
    assert places(studio, telling)[3:] == [(1, 1, 0, True), (2, 1, 0, True)]
    assert [card.prompt for card in telling.snapshot.shots] == ["runs", "at night", "a cat"]
    assert [card.state for card in telling.snapshot.shots] == ["done"] * 3
    assert studio.send(telling, type="reshoot", from_shot=0).type == "refused"


def test_a_deleted_shot_comes_back_and_take_numbers_are_not_used_twice(studio: Studio) -> None:
    telling = studio.begin()
    for _ in range(2):
        studio.send(telling, type="shoot", prompt="runs", chunks=1)
        studio.run()
    before = telling.snapshot
    studio.send(telling, type="delete", shot=1)
    assert len(telling.snapshot.shots) == 1
    assert studio.viewer(telling).of(Deleted) == [Deleted(shot=1)]
    studio.send(telling, type="undo")
    assert telling.snapshot.shots == before.shots
    assert telling.snapshot.memory.frames == before.memory.frames
    studio.send(telling, type="delete", shot=1)
    studio.send(telling, type="shoot", prompt="sleeps", chunks=1)
    assert studio.send(telling, type="undo").type == "refused"
    studio.run()
    assert places(studio, telling)[-1] == (1, 1, 0, True)


def test_a_shot_in_the_middle_is_left_out_and_comes_back(studio: Studio, make_studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    before = telling.snapshot
    studio.send(telling, type="edit", shot=1, prompt="at night")
    assert studio.send(telling, type="delete", shot=1).type == "receipt"
    without = telling.snapshot
    assert [card.state for card in without.shots] == ["done", "deleted", "stale"]
    assert {frame.shot for frame in without.memory.frames} == {0, 2}
    assert len(without.memory.frames) == len(before.memory.frames)
    assert [shot.card.number for shot in StoryFilm.of(studio.store, telling.story).shots] == [0, 2]
    assert make_studio(studio.store.copy()).open(telling.story).snapshot == without
    assert studio.send(telling, type="delete", shot=1).type == "refused"
    studio.send(telling, type="reshoot", from_shot=0)
    studio.run()
    assert [(card.take, card.state) for card in telling.snapshot.shots] == [
        (0, "done"),
        (0, "deleted"),
        (1, "done"),
    ]
    studio.send(telling, type="choose", shot=1, take=0)
    studio.send(telling, type="choose", shot=2, take=0)
    assert telling.snapshot.memory.frames == before.memory.frames
    assert [card.state for card in telling.snapshot.shots] == ["done", "done", "done"]


def test_undo_brings_back_a_shot_in_the_middle(studio: Studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    before = telling.snapshot
    studio.send(telling, type="delete", shot=0)
    studio.send(telling, type="delete", shot=1)
    assert [card.state for card in telling.snapshot.shots] == ["deleted"]
    studio.send(telling, type="undo")
    studio.send(telling, type="undo")
    assert (telling.snapshot.shots, telling.snapshot.memory.frames) == (before.shots, before.memory.frames)


def test_a_story_goes_on_when_all_that_was_told_is_deleted(studio: Studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(telling, type="delete", shot=0)
    studio.send(telling, type="retake", shot=1)
    studio.run()
    assert places(studio, telling)[-1] == (1, 1, 0, True)
    studio.send(telling, type="retake", shot=0)
    studio.run()
    assert [card.state for card in telling.snapshot.shots] == ["done", "stale"]


def test_a_branch_is_another_story(studio: Studio, make_studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    receipt = studio.send(telling, type="branch", shot=0)
    assert isinstance(receipt, Receipt)
    branch = studio.open(str(receipt.story))
    assert branch.snapshot.parent
    assert (branch.snapshot.parent.story, branch.snapshot.parent.shot) == (telling.story, 0)
    assert [card.prompt for card in branch.snapshot.shots] == ["runs"]
    studio.send(branch, type="shoot", prompt="sleeps", chunks=1)
    studio.run()
    assert studio.viewer(branch).film()[0] == studio.viewer(telling).film()[1]
    again = make_studio(studio.store)
    assert again.open(branch.story).snapshot == branch.snapshot


def test_references_are_uploads(studio: Studio) -> None:
    telling = studio.begin()
    refused = studio.send(telling, type="reference", upload="cat")
    assert isinstance(refused, Refused)
    assert refused.code == "not_found"
    assert from_frame(studio.send(telling, type="reference", upload=FOX)) == (0, 0)
    assert [frame.source for frame in telling.snapshot.memory.frames] == ["reference"]
    studio.send(telling, type="unpin", shot=0, frame=-1)
    assert not telling.snapshot.memory.frames


def test_a_paused_story_takes_commands_and_makes_nothing(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="pause")
    studio.send(telling, type="shoot", prompt="runs")
    assert telling.snapshot.state is State.PAUSED
    studio.run()
    assert not places(studio, telling)
    studio.send(telling, type="resume")
    assert telling.snapshot.state is State.SHOOTING
    studio.run()
    assert len(places(studio, telling)) == 3


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_full_disk_stops_the_story_and_loses_nothing(studio: Studio, make_studio, fails_at: int) -> None:
    straight = make_studio()
    expected = straight.begin()
    straight.send(expected, "0", type="shoot", prompt="runs")
    straight.run()
    telling = studio.begin()
    studio.send(telling, "0", type="shoot", prompt="runs")
    studio.run(fails_at)
    studio.store.full = True
    studio.run()
    assert telling.snapshot.state is State.FAILED
    assert telling.snapshot.reason == (
        "the newest chunk could not be saved: the disk is full; free some space; put it right, then resume"
    )
    assert len(places(studio, telling)) == fails_at, "what is not saved is not shown"
    refused = studio.send(telling, type="redirect", prompt="sleeps")
    assert isinstance(refused, Refused)
    assert refused.code == "not_now"
    assert studio.send(telling, type="resume").type == "refused", "it is full still"
    studio.store.full = False
    assert studio.send(telling, type="resume").type == "receipt"
    studio.run()
    assert studio.viewer(telling).film() == straight.viewer(expected).film()


def test_a_command_that_cannot_be_saved_is_refused_and_leaves_no_trace(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=1)
    studio.run()
    studio.store.full = True
    refused = studio.send(telling, "kept", type="retake", shot=0)
    assert isinstance(refused, Refused)
    assert "the disk is full" in refused.message
    studio.store.full = False
    studio.send(telling, type="resume")
    studio.run()
    assert len(places(studio, telling)) == 1
    assert studio.send(telling, "kept", type="retake", shot=0).type == "receipt", "its id is free"


def test_a_broken_model_fails_one_story(studio: Studio, monkeypatch) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs")
    studio.run(1)
    with monkeypatch.context() as broken:
        broken.delattr(ShotRollout, "denoise")
        studio.run()
    assert telling.snapshot.state is State.FAILED
    studio.send(telling, type="resume")
    studio.run()
    assert len(places(studio, telling)) == 3


def test_too_much_is_refused(make_studio) -> None:
    studio = make_studio(prompt_characters=10, shot_seconds=2.6, shots=1, queued_commands=2)
    telling = studio.begin()

    def code(**fields) -> str:
        answer = studio.send(telling, **fields)
        assert isinstance(answer, Refused)
        return answer.code

    assert code(type="shoot", prompt="a fox that runs") == "too_long"
    assert code(type="shoot", prompt="runs", seconds=2.7) == "limit"
    assert code(type="cut") == "not_now"
    studio.send(telling, type="shoot", prompt="runs", chunks=1)
    assert code(type="extend", seconds=2.1) == "limit"
    studio.run()
    assert code(type="shoot", prompt="runs") == "limit"
    assert code(type="pin", shot=1, frame=0) == "not_found"
    for id in "abc":
        studio.offer(telling, id, type="pause")
    [busy] = studio.viewer(telling).answers[-1:]
    assert isinstance(busy, Refused)
    assert (busy.id, busy.code) == ("c", "busy"), "at once, while the others wait"


def test_a_command_that_was_saved_after_all_is_not_followed_twice(studio: Studio, monkeypatch) -> None:
    """A database may lose the connection after it has kept what it was told."""
    telling = studio.begin()
    append = studio.store.append_command

    def keep_and_fail(*arguments):
        append(*arguments)
        raise OSError("the connection is gone")

    monkeypatch.setattr(studio.store, "append_command", keep_and_fail)
    assert studio.send(telling, "once", type="shoot", prompt="runs", chunks=1).type == "refused"
    monkeypatch.undo()
    studio.send(telling, "on", type="resume")
    assert studio.send(telling, "once", type="shoot", prompt="runs", chunks=1).type == "receipt"
    studio.run()
    assert places(studio, telling) == [(0, 0, 0, True)]


def test_a_stale_shot_that_waits_is_not_taken_twice(studio: Studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps", "a cat"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(telling, type="edit", shot=0, prompt="at night")
    studio.send(telling, type="reshoot", from_shot=0)
    studio.send(telling, type="retake", shot=2)
    studio.run()
    takes = [place[:2] for place in places(studio, telling)[3:]]
    assert sorted(takes) == [(1, 1), (2, 1)]
    assert telling.snapshot.shots[0].state == "stale", "its turn was cut short before it had a chunk"


def test_waiting_in_the_queue_is_not_counted_as_waiting_for_the_picture(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, "now", type="shoot", prompt="runs", chunks=1)
    studio.send(telling, "later", type="shoot", prompt="sleeps", chunks=1, after=True)
    studio.run()
    assert [event.id for event in studio.viewer(telling).of(Shown)] == ["now"]


def test_a_former_take_stands_for_its_shot_again(studio: Studio, make_studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    studio.send(telling, type="retake", shot=0, prompt="a cat")
    studio.run()
    retaken = telling.snapshot
    assert [(card.take, card.takes, card.prompt) for card in retaken.shots] == [
        (1, 2, "a cat"),
        (0, 1, "sleeps"),
    ]
    assert studio.send(telling, type="choose", shot=0, take=0).type == "receipt"
    chosen = telling.snapshot
    assert [(card.take, card.takes, card.state) for card in chosen.shots] == [(0, 2, "done"), (0, 1, "stale")]
    assert chosen.shots[0].prompt == "runs"
    assert {frame.take for frame in chosen.memory.frames} == {0}
    assert studio.send(telling, type="choose", shot=0, take=2).code == "not_found"
    assert make_studio(studio.store.copy()).open(telling.story).snapshot == chosen
    studio.send(telling, type="choose", shot=0, take=1)
    assert telling.snapshot.shots[0] == retaken.shots[0]
    studio.send(telling, type="retake", shot=0)
    studio.run()
    assert [card.take for card in telling.snapshot.shots] == [2, 0]


def test_a_chosen_shot_does_not_wait_to_be_taken_anew(studio: Studio) -> None:
    telling = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(telling, type="shoot", prompt=prompt, chunks=1)
        studio.run()
    studio.send(telling, type="edit", shot=0, prompt="a cat")
    studio.send(telling, type="reshoot", from_shot=0)
    studio.send(telling, type="choose", shot=1, take=0)
    studio.run()
    assert places(studio, telling)[2:] == [(0, 1, 0, True)]


def test_what_is_too_far_back_is_refused_in_words(studio: Studio) -> None:
    telling = studio.begin()
    for _ in range(17):
        studio.send(telling, type="shoot", prompt="runs", chunks=1)
        studio.run(2)
    for fields in ({"type": "choose", "take": 0}, {"type": "delete"}):
        refused = studio.send(telling, shot=0, **fields)
        assert (refused.code, refused.message[:22]) == ("not_found", "shot 1 is too far back")


def test_the_shot_that_runs_keeps_its_take(studio: Studio) -> None:
    telling = studio.begin()
    studio.send(telling, type="shoot", prompt="runs", chunks=3)
    studio.run()
    studio.send(telling, type="retake", shot=0)
    studio.run(1)
    assert studio.send(telling, type="choose", shot=0, take=0).code == "not_now"
    studio.send(telling, type="cut")
    assert studio.send(telling, type="choose", shot=0, take=0).type == "receipt"
    assert studio.send(telling, type="extend", chunks=1).type == "refused", "only what was made last goes on"
    assert (telling.snapshot.shots[0].take, telling.snapshot.shots[0].chunks) == (0, 3)


def test_a_branch_has_the_takes_of_its_parent(studio: Studio) -> None:
    telling = studio.begin()
    for fields in ({"type": "shoot", "prompt": "runs", "chunks": 1}, {"type": "retake", "shot": 0}):
        studio.send(telling, **fields)
        studio.run()
    branch = studio.open(studio.send(telling, type="branch", shot=0).story)
    assert (branch.snapshot.shots[0].take, branch.snapshot.shots[0].takes) == (1, 2)
    studio.send(branch, type="choose", shot=0, take=0)
    assert branch.snapshot.shots[0].take == 0
    studio.send(branch, type="retake", shot=0)
    studio.run()
    assert branch.snapshot.shots[0].take == 2
    assert telling.snapshot.shots[0].take == 1
