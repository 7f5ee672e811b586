"""The cast sheet, the setting and the person's own words belong to the story: kept, undone, told again."""

from __future__ import annotations

import pytest

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.commands import SheetCharacter
from shotstream.serving.protocol.events import Receipt, Refused
from shotstream.serving.storage.stored import StoreError
from tests.serving.conftest import FOX, Studio
from tests.serving.random_commands import SHOOT, TURN, apply

pytestmark = pytest.mark.unit

ROSIE = {"name": "Rosie", "description": "a little red fox", "pictures": [FOX]}
BOB = {"name": "Bob"}


def test_a_cast_sheet_is_kept_and_undone(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="cast", cast=[ROSIE])
    studio.send(live, type="cast", cast=[ROSIE, BOB])
    assert [one.name for one in live.snapshot.cast] == ["Rosie", "Bob"]
    assert studio.store.snapshot(live.story) == live.snapshot
    studio.send(live, type="undo")
    assert live.snapshot.cast == [SheetCharacter.model_validate(ROSIE)]
    studio.send(live, type="undo")
    assert live.snapshot.cast == []
    assert studio.store.snapshot(live.story).cast == []


def test_it_changes_no_shot_and_goes_along_with_branches_copies_and_files(studio: Studio) -> None:
    live = studio.begin()
    apply(studio, live, [SHOOT, TURN, TURN])
    shots = live.snapshot.shots
    studio.send(live, type="cast", cast=[ROSIE])
    assert live.snapshot.shots == shots
    receipt = studio.send(live, type="branch", shot=0)
    assert isinstance(receipt, Receipt)
    assert receipt.story
    for story in (receipt.story, studio.store.duplicate(live.story, "again")):
        assert [one.name for one in studio.store.snapshot(story).cast] == ["Rosie"]
    film = StoryFilm.of(studio.store, live.story)
    (character,) = film.story.cast
    assert (character.name, character.description) == ("Rosie", "a little red fox")
    assert set(character.pictures) == film.story.picture_names
    assert '"cast"' in film.json


def test_its_pictures_are_kept(studio: Studio) -> None:
    studio.send(studio.begin(), type="cast", cast=[ROSIE])
    with pytest.raises(StoreError, match="a story uses the picture"):
        studio.store.remove_picture(FOX)


def test_nobody_is_there_twice(studio: Studio) -> None:
    with pytest.raises(ValueError, match="has 'bob' twice; give everybody a name of their own"):
        studio.send(studio.begin(), type="cast", cast=[BOB, {"name": "BOB"}])


def test_the_setting_changes_until_a_shot_has_begun(studio: Studio) -> None:
    live, other = studio.begin("a fox"), studio.begin("a cat")
    for story in (live, other):
        studio.send(story, type="setting", setting="a red fox")
        assert story.snapshot.setting == "a red fox"
        assert studio.store.snapshot(story.story).setting == "a red fox"
        apply(studio, story, [SHOOT, TURN])
    assert studio.viewer(live).film() == studio.viewer(other).film()
    refused = studio.send(live, type="setting", setting="a blue fox")
    assert isinstance(refused, Refused)
    assert refused.message == "the setting goes with every shot, and a shot has begun; begin another story"
    apply(studio, live, [TURN])
    studio.send(live, type="delete", shot=0)
    assert isinstance(studio.send(live, type="setting", setting="a blue fox"), Refused)


def test_own_words_stay_beside_what_is_told(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="the fox runs", written="it is running", chunks=2)
    apply(studio, live, [TURN, TURN])
    assert [(card.prompt, card.written) for card in live.snapshot.shots] == [
        ("the fox runs", "it is running")
    ]
    studio.send(live, type="edit", shot=0, prompt="the fox sleeps", written="it naps")
    assert live.snapshot.shots[0].written == "it naps"
    studio.send(live, type="edit", shot=0, prompt="the fox sits")
    assert live.snapshot.shots[0].written is None
    studio.send(live, type="retake", shot=0, prompt="the fox dances", written="dance!", seed=4)
    apply(studio, live, [TURN, TURN])
    assert (live.snapshot.shots[0].prompt, live.snapshot.shots[0].written) == ("the fox dances", "dance!")
    shots = [{"prompt": "the fox sits down", "written": "sit"}]
    studio.send(live, type="shoot", prompt="the fox runs on", chunks=2)
    studio.send(live, type="replan", from_shot=2, shots=shots)
    assert live.snapshot.shots[2].written == "sit"
    assert studio.store.snapshot(live.story) == live.snapshot


def test_a_story_that_is_told_again_has_all_of_it(studio: Studio) -> None:
    live = studio.begin("a cat")
    studio.send(live, type="setting", setting="a fox")
    studio.send(live, type="cast", cast=[ROSIE])
    studio.send(live, type="shoot", prompt="the fox runs", written="it is running", chunks=2)
    apply(studio, live, [TURN, TURN])
    studio.send(live, type="cast", cast=[])
    studio.send(live, type="undo")
    before, film = live.snapshot, studio.viewer(live).film()
    studio.engine.let_go(live.story)
    studio.engine._do_job()
    again = studio.open(live.story)
    assert again.snapshot == before
    assert studio.viewer(again).film() == film
