"""A cut and a redirection begin after what was shown; what nobody has seen was never part of the story."""

from __future__ import annotations

import pytest
import torch

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.commands import Playhead
from shotstream.serving.protocol.events import Receipt, Refused, Turned
from shotstream.serving.protocol.states import State
from shotstream.serving.story.live_story import LiveStory
from tests.serving.conftest import Studio

pytestmark = pytest.mark.law


def show(studio: Studio, live: LiveStory, frame: int) -> None:
    """Say that a frame of the first shot is on a viewer's screen."""
    studio.engine.playhead(live, Playhead(shot=0, take=0, frame=frame))
    live.attend()


def running(studio: Studio, chunks: int = 3) -> LiveStory:
    """A story whose running shot has so many chunks that nobody has seen: of 5, 8, 8, ... frames."""
    live = studio.begin()
    studio.send(live, "shoot", type="shoot", prompt="runs", chunks=9)
    for _ in range(chunks):
        live.make_chunk()
    return live


def places(studio: Studio, live: LiveStory) -> list[tuple]:
    return [(chunk.shot, chunk.take, chunk.index) for chunk in studio.viewer(live).chunks]


def receipt(answer: Receipt | Refused) -> Receipt:
    assert isinstance(answer, Receipt), answer
    return answer


def test_a_redirection_begins_after_the_chunk_on_the_screen(studio: Studio) -> None:
    live = running(studio, chunks=4)
    show(studio, live, 6)
    took = receipt(studio.send(live, type="redirect", prompt="sleeps"))
    assert (took.put_aside, took.applies_from.frame if took.applies_from else 0) == (2, 13)
    assert studio.viewer(live).of(Turned) == [Turned(shot=0, take=0, frame=13)]
    assert live.lookahead_seconds == 6 / 8
    live.make_chunk()
    assert places(studio, live) == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]
    assert [chunk.prompt for chunk in studio.viewer(live).chunks] == ["runs", "runs", "sleeps"]
    assert live.snapshot.shots[0].prompts == [(0, "runs"), (2, "sleeps")]
    assert live.snapshot.shots[0].frames == 21


@pytest.mark.parametrize("kind", ["shoot", "cut", "stop", "retake"])
def test_a_cut_ends_the_shot_after_the_chunk_on_the_screen(studio: Studio, kind: str) -> None:
    """Further back than a redirection could go, too."""
    fields = {"shoot": {"prompt": "sleeps"}, "retake": {"shot": 0}}.get(kind, {})
    live = running(studio, chunks=8)
    show(studio, live, 3)
    assert receipt(studio.send(live, type=kind, **fields)).put_aside == 7
    assert places(studio, live) == [(0, 0, 0)]
    assert studio.viewer(live).of(Turned) == [Turned(shot=0, take=0, frame=5)]
    assert live.director.session.script[0].chunks == 1


def test_one_chunk_is_left_of_a_shot_that_nobody_has_seen(studio: Studio) -> None:
    live = running(studio)
    show(studio, live, 4)
    studio.send(live, type="shoot", prompt="sleeps", chunks=9)
    for _ in range(3):
        live.make_chunk()
    assert receipt(studio.send(live, type="redirect", prompt="a cat")).put_aside == 2
    assert places(studio, live) == [(0, 0, 0), (1, 0, 0)]


def test_what_was_made_counts_as_shown_where_nobody_says_what_is_shown(studio: Studio) -> None:
    live = running(studio)
    assert receipt(studio.send(live, type="redirect", prompt="sleeps")).put_aside is None
    live.make_chunk()
    show(studio, live, 2)
    live.unlisten(studio.viewer(live))
    assert receipt(studio.send(live, type="redirect", prompt="runs")).put_aside is None, "nobody is here"
    live.listen(studio.viewer(live))
    live.make_chunk()
    studio.clock.now += 10
    assert receipt(studio.send(live, type="redirect", prompt="sleeps")).put_aside is None, "he is away"
    assert not studio.viewer(live).of(Turned)


