from __future__ import annotations

import json
from pathlib import Path

import pytest

from shotstream.serving.served_model import ServedModel
from shotstream.world import vocabulary

pytestmark = pytest.mark.unit

SEEN = Path(__file__).parents[2] / "docs" / "results" / "chips_by_eye.json"


@pytest.fixture
def model(monkeypatch) -> ServedModel:
    """One that knows the whole drawn world."""
    monkeypatch.setattr(ServedModel, "words", property(lambda model: vocabulary.words()))
    return ServedModel(None, "mini", "0" * 64)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("setting", "hero"),
    [
        ("A purple robot with a scarf is in a forest at night.", "the robot"),
        ("In the snow lives a KITTEN and a fox.", "the kitten"),
        ("A catalogue of robots, by the sea.", None),
        ("", None),
    ],
)
def test_the_hero_is_whom_the_setting_names_first(model: ServedModel, setting: str, hero: str | None) -> None:
    assert model.hero(setting) == hero


def test_what_can_be_tried_names_the_hero(model: ServedModel) -> None:
    prompts, _ = model.examples("A purple robot is in a forest.")
    assert prompts[:2] == ["Wide shot. The robot stands still.", "Medium shot. The robot walks along."]
    assert len(prompts) == len(vocabulary.ACTIONS)
    assert {word for prompt in prompts for word in vocabulary.split_words(prompt)} <= set(vocabulary.words())


def test_without_a_hero_pieces_of_prompts_are_offered(model: ServedModel) -> None:
    prompts, settings = model.examples("Nobody, nowhere.")
    assert {"wide shot", "waves hello"} <= set(prompts)
    assert settings


def test_a_model_that_reads_any_word_has_no_names(monkeypatch) -> None:
    monkeypatch.setattr(ServedModel, "words", property(lambda model: None))
    model = ServedModel(None, "wan", "0" * 64)  # pyright: ignore[reportArgumentType]
    assert (list(model.names), model.hero("A robot.")) == ([], None)


def test_nothing_is_offered_that_nobody_could_see(model: ServedModel) -> None:
    prompts, settings = model.examples("A purple robot is in a forest.")
    assert not [told for told in prompts if told.startswith("Close up") and "sits" in told]
    assert not [told for told in settings if "crown" in told]
    assert len(settings) == 6


def test_what_was_looked_at_by_eye_is_what_is_offered(model: ServedModel) -> None:
    record = json.loads(SEEN.read_text())
    seen, settings = record["looked_at"], model.examples()[1]
    assert [one["setting"] for one in seen if one["offered"] == "setting"] == list(settings)
    ideas = {one["setting"]: [] for one in seen if one["offered"] == "idea"}
    for one in seen:
        assert one["prompt"] in model.examples(one["setting"])[0]
        if one["offered"] == "idea":
            ideas[one["setting"]].append(one["prompt"])
    assert len(ideas) == 2
    assert all(told == model.examples(setting)[0] for setting, told in ideas.items())
    right = sum(one["gives_what_it_says"] for one in seen)
    assert (record["right"], record["of"]) == (right, len(seen))
    page = SEEN.parents[1].joinpath("mini.md").read_text()
    assert f"{right} of {len(seen)} of the studio's examples and ideas give what they say" in page
