"""Moves in long stories, and beside plans, deletions and branches."""

from __future__ import annotations

import pytest

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.journal_takes import made_takes
from shotstream.serving.protocol.events import Receipt, Refused, in_film
from shotstream.serving.story.live_story import LiveStory
from tests.serving.conftest import Studio
from tests.serving.random_commands import TURN, apply
from tests.serving.told_again import assert_told_again as told_by_the_pipeline

pytestmark = pytest.mark.unit


def shots(count: int) -> list[dict]:
    one = {"type": "shoot", "prompt": "runs", "chunks": 1}
    return [step for _ in range(count) for step in (one, TURN)]


def assert_told_again(make_studio, studio: Studio, live: LiveStory) -> None:
    """The library tells the same story again, and its film is the storyboard's."""
    again = make_studio(studio.store.copy()).open(live.story)
    assert again.snapshot == live.snapshot
    numbers = [shot.card.number for shot in StoryFilm.of(studio.store, live.story).shots]
    assert numbers == [card.number for card in in_film(live.snapshot.shots)]
    made = made_takes(studio.store, studio.store.load(live.story), lambda name: name)
    assert list(made.order) == live.director.session.order


def test_a_move_is_not_undone_once_the_plan_changed(make_studio, studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, shots(3))
    plan = [{"prompt": "sleeps", "chunks": 1}, {"prompt": "a cat", "chunks": 1}]
    steps = [
        {"type": "move", "shot": 2, "before": 0},
        {"type": "replan", "from_shot": 3, "shots": plan},
        {"type": "replan", "from_shot": 4, "shots": []},
        *[TURN] * 2,
        {"type": "undo"},
    ]
    apply(studio, live, steps, 20)
    assert_told_again(make_studio, studio, live)


def test_a_move_that_is_too_far_back_by_now_is_not_undone(make_studio, studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, shots(3))
    plan = [{"prompt": "sleeps", "chunks": 1}] * 16
    steps = [
        {"type": "replan", "from_shot": 3, "shots": plan},
        {"type": "trim", "shot": 1, "in_frame": 1},
        {"type": "move", "shot": 0, "before": 2},
        *[TURN] * 17,
        *[{"type": "undo"}] * 2,
    ]
    apply(studio, live, steps, 20)
    answers = studio.viewer(live).answers[-2:]
    said = [answer.message for answer in answers if isinstance(answer, Refused)]
    assert said == ["shot 2 stays here: where it stood is too far back by now"] * 2
    assert [card.place for card in live.snapshot.shots][:2] == [1, 0]
    assert_told_again(make_studio, studio, live)


def test_a_branch_of_earlier_shots_lets_the_journal_remember_as_much(make_studio, studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, shots(16))
    steps = [
        {"type": "shoot", "prompt": "sleeps", "chunks": 3},
        TURN,
        {"type": "branch", "shot": 3},
        {"type": "move", "shot": 0, "before": 2},
        *[TURN] * 2,
    ]
    apply(studio, live, steps, 50)
    assert isinstance(studio.viewer(live).answers[-1], Receipt)
    assert_told_again(make_studio, studio, live)


def test_a_branch_has_what_its_takes_were_made_from(make_studio, studio: Studio, pipeline, tmp_path) -> None:
    live = studio.begin()
    steps = [
        {"type": "move", "shot": 3, "before": 1},
        {"type": "retake", "shot": 1},
        TURN,
        {"type": "move", "shot": 3},
        {"type": "branch", "shot": 1},
    ]
    apply(studio, live, [*shots(4), *steps])
    answer = studio.viewer(live).answers[-1]
    assert isinstance(answer, Receipt)
    assert answer.story is not None
    branch = studio.open(answer.story)
    assert [card.number for card in in_film(branch.snapshot.shots)] == [0, 1]
    apply(studio, branch, shots(1), 20)
    assert_told_again(make_studio, studio, branch)
    told_by_the_pipeline(pipeline, studio, branch.story, tmp_path)


def test_a_take_may_be_made_from_a_newest_shot_that_was_deleted(studio: Studio, pipeline, tmp_path) -> None:
    live = studio.begin()
    steps = [
        {"type": "move", "shot": 2, "before": 1},
        {"type": "retake", "shot": 1},
        TURN,
        {"type": "delete", "shot": 2},
    ]
    apply(studio, live, [*shots(3), *steps])
    told_by_the_pipeline(pipeline, studio, live.story, tmp_path)


def test_what_stood_behind_the_newest_shot_is_stale_when_that_is_deleted(make_studio, studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, shots(3))
    steps = [
        {"type": "move", "shot": 2, "before": 0},
        {"type": "reshoot", "from_shot": 2},
        *[TURN] * 3,
        {"type": "delete", "shot": 2},
    ]
    apply(studio, live, steps, 20)
    assert [card.state for card in live.snapshot.shots] == ["stale", "stale"]
    assert_told_again(make_studio, studio, live)


def test_a_shot_that_is_too_far_back_is_refused_though_none_is_left_behind_it(
    make_studio, studio: Studio
) -> None:
    live = studio.begin()
    apply(studio, live, shots(17))
    steps = [{"type": "delete", "shot": n} for n in range(16, 0, -1)]
    steps += [{"type": "retake", "shot": 0}, {"type": "branch", "shot": 0}]
    apply(studio, live, steps, 50)
    for refused in studio.viewer(live).answers[-2:]:
        assert isinstance(refused, Refused)
        assert refused.message == "shot 1 is too far back: what it was made from is not kept"


def test_a_shot_is_moved_behind_one_that_was_made_longer(make_studio, studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*shots(3), {"type": "extend", "chunks": 2}, {"type": "move", "shot": 0}])
    assert isinstance(studio.viewer(live).answers[-1], Receipt)
    apply(studio, live, [TURN, TURN, *shots(1)], 20)
    assert live.director.session.order == [1, 2, 0, 3]
    assert_told_again(make_studio, studio, live)
