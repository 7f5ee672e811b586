"""The story file of a director story tells the same film again, whatever was director."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.storage.stored import MadeWith, StoreError
from tests.serving import conftest
from tests.serving.conftest import FOX, Studio, studios
from tests.serving.random_commands import OPENING, SHOOT, TURN, apply, half_seen
from tests.serving.told_again import assert_told_again

pytestmark = pytest.mark.unit


def test_retakes_redirects_pins_and_references_are_told_again(pipeline, studio: Studio, tmp_path) -> None:
    live = studio.begin()
    director = [
        {"type": "reference", "upload": FOX, "prompt": "a fox"},
        *(SHOOT, TURN, {"type": "redirect", "prompt": "sleeps"}, TURN),
        *(SHOOT, TURN, TURN),
        {"type": "pin", "shot": 0, "frame": 3},
        *({"type": "retake", "shot": 1, "seed": 2}, TURN, TURN),
        *({"type": "retake", "shot": 1}, TURN, TURN),
        {"type": "choose", "shot": 1, "take": 1},
        *(SHOOT, TURN, TURN),
        *({"type": "retake", "shot": 0}, TURN, TURN),
    ]
    apply(studio, live, director)
    script = assert_told_again(pipeline, studio, live.story, tmp_path)
    assert [(shot.take, shot.seed) for shot in script.shots] == [(1, None), (1, 2), (0, None)]
    assert [(shot.number, shot.take) for shot in script.outtakes] == [(0, 0)], "later shots remember it"
    assert [redirect.prompt for redirect in script.outtakes[0].redirects] == ["sleeps"]
    assert script.references[0].picture.endswith(f"reference-{FOX}.png")


def test_undoing_a_change_of_the_queue_brings_no_shot_back(pipeline, studio: Studio, tmp_path) -> None:
    live = studio.begin()
    waits = {**SHOOT, "after": True}
    plan = {"type": "replan", "from_shot": 2, "shots": [{"prompt": "sleeps", "chunks": 2}]}
    deletion = {"type": "delete", "shot": 1}
    apply(
        studio, live, [SHOOT, TURN, TURN, SHOOT, TURN, TURN, deletion, SHOOT, waits, plan, {"type": "undo"}]
    )
    apply(studio, live, [TURN] * 4)
    assert_told_again(pipeline, studio, live.story, tmp_path)


@settings(max_examples=6, deadline=None)
@given(half_seen)
def test_whatever_is_directed_is_told_again(pipeline, tmp_path_factory, steps: list[dict]) -> None:
    """Branches too; what was put aside is not."""
    with studios(pipeline) as make_studio:
        studio = make_studio(shot_seconds=5.0)
        live = studio.begin()
        apply(studio, live, steps)
        for story in [story.id for story in studio.store.stories()]:
            if any(card.chunks and card.state != "deleted" for card in studio.store.snapshot(story).shots):
                assert_told_again(pipeline, studio, story, tmp_path_factory.mktemp("story"))


@pytest.mark.parametrize("rule", ["words", "spread"])
def test_what_a_rule_by_words_remembered_is_told_again_by_any(pipeline, tmp_path, monkeypatch, rule) -> None:
    monkeypatch.setattr(conftest, "MADE_WITH", MadeWith("tiny memory=words", 16, 16, 8.0))
    pipeline.register_to_config(memory_rule="words")
    try:
        with studios(pipeline) as make_studio:
            studio = make_studio(shot_seconds=5.0)
            live = studio.begin()
            prompts = ("fox runs", "cat runs", "fox sleeps", "cat sleeps")
            shoots = ({"type": "shoot", "prompt": prompt, "chunks": 1} for prompt in prompts)
            apply(studio, live, [step for shoot in shoots for step in (shoot, TURN)])
            remembered = live.director.session.script[3].made_from.context
            pipeline.register_to_config(memory_rule=rule)
            script = assert_told_again(pipeline, studio, live.story, tmp_path)
    finally:
        pipeline.register_to_config(memory_rule="spread")
    assert [sum(key.shot == shot for key in remembered) for shot in range(3)] != [2, 2, 2]
    assert [(frame.shot, frame.frame) for frame in script.shots[3].remembers] == [
        (key.shot, key.frame) for key in remembered
    ]


def test_a_missing_picture_is_said(studio: Studio, tmp_path) -> None:
    live = studio.begin()
    apply(studio, live, [{"type": "reference", "upload": FOX}, *OPENING])
    studio.store.picture_file(FOX).unlink()
    with pytest.raises(StoreError, match=rf"{FOX}\.png is missing"):
        StoryFilm.of(studio.store, live.story).write_story(tmp_path / "story.zip")
