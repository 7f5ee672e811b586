"""Told shots that stand elsewhere in the film than they were told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.events import Receipt, Refused, in_film
from shotstream.serving.story.live_story import LiveStory
from shotstream.streaming.noise import noise
from shotstream.streaming.session import StorySession
from tests.serving.conftest import Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit

PROMPTS = ["runs", "sleeps", "a cat", "at night"]
FOUR_SHOTS = [step for prompt in PROMPTS for step in ({"type": "shoot", "prompt": prompt, "chunks": 1}, TURN)]


@pytest.fixture
def live(studio: Studio) -> LiveStory:
    live = studio.begin()
    apply(studio, live, FOUR_SHOTS)
    return live


def film(live: LiveStory) -> list[str]:
    return [card.prompt for card in in_film(live.snapshot.shots)]


def stale(live: LiveStory) -> list[int]:
    return [card.number for card in live.snapshot.shots if card.state == "stale"]


def test_the_film_follows_and_what_comes_after_the_earlier_place_is_stale(studio, live) -> None:
    assert isinstance(studio.send(live, type="move", shot=3, before=1), Receipt)
    assert film(live) == ["runs", "at night", "sleeps", "a cat"]
    assert stale(live) == [1, 2, 3]
    shots = StoryFilm.of(studio.store, live.story).shots
    assert [(shot.number, shot.card.prompt) for shot in shots] == list(enumerate(film(live), 1))
    assert studio.store.snapshot(live.story) == live.snapshot
    assert isinstance(studio.send(live, type="move", shot=0), Receipt)
    assert film(live) == ["at night", "sleeps", "a cat", "runs"]
    assert stale(live) == [0, 1, 2, 3]


def test_reshooting_goes_in_the_order_of_the_film_and_remembers_it(studio, live) -> None:
    apply(studio, live, [{"type": "move", "shot": 3, "before": 1}, {"type": "reshoot", "from_shot": 3}], 10)
    assert live.director.live.record.shot == 3
    apply(studio, live, [TURN, TURN, TURN])
    script = live.director.session.script
    assert stale(live) == []
    assert [{key.shot for key in script[shot].made_from.context} for shot in (3, 1, 2)] == [
        {0},
        {0, 3},
        {0, 3, 1},
    ]
    assert [script[shot].place for shot in (0, 3, 1, 2)] == [0, 1, 2, 3]


def test_a_move_is_undone_with_its_marks(studio, live) -> None:
    studio.send(live, type="edit", shot=3, prompt="runs")
    studio.send(live, type="move", shot=2, before=0)
    studio.send(live, type="trim", shot=0, in_frame=2)
    studio.send(live, type="undo")
    studio.send(live, type="undo")
    assert [card.place for card in live.snapshot.shots] == [None] * 4
    assert stale(live) == [3]


def test_what_was_made_after_a_move_is_stale_when_that_is_undone(studio, live) -> None:
    apply(studio, live, [SHOOT, {"type": "move", "shot": 3, "before": 2}, TURN, TURN], 10)
    assert stale(live) == [2, 3]
    studio.send(live, type="undo")
    assert [card.place for card in live.snapshot.shots] == [None] * 5
    assert stale(live) == [2, 3, 4]


@pytest.mark.parametrize(
    ("move", "sentence"),
    [
        ({"shot": 7}, "there is no shot 8; the story has 4"),
        ({"shot": 0, "before": 7}, "there is no shot 8; the story has 4"),
        ({"shot": 1, "before": 2}, "shot 2 stands there already"),
        ({"shot": 1, "before": 1}, "shot 2 stands there already"),
        ({"shot": 3}, "shot 4 stands there already"),
    ],
)
def test_a_move_that_cannot_be_made_says_why(studio, live, move, sentence) -> None:
    refused = studio.send(live, type="move", **move)
    assert isinstance(refused, Refused)
    assert refused.message == sentence
    assert stale(live) == []


def test_a_running_shot_stays_where_it_is(studio, live) -> None:
    apply(studio, live, [SHOOT, TURN], 10)
    assert studio.send(live, type="move", shot=4, before=1).message.startswith("shot 5 is running")
    assert studio.send(live, type="move", shot=0).message == "shot 5 is running and is the last until its end"
    assert isinstance(studio.send(live, type="move", shot=0, before=4), Receipt)
    assert film(live) == [*PROMPTS[1:], "runs", "runs"]


def test_a_deleted_shot_is_not_moved(studio, live) -> None:
    studio.send(live, type="delete", shot=1)
    assert studio.send(live, type="move", shot=1, before=0).message.startswith("that shot is deleted")
    studio.send(live, type="move", shot=3, before=0)
    assert film(live) == ["at night", "runs", "a cat"]


def test_a_branch_has_what_comes_before_its_shot_in_the_film(studio, live) -> None:
    studio.send(live, type="move", shot=3, before=1)
    branch = studio.send(live, type="branch", shot=1).story
    assert [card.prompt for card in in_film(studio.store.snapshot(branch).shots)] == [
        "runs",
        "at night",
        "sleeps",
    ]
    assert [shot.card.number for shot in StoryFilm.of(studio.store, branch).shots] == [0, 3, 1]
    again = studio.open(branch)
    apply(studio, again, [SHOOT, TURN, TURN], 10)
    assert [shot.card.number for shot in StoryFilm.of(studio.store, branch).shots] == [0, 3, 1, 4]
    assert {key.shot for key in again.director.session.script[4].made_from.context} == {0, 3, 1}


def test_one_that_was_moved_and_told_again_is_as_if_told_there(pipeline) -> None:
    """But for its noise, which is that of its number: here all shots have the same."""

    def same_noise(key: Sequence[int], shape: Sequence[int], *, device: torch.device) -> torch.Tensor:
        return noise(key[3:], shape, device=device)

    def tell(prompts: Sequence[str]) -> StorySession:
        session = StorySession(pipeline, "a red fox", height=16, width=32, noise_source=same_noise)
        for prompt in prompts:
            list(session.shoot(prompt, chunks=2))
        return session

    moved, plain = tell(["runs", "sleeps", "a cat"]), tell(["runs", "a cat", "sleeps"])
    moved.move(2, 1)
    for shot in (2, 1):
        list(moved.retake(shot))
    told = [list(session.shoot("at night", chunks=2)) for session in (moved, plain)]
    assert np.array_equal(*(np.concatenate([chunk.frames for chunk in chunks]) for chunks in told))
    takes = [[session.script[shot].made_from.context for shot in session.order] for session in (moved, plain)]
    assert [[frame.frame for frame in frames] for frames in takes[0]] == [
        [frame.frame for frame in frames] for frames in takes[1]
    ]
