"""A story once more, which goes its own way."""

from __future__ import annotations

import pytest

from shotstream.media.sounds import read_sound
from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.storage import rows
from shotstream.serving.storage.catalogue import Catalogue
from shotstream.serving.storage.integrity import check_library
from shotstream.serving.storage.stored import NoStory, Swept
from tests.media.tones import tone
from tests.serving.conftest import Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit

TWO_SHOTS = [SHOOT, TURN, TURN, {"type": "trim", "shot": 0, "in_frame": 2}, {**SHOOT, "prompt": "sleeps"}]


def test_a_duplicate_is_the_same_story_and_goes_its_own_way(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*TWO_SHOTS, TURN, TURN])
    copy = studio.open(studio.store.duplicate(live.story, "Another"))
    assert copy.snapshot == live.snapshot
    assert studio.store.summary(copy.story).title == "Another"
    one, two = (StoryFilm.of(studio.store, story) for story in (live.story, copy.story))
    for mine, other in zip(one.shots, two.shots, strict=True):
        assert all(a.latents().equal(b.latents()) for a, b in zip(mine.chunks, other.chunks, strict=True))
    studio.send(copy, type="delete", shot=1)
    apply(studio, copy, [SHOOT, TURN, TURN], start=90)
    assert [card.prompt for card in live.snapshot.shots] == ["runs", "sleeps"]
    assert check_library(studio.store) == []
    assert studio.store.sweep() == Swept()


def test_the_first_story_can_be_deleted_for_good(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*TWO_SHOTS, TURN, TURN])
    copy = studio.store.duplicate(live.story, "Another")
    studio.store.delete(live.story)
    with pytest.raises(NoStory, match="bring it back first"):
        studio.store.duplicate(live.story, "A third")
    studio.store.forget(live.story)
    assert studio.open(copy).snapshot.shots == live.snapshot.shots
    assert check_library(studio.store) == []


def test_a_duplicate_of_a_branch_shares_what_the_branch_does(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [*TWO_SHOTS, TURN, TURN])
    branch = studio.send(live, type="branch", shot=0).story  # type: ignore[union-attr]
    assert branch
    copy = studio.open(studio.store.duplicate(branch, ""))
    assert copy.snapshot == studio.open(branch).snapshot


def test_a_duplicate_whose_database_is_lost_can_be_taken_in(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN])
    copy = studio.store.duplicate(live.story, "Another")
    before = studio.store.load(copy)
    with studio.store._transaction() as connection:
        rows.remove_story(connection, copy)
    assert studio.store.adopt(copy) == len(before.entries)
    assert studio.store.load(copy).entries == before.entries


def test_sounds_go_along_and_can_be_taken_in_again(studio: Studio, tmp_path) -> None:
    live = studio.begin()
    (tmp_path / "rain").write_bytes(tone(seconds=0.2))
    facts = read_sound(tmp_path / "rain", most_seconds=1)
    sound = studio.store.add_sound(live.story, tone(seconds=0.2), "rain.wav", facts).sound
    apply(studio, live, [{"type": "sound", "sound": sound, "gain_db": -3.0}, SHOOT, TURN, TURN])
    copy = studio.store.duplicate(live.story, "Another")
    studio.store.delete(live.story)
    studio.store.forget(live.story)
    assert studio.store.snapshot(copy).sounds == live.snapshot.sounds
    with studio.store._transaction() as connection:
        rows.remove_story(connection, copy)
    assert [fault.kind for fault in check_library(studio.store)] == ["unknown folder"]
    studio.store.adopt(copy)
    assert studio.open(copy).snapshot.sounds == live.snapshot.sounds
    found = studio.store.find_sound(copy, sound)
    assert found
    assert found.path.read_bytes() == tone(seconds=0.2)
    assert check_library(studio.store) == []


def test_stories_are_found_by_their_words(studio: Studio) -> None:
    live = studio.begin("a fox in a Café")
    apply(studio, live, [{**SHOOT, "prompt": "sleeps ünder 100% snow"}, TURN])
    other = studio.begin("an owl")
    studio.store.rename(other.story, "The Night_owl")
    catalogue = Catalogue(studio.store)

    def found(search: str) -> set[str]:
        return {listed.summary.id for listed in catalogue.page(10, search=search)[0]}

    assert found("") == {live.story, other.story}
    for words in ("FOX", "café", "snow fox", "ünder", "100%"):
        assert found(words) == {live.story}
    assert found("night_OWL") == {other.story}
    assert found("nightXowl") == found("fox owl") == found('"prompt"') == set()
