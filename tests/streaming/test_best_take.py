"""Of several takes the best stands, and everything else is as if it had been the only one."""

from __future__ import annotations

import json
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pytest

from shotstream import BestTakes, TakeRule
from shotstream.media.story_folder import StoryFolder
from shotstream.story import Story
from shotstream.streaming.story_writer import StoryWriter

pytestmark = pytest.mark.unit


class Score(NamedTuple):
    score: float
    reasons: tuple[str, ...] = ()

    def as_json(self):
        return {"score": self.score, "reasons": list(self.reasons)}


class Evenness:
    """A meter whose scores are as good as random: no take is the best by its number."""

    def __init__(self):
        self.compared = []

    def look(self, frames, chunk_starts):
        return float(frames.astype(float).mean()) * 1013 % 1

    def compare(self, look, before, setting, prompts):
        assert len(prompts) == len(before) + 1
        self.compared.append((list(before), list(prompts)))
        return Score(look, (f"It is {look:.3f}.",))


STORY = {
    "setting": "a red fox",
    "seed": 5,
    "shots": [
        {"prompt": "runs", "chunks": 2, "redirects": [{"chunk": 1, "prompt": "sleeps"}]},
        {"prompt": "sleeps", "chunks": 1, "pins": [{"shot": 0, "frame": 7}]},
        {"prompt": "at night", "chunks": 1},
    ],
}
RULE = TakeRule(takes=3)


def frames(chunks):
    return np.concatenate([chunk.frames for chunk in chunks])


@pytest.mark.parametrize(
    ("rule", "scores", "more"),
    [
        (TakeRule(1), [0.1], False),
        (TakeRule(3), [0.9, 0.9], True),
        (TakeRule(3), [0.1, 0.1, 0.1], False),
        (TakeRule(1, 0.5, 3), [0.5], False),
        (TakeRule(1, 0.5, 3), [0.4, 0.3], True),
        (TakeRule(1, 0.5, 3), [0.4, 0.3, 0.2], False),
        (TakeRule(3, 0.5, 2), [0.9, 0.9], True),
    ],
)
def test_how_many_takes_are_made(rule, scores, more):
    assert rule.wants_more(scores) == more


@pytest.mark.parametrize("wrong", [{"takes": 0}, {"most_takes": 0}, {"min_score": 1.5}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        TakeRule(**wrong)


def test_the_best_take_stands_and_later_shots_are_made_from_it(pipeline):
    session, meter, seen = pipeline.open("a red fox", seed=3), Evenness(), []
    best = BestTakes(session, meter, RULE, seen.append)
    told = [best.shoot(prompt, chunks=1) for prompt in ("runs", "sleeps", "at night")]
    chosen = [best.reports[shot]["chosen"] for shot in range(3)]
    assert [[take["take"] for take in best.reports[shot]["takes"]] for shot in range(3)] == [[0, 1, 2]] * 3
    for shot in range(3):
        scores = [take["score"] for take in best.reports[shot]["takes"]]
        assert len(set(scores)) == 3
        assert chosen[shot] == scores.index(max(scores)) == session.script[shot].take
    assert set(chosen) != {2}, "going back is tried"
    assert len(seen) == 9

    alone = pipeline.open("a red fox", seed=3)
    for shot, prompt in enumerate(("runs", "sleeps", "at night")):
        alone.cut(prompt, chunks=1, take=chosen[shot])
        assert np.array_equal(frames(iter(alone.next_chunk, None)), frames(told[shot]))
    before, prompts = meter.compared[-1]
    assert before == [meter.look(frames(shot), ()) for shot in told[:2]]
    assert prompts == ["runs", "sleeps", "at night"]


def test_of_equal_takes_the_first_stands(pipeline):
    class Same(Evenness):
        def look(self, frames, chunk_starts):
            return 0.5

    session = pipeline.open("a red fox", seed=3)
    BestTakes(session, Same(), RULE).shoot("runs", chunks=1)
    assert session.script[0].take == 0


def test_shots_that_were_told_otherwise_are_known_by_what_is_remembered(pipeline):
    session, meter = pipeline.open("a red fox", seed=3), Evenness()
    list(session.shoot("runs", chunks=2))
    BestTakes(session, meter, TakeRule(takes=1)).shoot("sleeps", chunks=1)
    (before, prompts) = meter.compared[-1]
    kept = np.stack([frame.pixels for frame in session.context.frames if frame.shot == 0])
    assert before == [meter.look(kept, ())]
    assert prompts == ["runs", "sleeps"]


def write(pipeline, place, stop_after=None, rule=RULE):
    """Tell the story into a folder; stop like Ctrl-C after so many chunks of takes or of the film."""
    left = [stop_after]

    def count(chunk=None):
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

    story = Story.model_validate(STORY)
    try:
        with StoryFolder(place, story, {"takes": rule.takes}) as folder:
            writer = StoryWriter(pipeline, story, folder, meter=Evenness(), rule=rule, on_take=count)
            with closing(writer.chunks()) as chunks:
                for _ in chunks:
                    count()
    except KeyboardInterrupt:
        return None
    return json.loads((place / "story.json").read_text())


def films(place):
    return {path.name: path.read_bytes() for path in place.rglob("*.mp4")}


@pytest.fixture(scope="module")
def whole(pipeline, tmp_path_factory):
    place = tmp_path_factory.mktemp("takes") / "whole"
    return place, write(pipeline, place)


def test_the_report_is_in_the_record(whole):
    _, record = whole
    assert [entry["shot"] for entry in record["takes"]] == [1, 2, 3]
    assert [entry["chosen"] for entry in record["takes"]] == [shot["take"] for shot in record["shots"]]
    assert all(len(entry["takes"]) == 3 for entry in record["takes"])
    assert record["takes"][0]["takes"][1]["reasons"][0].startswith("It is 0.")


def test_it_is_the_film_of_a_story_that_names_these_takes(pipeline, whole, tmp_path):
    place, record = whole
    shots = [
        {**shot, "take": entry["chosen"]} for shot, entry in zip(STORY["shots"], record["takes"], strict=True)
    ]
    story = Story.model_validate({**STORY, "shots": shots})
    with StoryFolder(tmp_path, story) as folder:
        list(StoryWriter(pipeline, story, folder).chunks())
    assert films(tmp_path) == films(place)


@pytest.mark.parametrize("stop_after", [0, 3, 6, 7, 9, 12])
def test_a_run_that_was_stopped_goes_on_to_the_same_film_and_report(pipeline, whole, tmp_path, stop_after):
    place, record = whole
    assert write(pipeline, tmp_path / "out", stop_after) is None
    made = list(tmp_path.glob("out/latents/**/*.safetensors"))
    assert bool(made)
    resumed = write(pipeline, tmp_path / "out")
    assert films(tmp_path / "out") == films(place)
    assert resumed["takes"] == record["takes"]
    assert not (tmp_path / "out" / "latents").exists()


def test_takes_that_were_made_are_not_made_again(pipeline, tmp_path, monkeypatch):
    assert write(pipeline, tmp_path, 5) is None  # five chunks of takes are kept, of which none is chosen
    seen = []
    denoise = type(pipeline.open("a")._generator).denoise

    def count(generator, take, known=None):
        seen.append(known is None)
        return denoise(generator, take, known)

    monkeypatch.setattr("shotstream.streaming.shot_generator.ShotGenerator.denoise", count)
    write(pipeline, tmp_path)
    assert sum(seen) == 12 - 6  # the sixth was made, too, and kept before it was shown