def test_the_viewer_furthest_ahead_counts(studio: Studio) -> None:
    live = running(studio, chunks=4)
    for frame in (14, 2):
        show(studio, live, frame)
    assert receipt(studio.send(live, type="redirect", prompt="sleeps")).put_aside == 1


def test_what_was_made_before_another_command_stays(studio: Studio) -> None:
    """A branch has it, a pin shows it, an extension was counted from it."""
    live = running(studio, chunks=3)
    show(studio, live, 2)
    studio.send(live, type="extend", chunks=1)
    live.make_chunk()
    assert receipt(studio.send(live, type="redirect", prompt="sleeps")).put_aside == 1


def test_a_refused_command_puts_nothing_aside(studio: Studio) -> None:
    live = running(studio)
    show(studio, live, 2)
    for fields in (
        {"type": "redirect", "prompt": "x" * 3000},
        {"type": "shoot", "prompt": "runs", "take": 0, "chunks": 10_000},
        {"type": "retake", "shot": 3},
    ):
        assert studio.send(live, **fields).type == "refused"
    assert len(places(studio, live)) == live.director.session.script[0].chunks == 3


def test_a_held_shot_is_as_long_as_if_nothing_had_been_put_aside(make_studio) -> None:
    studio = make_studio()
    live = running(studio, chunks=2)
    studio.send(live, type="hold")
    for _ in range(3):
        live.make_chunk()
    show(studio, live, 22)
    assert receipt(studio.send(live, type="redirect", prompt="sleeps")).put_aside == 1
    again = make_studio(studio.store.copy())
    resumed = again.open(live.story)
    assert resumed.snapshot == live.snapshot
    assert live.snapshot.state is State.HOLDING


def test_the_library_has_what_was_kept_and_a_branch_what_it_was_made_from(make_studio) -> None:
    studio = make_studio()
    live = running(studio, chunks=2)
    show(studio, live, 2)
    branch = receipt(studio.send(live, type="branch", shot=0)).story
    assert branch
    live.make_chunk()
    live.make_chunk()
    latents = [chunk.latents for chunk in studio.viewer(live).chunks]
    assert receipt(studio.send(live, type="shoot", prompt="sleeps", chunks=1)).put_aside == 2
    live.make_chunk()
    stored = studio.store.load(live.story)
    assert [(chunk.shot, chunk.chunk) for chunk in stored.chunks] == [(0, 0), (0, 1), (1, 0)]
    assert len(stored.entries) == 8
    film = StoryFilm.of(studio.store, live.story)
    assert [len(shot.chunks) for shot in film.shots] == [2, 1]
    assert [shot.chunks for shot in film.story.shots] == [2, 1]
    again = make_studio(studio.store.copy())
    assert again.open(live.story).snapshot == live.snapshot
    shared = again.store.take_chunks(branch, 0, 0)
    assert all(torch.equal(chunk.latents(), known) for chunk, known in zip(shared, latents, strict=False))


def test_a_chunk_in_the_making_is_stopped_for_a_command_that_is_followed(studio: Studio) -> None:
    live = running(studio, chunks=2)
    show(studio, live, 2)
    studio.offer(live, type="redirect", prompt="x" * 3000)
    assert not live.make_chunk(), "it may be needed no more"
    live.attend()
    studio.offer(live, type="redirect", prompt="y" * 3000)
    assert live.make_chunk(), "who is refused stops it once"
    live.attend()
    studio.send(live, type="redirect", prompt="sleeps")
    studio.offer(live, type="shoot", prompt="runs", after=True)
    assert live.make_chunk(), "what waits changes nothing now"
    live.attend()
    studio.offer(live, type="cut")
    assert not live.make_chunk()
    assert studio.engine.turn()
    assert places(studio, live)[-1][0] == 1
