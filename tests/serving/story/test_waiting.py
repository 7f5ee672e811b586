"""Who is waited for, and who is not: viewers that are away, and stories while another one is told again."""

from __future__ import annotations

import pytest

from shotstream.serving.protocol.commands import Playhead
from shotstream.serving.protocol.states import State
from shotstream.serving.story.live_story import AWAY_SECONDS
from tests.serving.conftest import Studio
from tests.serving.story.shown import places

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("queued", [True, False])
def test_what_is_queued_is_not_held_up_by_who_does_not_watch(studio: Studio, queued: bool) -> None:
    """Nor is a single shot, once nobody has said or shown anything for a while."""
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=6)
    if queued:
        studio.send(live, type="shoot", prompt="sleeps", chunks=6, after=True)
    studio.run(5, watching=False)
    assert live.waits_for_viewers != queued
    assert len(places(studio, live)) == (5 if queued else 3)
    studio.clock.now += AWAY_SECONDS
    studio.run(watching=False)
    assert len(places(studio, live)) == (12 if queued else 6)
    assert live.snapshot.state is State.IDLE


def test_who_is_back_is_waited_for_again(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=20)
    studio.clock.now += AWAY_SECONDS
    studio.run(6, watching=False)
    assert not live.waits_for_viewers
    studio.engine.playhead(live, Playhead(shot=0, take=0, frame=0))
    studio.run(1, watching=False)
    assert live.waits_for_viewers


def test_a_shot_that_is_held_waits_for_who_holds_it(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=2)
    studio.send(live, type="hold")
    studio.clock.now += AWAY_SECONDS
    studio.run(watching=False)
    assert live.waits_for_viewers
    assert len(places(studio, live)) == 3


def test_a_story_that_is_told_again_takes_commands_when_it_is_done(studio: Studio, monkeypatch) -> None:
    """Its chunks are told one at a time, so that other stories get theirs between them."""
    live, other = studio.begin(), studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=6)
    studio.run()
    with monkeypatch.context() as broken:
        broken.setattr(studio.store, "append_command", lambda *arguments: 1 / 0)
        assert studio.send(live, type="pause").type == "refused"
    studio.send(other, type="shoot", prompt="runs", chunks=4)
    answers = len(studio.viewer(live).answers)
    studio.offer(live, "on", type="resume")
    studio.offer(live, "next", type="shoot", prompt="sleeps", chunks=1)
    studio.run(4)
    assert len(studio.viewer(other).chunks) == 4, "a chunk for every turn"
    assert len(studio.viewer(live).answers) == answers
    studio.run()
    assert [answer.id for answer in studio.viewer(live).answers[answers:]] == ["on", "next"]
    assert len(places(studio, live)) == 7


def test_who_waits_for_a_replay_is_told_when_the_story_is_closed(studio: Studio, monkeypatch) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=2)
    studio.run()
    with monkeypatch.context() as broken:
        broken.setattr(studio.store, "append_command", lambda *arguments: 1 / 0)
        studio.send(live, type="pause")
    studio.offer(live, "on", type="resume")
    studio.engine.turn()
    live.close()
    assert (studio.viewer(live).answers[-1].id, studio.viewer(live).answers[-1].type) == ("on", "refused")
