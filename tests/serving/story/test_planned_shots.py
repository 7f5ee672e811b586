"""Planned shots: skipped ones, and those with pictures, LoRAs and lengths of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shotstream.serving.protocol.events import Receipt, Refused
from shotstream.serving.protocol.states import State
from tests.serving.conftest import FOX, Studio
from tests.serving.random_commands import SHOOT
from tests.serving.told_again import assert_told_again
from tests.streaming.random_lora import write_lora

pytestmark = pytest.mark.law

RUNS, SLEEPS, CAT = ({"prompt": prompt, "chunks": 1} for prompt in ("runs", "sleeps", "a cat"))


def board(live) -> list[tuple[str, str]]:
    return [(card.prompt, card.state) for card in live.snapshot.shots]


def test_a_skipped_shot_is_passed_over_and_stays(studio: Studio, make_studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[RUNS, SLEEPS | {"skipped": True}, CAT])
    assert board(live) == [("runs", "queued"), ("sleeps", "skipped"), ("a cat", "queued")]
    studio.run()
    assert board(live) == [("runs", "done"), ("a cat", "done"), ("sleeps", "skipped")]
    assert live.snapshot.state is State.IDLE
    again = make_studio(studio.store.copy())
    assert again.open(live.story).snapshot == live.snapshot


def test_a_skipped_shot_is_taken_back_in(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[RUNS, SLEEPS | {"skipped": True}])
    studio.run()
    assert isinstance(studio.send(live, type="replan", from_shot=1, shots=[SLEEPS]), Receipt)
    studio.run()
    assert board(live) == [("runs", "done"), ("sleeps", "done")]


def test_skipped_shots_are_changed_while_no_shot_runs(studio: Studio, make_studio) -> None:
    """Nothing begins by it, and it is undone."""
    live = studio.begin()
    skipped = [SLEEPS | {"skipped": True}, CAT | {"skipped": True}]
    studio.send(live, type="replan", from_shot=0, shots=skipped)
    assert board(live) == [("sleeps", "skipped"), ("a cat", "skipped")]
    studio.send(live, type="replan", from_shot=0, shots=skipped[::-1])
    studio.send(live, type="delete", shot=0)
    assert board(live) == [("sleeps", "skipped")]
    studio.send(live, type="undo")
    studio.send(live, type="undo")
    assert board(live) == [("sleeps", "skipped"), ("a cat", "skipped")]
    studio.send(live, type="replan", from_shot=0, shots=[])
    assert (board(live), live.snapshot.state) == ([], State.IDLE)
    assert make_studio(studio.store.copy()).open(live.story).snapshot == live.snapshot


def test_an_undo_begins_no_shot(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[RUNS, SLEEPS])
    studio.send(live, type="replan", from_shot=1, shots=[SLEEPS | {"skipped": True}])
    studio.run()
    assert isinstance(studio.send(live, type="undo"), Refused)
    assert board(live) == [("runs", "done"), ("sleeps", "skipped")]


def test_a_new_shot_comes_before_what_is_skipped_and_a_stop_leaves_it(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[SLEEPS | {"skipped": True}])
    studio.send(live, **SHOOT)
    assert board(live) == [("runs", "queued"), ("sleeps", "skipped")]
    answer = studio.send(live, **{**SHOOT, "prompt": "a cat"}, after=True)
    assert isinstance(answer, Receipt)
    assert answer.applies_from
    assert answer.applies_from.shot == 1
    studio.run(1)
    studio.send(live, type="stop")
    assert board(live) == [("runs", "done"), ("sleeps", "skipped")]


def test_a_planned_shot_brings_its_pictures(pipeline, studio: Studio, make_studio, tmp_path) -> None:
    live = studio.begin()
    pictured = SLEEPS | {"references": [{"upload": FOX, "prompt": "a fox"}]}
    studio.send(live, type="replan", from_shot=0, shots=[RUNS, pictured, CAT])
    assert [len(card.references) for card in live.snapshot.shots] == [0, 1, 0]
    studio.run()
    made_from = [record.made_from for record in live.director.session.script]
    assert [len(source.references) for source in made_from if source] == [0, 1, 1]
    again = make_studio(studio.store.copy()).open(live.story)
    assert again.snapshot == live.snapshot
    script = assert_told_again(pipeline, studio, live.story, tmp_path)
    assert [len(shot.references or ()) for shot in script.shots] == [0, 1, 0]


def test_a_kill_before_the_first_chunk_loses_no_picture(studio: Studio, make_studio) -> None:
    live = studio.begin()
    pictured = SLEEPS | {"references": [{"upload": FOX}]}
    studio.send(live, type="replan", from_shot=0, shots=[pictured])
    resumed = make_studio(studio.store.copy())
    other = resumed.open(live.story)
    for each, story in ((studio, live), (resumed, other)):
        each.run()
        (record,) = story.director.session.script
        assert record.made_from
        assert len(record.made_from.references) == 1
    assert resumed.viewer(other).film() == studio.viewer(live).film()


def test_a_picture_that_was_not_sent_is_refused(studio: Studio) -> None:
    live = studio.begin()
    answer = studio.send(
        live, type="replan", from_shot=0, shots=[RUNS, SLEEPS | {"references": [{"upload": "none"}]}]
    )
    assert isinstance(answer, Refused)
    assert (answer.code, board(live)) == ("not_found", [])


def test_a_planned_shot_has_its_lora(pipeline, studio: Studio, make_studio, tmp_path: Path) -> None:
    style = write_lora(tmp_path / "style.safetensors", pipeline.transformer)
    try:
        pipeline.load_lora_weights(style)
        pipeline.set_adapters([])
        live = studio.begin()
        shots = [RUNS, RUNS | {"lora": ["style:0.5"]}, RUNS]
        studio.send(live, type="replan", from_shot=0, shots=shots)
        assert [card.lora for card in live.snapshot.shots] == [None, ["style:0.5"], None]
        studio.run()
        assert [card.lora for card in live.snapshot.shots] == [None, ["style:0.5"], None]
        answer = studio.send(live, type="shoot", prompt="runs", lora=["other"])
        assert isinstance(answer, Refused)
        assert "other" in answer.message
        again = make_studio(studio.store.copy())
        assert again.open(live.story).snapshot == live.snapshot
        first, second, _ = [chunk.frames for chunk in studio.viewer(live).chunks]
        assert not np.array_equal(first, second)
        script = assert_told_again(pipeline, studio, live.story, tmp_path)
        assert [shot.lora for shot in script.shots] == [[], ["style:0.5"], []]
    finally:
        pipeline.unload_lora_weights()
