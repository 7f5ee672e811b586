"""A deleted shot is nowhere in the film, and no retake brings it back unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.events import Refused
from shotstream.serving.story.command_limits import CommandLimits
from shotstream.serving.story.live_story import LiveStory
from tests.serving.conftest import Studio

pytestmark = pytest.mark.unit


@pytest.fixture
def follow_all(monkeypatch):
    """Let every command be followed: older journals have some that are refused by now."""
    with monkeypatch.context() as patch:
        patch.setattr(CommandLimits, "check", lambda *_: None)
        yield


def two_shots_the_first_deleted(studio: Studio) -> LiveStory:
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    studio.send(live, type="delete", shot=0)
    return live


def test_a_deleted_shot_is_not_retaken_before_it_is_brought_back(studio: Studio) -> None:
    live = two_shots_the_first_deleted(studio)
    for several in ({}, {"takes": 3}):
        refused = studio.send(live, type="retake", shot=0, **several)
        assert isinstance(refused, Refused)
        assert refused.code == "not_now"
        assert refused.message.startswith("that shot is deleted; choose one of its takes or undo")
    assert [card.state for card in live.snapshot.shots] == ["deleted", "stale"]
    studio.send(live, type="undo")
    assert studio.send(live, type="retake", shot=0).type == "receipt"
    assert [card.state for card in live.snapshot.shots] == ["queued", "done"]


@pytest.mark.usefixtures("follow_all")
def test_a_deleted_shot_is_nowhere_until_its_retake_has_a_chunk(
    studio: Studio, make_studio, tmp_path
) -> None:
    """As journals of older studios have it."""
    live = two_shots_the_first_deleted(studio)
    without = exports(studio, live, tmp_path)
    studio.send(live, type="retake", shot=0, takes=2)
    assert [card.state for card in live.snapshot.shots] == ["deleted", "stale"]
    assert exports(studio, live, tmp_path) == without
    assert make_studio(studio.store.copy()).open(live.story).snapshot == live.snapshot
    live.make_chunk()
    assert [card.state for card in live.snapshot.shots] == ["live", "stale"]
    film = StoryFilm.of(studio.store, live.story)
    assert [shot.prompt for shot in film.story.shots] == film.prompts == ["runs", "sleeps"]
    studio.send(live, type="cut")
    assert [card.state for card in live.snapshot.shots] == ["queued", "stale"], "the other take is to come"


def exports(studio: Studio, live: LiveStory, folder: Path) -> dict[str, str | bytes]:
    """All that is taken away of a story, but for its clips."""
    film = StoryFilm.of(studio.store, live.story)
    film.write_story(folder / "story.zip")
    texts = "timeline edl xml subtitles text markdown fountain table final_draft yaml json"
    return {"zip": (folder / "story.zip").read_bytes()} | {
        name: getattr(film, name) for name in texts.split()
    }
