"""Takes are measured beside the engine when they are over, and what is measured is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shotstream.evaluation.continuity import ContinuityMeter
from shotstream.serving.delivery.continuity import ContinuityThread
from tests.serving.conftest import Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit


@pytest.fixture
def measuring(pipeline, make_studio):
    """A studio whose takes are measured, and what came of it."""
    told = []
    studio: Studio = make_studio()
    thread = ContinuityThread(ContinuityMeter, studio.store, lambda *measured: told.append(measured))

    watched = studio.engine._show

    def show(story, stored, chunk, *, again):
        watched(story, stored, chunk, again=again)
        live = None if again else studio.engine.find(story)
        thread.show(stored, chunk, live and live.director.session)

    studio.engine._show = show
    studio.engine._put_aside = lambda story, chunks: thread.put_aside(chunks)
    yield studio, thread, told
    thread.close()


def test_a_take_is_measured_when_it_is_over_and_the_score_is_kept(measuring) -> None:
    studio, thread, told = measuring
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN])
    thread.settle()
    assert told == [], "it is not over"
    apply(studio, live, [TURN, SHOOT, TURN, TURN, {"type": "retake", "shot": 1}, TURN, TURN], start=5)
    thread.settle()
    assert [(shot, found.take) for _, shot, found in told] == [(0, 0), (1, 0), (1, 1)]
    assert studio.store.continuity(live.story) == {(shot, found.take): found for _, shot, found in told}
    assert all(0 <= found.score <= 1 for *_, found in told)
    assert "Who and what was kept was not measured" in told[0][2].not_measured[0]


def test_a_shot_that_is_longer_by_now_is_measured_again(measuring) -> None:
    studio, thread, told = measuring
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN, {"type": "extend", "chunks": 1}, TURN])
    thread.settle()
    assert [(shot, found.take) for _, shot, found in told] == [(0, 0), (0, 0)]


def test_earlier_shots_are_known_by_the_stills_after_a_restart(measuring) -> None:
    studio, thread, _ = measuring
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN])
    thread.settle()
    for frame in live.director.remembered:
        studio.store.keep_still(live.story, frame)
    fresh = ContinuityThread(ContinuityMeter, studio.store, lambda *measured: None)
    seen = fresh._seen((live.story, 0, 0))
    assert seen.frames == len(live.director.remembered)
    assert fresh._seen((live.story, 0, 1)) is None
    fresh.close()


def test_branches_share_their_parents_stills(measuring) -> None:
    studio, _, _ = measuring
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN, {"type": "branch", "shot": 0}])
    for frame in live.director.remembered:
        studio.store.keep_still(live.story, frame)
    branch = next(one.id for one in studio.store.stories() if one.parent)
    own, shared = (studio.store.take_stills(story, 0, 0) for story in (live.story, branch))
    assert len(own) > 1
    assert np.array_equal(own, shared)


def test_a_take_that_cannot_be_measured_stops_nothing(measuring, monkeypatch) -> None:
    studio, thread, told = measuring
    monkeypatch.setattr(ContinuityMeter, "look", lambda *_: torch.zeros(1).item() / 0)
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN])
    thread.settle()
    monkeypatch.undo()
    apply(studio, live, [SHOOT, TURN, TURN], start=5)
    thread.settle()
    assert [shot for _, shot, _ in told] == [1]
