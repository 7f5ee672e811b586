from __future__ import annotations

import pytest

from shotstream.serving.served_model import ServedModel
from shotstream.world import vocabulary

pytestmark = pytest.mark.unit


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
