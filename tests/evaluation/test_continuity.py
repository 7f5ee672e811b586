"""Continuity of shots whose pictures are made up, and of drawn ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from shotstream.evaluation.continuity import (
    WEIGHTS,
    ContinuityMeter,
    measure_story,
    over_the_story,
)
from shotstream.evaluation.continuity_tools import find_meter
from shotstream.evaluation.judged_film import drawn
from shotstream.evaluation.judging import load_judge, locate_judge
from shotstream.evaluation.shot_look import look_at
from shotstream.evaluation.suites import held_out
from shotstream.world.judge import NOBODY, QUESTIONS, UNCLEAR, true_answers
from shotstream.world.told_attributes import told_attributes

pytestmark = pytest.mark.unit

SETTING = "A red cat with a crown and a blue bear with a scarf are on a beach at night."
PROMPTS = [
    "Wide shot of the cat and the bear walking.",
    "Close up of the bear waving.",
    "Medium shot of the cat.",
]
STORY = told_attributes(SETTING, PROMPTS)
METER = ContinuityMeter()


def sure(answers):
    """A reading without any doubt."""
    return {
        question: {answer: float(answers.get(question) == answer) for answer in possible}
        for question, possible in QUESTIONS.items()
    }


def truth(shot):
    return true_answers(STORY, shot)


def noise(frames=24, seed=0, level=128):
    """Frames in which little moves, of one colour for one seed."""
    random = np.random.default_rng(seed)
    colour = random.integers(0, 255, 3)
    base = np.full((1, 64, 96, 3), colour) + random.integers(-20, 20, (1, 64, 96, 3))
    return (base + random.integers(-3, 4, (frames, 1, 1, 1))).clip(0, 255).astype(np.uint8)


def look(answers, seed=0, **changes):
    reading = sure(answers)
    seen = look_at(noise(seed=seed))
    return replace(seen, **{"reading": reading, "beginning": reading, "end": reading, **changes})


def compare(answers, shot=1, prompts=PROMPTS, **changes):
    before = [look(truth(number), seed=number) for number in range(shot)]
    return METER.compare(look(answers, seed=shot, **changes), before, SETTING, prompts[: shot + 1])


@pytest.mark.parametrize("shot", range(3))
def test_a_shot_that_keeps_everything_scores_one(shot):
    found = compare(truth(shot), shot)
    assert found.score == pytest.approx(1)
    assert found.reasons == found.not_measured == ()
    assert found.parts.keys() == {"kept", "cut", "drift"}  # a shot of one chunk has no border


LOST = {
    "kind": ({"first kind": "fox"}, "The blue bear looks like a fox."),
    "melted": ({"first kind": UNCLEAR}, "The blue bear of shot 1 cannot be made out."),
    "colour": ({"first colour": "green"}, "The blue bear is green here."),
    "gone": ({"first accessory": "none"}, "The scarf of shot 1 is gone (the blue bear)."),
    "other": ({"first accessory": "crown"}, "The blue bear wears a crown instead of a scarf."),
    "tint": (
        {"first accessory_colour": "black"},
        "What the blue bear wears was white in shot 1 and is black here.",
    ),
    "pattern": (
        {"first pattern": "spots"},
        "The blue bear had a light belly in shot 1 and has spots here.",
    ),
    "place": ({"place": "city"}, "The place looks like a city, not like a beach."),
    "time": ({"time": "day"}, "The shot is by day, not at night."),
    "weather": ({"weather": "rain"}, "There is rain instead of a clear sky."),
    "landmark": ({"landmark": "lighthouse"}, "The palm of shot 1 has become a lighthouse."),
    "side": (
        {"side": "both"},
        "What stands in the place was on the left in shot 1 and is on both sides here.",
    ),
    "somebody": ({"second kind": "fox"}, "There is somebody whom the caption does not name."),
    "figures": ({"figures": "spoilt"}, "A figure is melted or blurred."),
}


@pytest.mark.parametrize(("change", "sentence"), LOST.values(), ids=LOST)
def test_what_is_lost_is_said_and_costs(change, sentence):
    found = compare(truth(1) | change)
    assert found.reasons == (sentence,)
    assert 0.5 < found.score < 0.98


def test_the_more_is_lost_the_lower_the_score_and_the_weightiest_comes_first():
    changes = [{}, {"side": "both"}, {"first accessory": "none"}, {"first kind": "fox"}]
    lost, scores = truth(1), []
    for change in changes:
        lost |= change
        found = compare(lost)
        scores.append(found.score)
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert found.reasons[0] == "The blue bear looks like a fox."


def test_of_somebody_who_is_not_there_nothing_else_is_said():
    gone = {f"second {name}": NOBODY for name in ("kind", "colour", "accessory", "pattern")}
    assert compare(truth(0) | gone, 0).reasons == ("The blue bear is not to be seen.",)


def test_a_judge_in_doubt_decides_little():
    doubtful = look(truth(1), seed=1)
    doubtful.reading["first kind"].update(bear=0.4, fox=0.35, cat=0.25)
    found = METER.compare(doubtful, [look(truth(0))], SETTING, PROMPTS[:2])
    assert found.reasons == ()
    assert 0.8 < found.score < 1


def test_two_characters_may_stand_either_way_round():
    answers = truth(0)
    swapped = {
        question.replace("first", "x").replace("second", "first").replace("x", "second"): answer
        for question, answer in answers.items()
    }
    assert compare(swapped, 0).score == pytest.approx(1)


def test_what_no_earlier_shot_showed_cannot_be_lost():
    first = compare(truth(0) | {"first pattern": "spots", "landmark": "lighthouse"}, 0)
    assert first.score == pytest.approx(1)


def test_a_change_inside_the_shot_is_drift():
    end = sure(truth(1) | {"first colour": "purple"})
    found = compare(truth(1), end=end)
    assert found.parts["drift"] < 1
    assert found.reasons == (
        "The colour of the blue bear changes inside the shot: blue at first, purple at its end.",
    )


def test_pictures_that_grow_darker_are_drift():
    frames = noise()
    light = np.linspace(1, 0.5, len(frames))[:, None, None, None]
    found = METER.compare(METER.look((frames * light).astype(np.uint8)), [], "", [""])
    assert "The picture becomes darker from the beginning of the shot to its end." in found.reasons
    assert found.parts["drift"] < 0.7


def test_a_missing_cut_and_one_too_many_are_said():
    one, other = noise(seed=0), noise(seed=1)
    goes_on = METER.compare(METER.look(one), [METER.look(one)], "", ["", ""])
    assert goes_on.reasons == ("No cut is to be seen between shot 1 and this one.",)
    cut_inside = METER.compare(METER.look(np.concatenate([one, other])), [], "", [""])
    assert "The picture cuts inside the shot, at frame 24, where nobody asked." in cut_inside.reasons


def test_a_jump_between_chunks_is_flicker():
    frames = noise()
    frames[12:] = (frames[12:].astype(int) + 40).clip(0, 255)
    found = METER.compare(METER.look(frames, [0, 6, 12]), [], "", [""])
    assert any("jumps where chunk 3 begins" in reason for reason in found.reasons)
    assert found.parts["flicker"] < 1
    steady = METER.compare(METER.look(noise(), [0, 6, 12]), [], "", [""])
    assert steady.parts["flicker"] == 1


def test_other_models_are_compared_by_features():
    class Colours:
        name = "mean colour"

        def __call__(self, frames):
            return torch.nn.functional.normalize(torch.tensor(frames.mean((1, 2))).float() - 128, dim=-1)

    meter = ContinuityMeter(extractor=Colours())
    looks = [meter.look(noise(seed=seed)) for seed in (0, 0, 3)]
    alike = meter.compare(looks[1], looks[:1], "A film.", ["", ""])
    unlike = meter.compare(looks[2], looks[:2], "A film.", ["", "", ""])
    assert alike.parts["likeness"] == 1 > unlike.parts["likeness"]
    assert any("unlike all earlier shots" in reason for reason in unlike.reasons)
    assert alike.not_measured == ()


def test_what_is_not_measured_is_said():
    found = METER.compare(METER.look(noise()), [], SETTING, PROMPTS[:1])
    assert found.not_measured == (
        "Who and what was kept was not measured: no judge and no features are at hand.",
    )
    nobody = METER.compare(look(truth(0)), [], "Rain.", ["Rain."])
    assert nobody.not_measured == (
        "Who and what was kept was not measured: the setting names no character with a colour, a place and "
        "a time of day.",
    )


def test_words_that_the_world_does_not_have_are_passed_over():
    prompts = [f"{prompt} Flamboyantly." for prompt in PROMPTS]
    assert compare(truth(1), prompts=prompts).score == pytest.approx(1)


def test_every_shot_needs_its_prompt():
    with pytest.raises(ValueError, match="2 shots were looked at and 1 prompts"):
        METER.compare(look(truth(1)), [look(truth(0))], SETTING, PROMPTS[:1])


def test_the_story_sums_up_its_shots():
    shots = [compare(truth(0), 0), compare(truth(1) | {"first kind": "fox"})]
    story = over_the_story(shots)
    assert story.score == pytest.approx((1 + shots[1].score) / 2)
    assert story.reasons == ("Shot 2: The blue bear looks like a fox.",)
    assert set(story.parts) <= set(WEIGHTS)
    assert story.as_json()["score"] == round(story.score, 3)


def test_the_shipped_judge_tells_a_story_from_another():
    films = [drawn(task.world) for task in held_out(2, shots=2)]
    meter = ContinuityMeter(load_judge(locate_judge()))
    own, other = films
    shots = measure_story(meter, own.shots, own.setting, own.prompts)
    wrong = measure_story(meter, [own.shots[0], other.shots[1]], own.setting, own.prompts)
    assert shots == measure_story(meter, own.shots, own.setting, own.prompts)  # the same again
    assert min(shot.score for shot in shots) > 0.7 > wrong[1].score


def test_a_model_of_the_drawn_world_gets_the_judge_and_others_features_or_a_reason(pipeline, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = find_meter(pipeline)  # knows words that the drawn world does not have
    assert other.judge is None
    assert other.extractor is not None or "facebook/dinov2" in other.why_none
    monkeypatch.setattr(type(pipeline), "known_words", lambda self: ["cat", "red", "night"])
    assert find_meter(pipeline).judge is not None
