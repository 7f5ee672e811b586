"""In and out points of shots."""

from __future__ import annotations

import pytest

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.events import Receipt, Refused
from shotstream.serving.story.live_story import LiveStory
from shotstream.story import Story, shown_frames
from tests.serving.conftest import Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit

TWO_SHOTS = [SHOOT, TURN, TURN, SHOOT, TURN, TURN]


@pytest.fixture
def live(studio: Studio) -> LiveStory:
    live = studio.begin()
    apply(studio, live, TWO_SHOTS)
    return live


def points(live: LiveStory) -> list[tuple[int, int | None]]:
    return [(card.in_frame, card.out_frame) for card in live.snapshot.shots]


def test_a_trim_changes_nothing_but_what_is_shown(studio: Studio, live: LiveStory) -> None:
    before = live.snapshot
    assert isinstance(studio.send(live, type="trim", shot=0, in_frame=2, out_frame=5), Receipt)
    assert points(live) == [(2, 5), (0, None)]
    assert live.snapshot.memory == before.memory
    assert [card.state for card in live.snapshot.shots] == ["done", "done"]
    assert len(StoryFilm.of(studio.store, live.story).shots[0].timeline.shown) == 4
    assert studio.store.snapshot(live.story) == live.snapshot


def test_trims_are_undone_one_after_the_other(studio: Studio, live: LiveStory) -> None:
    studio.send(live, type="trim", shot=0, in_frame=2)
    studio.send(live, type="trim", shot=1, in_frame=3)
    studio.send(live, type="delete", shot=1)
    studio.send(live, type="undo")
    assert points(live) == [(2, None), (3, None)]
    studio.send(live, type="undo")
    studio.send(live, type="undo")
    assert points(live) == [(0, None), (0, None)]
    refused = studio.send(live, type="undo")
    assert isinstance(refused, Refused)
    assert refused.message.startswith("there is nothing to undo")


def test_while_a_shot_runs_an_undo_takes_back_what_was_done_last(studio: Studio, live: LiveStory) -> None:
    studio.send(live, **SHOOT)
    studio.send(live, type="trim", shot=0, in_frame=2)
    studio.send(live, type="replan", from_shot=3, shots=[{"prompt": "sleeps"}])
    studio.send(live, type="trim", shot=1, in_frame=3)
    studio.send(live, type="undo")
    assert points(live)[:2] == [(2, None), (0, None)]
    studio.send(live, type="undo")
    assert [card.state for card in live.snapshot.shots] == ["done", "done", "queued"]
    assert points(live)[:2] == [(2, None), (0, None)]
    studio.send(live, type="undo")
    assert points(live)[:2] == [(0, None), (0, None)]


def test_every_take_has_its_own_points(studio: Studio, live: LiveStory) -> None:
    studio.send(live, type="trim", shot=1, in_frame=3)
    apply(studio, live, [{"type": "retake", "shot": 1}, TURN, TURN], start=50)
    assert points(live)[1] == (0, None)
    studio.send(live, type="choose", shot=1, take=0)
    assert points(live)[1] == (3, None)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"shot": 5}, "there is no shot 6"),
        ({"shot": 0, "in_frame": 500}, "shot 1 has no frame 500; its last frame is"),
        ({"shot": 0, "out_frame": 500}, "shot 1 has no frame 500; its last frame is"),
    ],
)
def test_points_that_are_not_there_are_refused(studio: Studio, live, fields: dict, why: str) -> None:
    refused = studio.send(live, type="trim", **fields)
    assert isinstance(refused, Refused)
    assert refused.message.startswith(why)


def test_the_running_shot_and_a_deleted_one_are_not_trimmed(studio: Studio, live: LiveStory) -> None:
    studio.send(live, type="delete", shot=0)
    assert "bring it back first" in studio.send(live, type="trim", shot=0, in_frame=1).message  # type: ignore[union-attr]
    apply(studio, live, [SHOOT, TURN], start=60)
    assert "running" in studio.send(live, type="trim", shot=2, in_frame=1).message  # type: ignore[union-attr]


def test_a_story_file_and_a_branch_have_the_points(studio: Studio, live: LiveStory, tmp_path) -> None:
    studio.send(live, type="trim", shot=0, in_frame=2, out_frame=5)
    film = StoryFilm.of(studio.store, live.story)
    (tmp_path / "story.yaml").write_text(film.yaml)
    shots = Story.read(tmp_path / "story.yaml").shots
    assert [(shot.in_frame, shot.out_frame) for shot in shots] == [(2, 5), (None, None)]
    branch = studio.send(live, type="branch", shot=1)
    assert isinstance(branch, Receipt)
    assert branch.story
    assert points(studio.open(branch.story)) == [(2, 5), (0, None)]


def test_a_shot_can_be_ordered_trimmed(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [{**SHOOT, "in_frame": 2, "out_frame": 99}, TURN, TURN])
    assert points(live) == [(2, 99)]
    shown = StoryFilm.of(studio.store, live.story).shots[0].timeline.shown
    assert (shown.start, shown.stop) == (2, live.snapshot.shots[0].frames)


def test_what_is_shown_is_never_nothing() -> None:
    assert list(shown_frames(5, 1, 3)) == [1, 2, 3]
    assert list(shown_frames(5)) == [0, 1, 2, 3, 4]
    assert list(shown_frames(3, 7, 9)) == [2]
    assert list(shown_frames(0)) == []
