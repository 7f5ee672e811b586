"""Several takes of a shot, of which the best is chosen by a command of the studio's own."""

from __future__ import annotations

import pytest

from shotstream.serving.protocol.events import AutoRetakeChanged, ShotChanged, TakeContinuity
from shotstream.serving.storage.stored import StoredCommand
from tests.serving.conftest import Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit

SHOT = [{**SHOOT, "chunks": 1}, TURN]


def measured(take: int, score: float) -> TakeContinuity:
    return TakeContinuity(take=take, score=score, reasons=[] if score == 1 else ["The hat is gone."])


def measure(studio: Studio, live, shot: int, *scores: float, first: int = 0) -> None:
    for take, score in enumerate(scores, first):
        live.desk.put(shot, measured(take, score))
    studio.engine.turn()


def turns(studio: Studio, live, count: int = 6) -> None:
    for _ in range(count):
        studio.engine.turn()
        studio.show_newest(live)


def own_commands(studio: Studio, live) -> list[tuple]:
    """What the studio asked for by itself."""
    entries = studio.store.load(live.story).entries
    told = [entry.command for entry in entries if isinstance(entry, StoredCommand)]
    return [
        (one.type, one.shot, getattr(one, "take", None))
        for one in told
        if one.id.startswith(("best-", "auto-"))
    ]


def test_a_score_is_told_and_on_the_card(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, SHOT)
    measure(studio, live, 0, 0.5)
    [card] = live.snapshot.shots
    assert card.continuity == [measured(0, 0.5)]
    assert studio.viewers[live.story].of(ShotChanged)[-1].continuity == card.continuity
    assert studio.store.snapshot(live.story).shots == [card], "the library has the card"
    assert own_commands(studio, live) == []


def test_the_best_of_several_takes_is_chosen_once_all_are_measured(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*SHOT, {"type": "retake", "shot": 0, "takes": 3}])
    turns(studio, live)
    assert [take for take, _ in live.snapshot.shots[0].made] == [0, 1, 2, 3]
    measure(studio, live, 0, 1.0, 0.4, 0.8)
    assert own_commands(studio, live) == [], "one is not measured yet"
    measure(studio, live, 0, 0.6, first=3)
    assert own_commands(studio, live) == [("choose", 0, 2)], "the former take does not compete"
    assert live.snapshot.shots[0].take == 2
    measure(studio, live, 0, 0.9, first=3)
    assert len(own_commands(studio, live)) == 1, "that was it"


def test_takes_that_a_person_chose_deleted_or_stopped_do_not_compete(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*SHOT, {"type": "retake", "shot": 0, "takes": 2}, TURN, TURN])
    apply(studio, live, [{"type": "choose", "shot": 0, "take": 0}], start=10)
    measure(studio, live, 0, 0.1, 0.9, 0.8)
    assert own_commands(studio, live) == []
    apply(studio, live, [{"type": "retake", "shot": 0, "takes": 3}, TURN, {"type": "stop"}], start=20)
    measure(studio, live, 0, 0.1, first=3)
    assert own_commands(studio, live) == []


def test_a_story_that_is_told_again_makes_the_same_choice_without_measuring(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*SHOT, {"type": "retake", "shot": 0, "takes": 2}])
    turns(studio, live)
    measure(studio, live, 0, 0.5, 0.9, 0.4)
    apply(studio, live, SHOT, start=10)
    before, script = live.snapshot, live.director.session.script
    studio.engine.let_go(live.story)
    turns(studio, live, 2)
    again = studio.open(studio.store.stories()[0].id)
    assert again.director.session.script == script
    assert [card.take for card in again.snapshot.shots] == [card.take for card in before.shots] == [1, 0]
    assert again.director.contests.first_takes == {}


def test_what_was_not_chosen_before_a_restart_is_chosen_after_it(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*SHOT, {"type": "retake", "shot": 0, "takes": 2}, TURN])
    studio.engine.let_go(live.story)
    turns(studio, live, 2)
    again = studio.open(studio.store.stories()[0].id)
    turns(studio, again)
    measure(studio, again, 0, 0.9, 0.7, 0.5)
    assert own_commands(studio, again) == [("choose", 0, 1)]


AUTO = {"type": "autoretake", "min_continuity": 0.8, "most_takes": 3}


def test_shots_are_taken_anew_by_themselves_until_one_is_good(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [AUTO, *SHOT])
    assert live.snapshot.auto_retake.most_takes == 3
    measure(studio, live, 0, 0.5)
    turns(studio, live)
    measure(studio, live, 0, 0.9, first=1)
    assert own_commands(studio, live) == [("retake", 0, None), ("choose", 0, 1)]


def test_not_more_than_so_many_takes_are_made_and_the_best_stands(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [AUTO, *SHOT])
    for take, score in enumerate((0.5, 0.7, 0.6)):
        measure(studio, live, 0, score, first=take)
        turns(studio, live)
    assert own_commands(studio, live) == [("retake", 0, None)] * 2 + [("choose", 0, 1)]
    turns(studio, live)
    assert live.snapshot.state == "idle"


def test_nothing_is_taken_anew_while_a_shot_runs_or_without_the_rule(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*SHOT, AUTO, {**SHOOT, "chunks": 2}, TURN])
    measure(studio, live, 0, 0.5)
    assert own_commands(studio, live) == [], "that would cut the shot that runs"
    turns(studio, live, 1)
    studio.engine.turn()
    assert own_commands(studio, live) == [("retake", 0, None)]
    off = studio.begin()
    apply(studio, off, [AUTO, {"type": "autoretake"}, *SHOT])
    assert studio.viewers[off.story].of(AutoRetakeChanged)[-1].rule is None
    measure(studio, off, 0, 0.1)
    assert own_commands(studio, off) == []


def test_the_rule_is_kept(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [AUTO, *SHOT])
    assert studio.store.snapshot(live.story).auto_retake == live.snapshot.auto_retake is not None
