"""Each variant lacks what it says it lacks, and nothing else."""

import json

import numpy as np
import pytest
import torch

from shotstream.evaluation.judged_film import tell
from shotstream.evaluation.targets import against_teacher, over_a_long_story, reached
from shotstream.evaluation.variant_tables import BEGIN, END, insert
from shotstream.evaluation.variants import VARIANTS, build, first_frames, recent_frames
from shotstream.loading.folders import ModelError
from shotstream.story import Story

pytestmark = pytest.mark.system

STORY = Story(
    setting="a red fox in the snow", seed=3, shots=["the fox runs", "a blue cat sleeps", "the fox sleeps"]
)
BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.fixture(scope="module")
def weights(pipeline, tmp_path_factory):
    """Transformers of all stages: the student's own."""
    folder = tmp_path_factory.mktemp("variants")
    for stage in ("teacher", "causal-init", "intra-shot"):
        pipeline.transformer.save_pretrained(folder / stage)
    pipeline.transformer.save_pretrained(folder / "inter-shot-only" / "export" / "transformer")
    return folder


@pytest.fixture(scope="module")
def films(pipeline, weights):
    return {
        variant.name: tell(build(variant, pipeline, weights), STORY, telling=variant.telling)
        for variant in VARIANTS
    }


def same(film, other):
    return [np.array_equal(a, b) for a, b in zip(film.shots, other.shots, strict=True)]


def test_the_same_weights_give_the_same_film(films):
    for name in ("causal-init", "stage-3-only", "stage-4-only", "long"):
        assert same(films[name], films["student"]) == [True, True, True], name


def test_what_acts_on_memory_leaves_the_first_shot_alone(films):
    for name in ("one-caption", "first-frames", "recent-frames"):
        expected = [True, name != "one-caption", False]  # one earlier shot is all that rules can choose
        assert same(films[name], films["student"]) == expected, name


def test_without_memory_no_shot_depends_on_another(pipeline, films):
    assert same(films["no-memory"], films["student"]) == [True, False, False]
    changed = STORY.model_copy(update={"shots": [STORY.shots[1], *STORY.shots[1:]]})
    without = tell(pipeline, changed, telling=BY_NAME["no-memory"].telling)
    assert same(without, films["no-memory"]) == [False, True, True]
    assert same(tell(pipeline, changed), films["student"]) == [False, False, False]


def test_without_the_indicator_only_the_rotary_shift_is_gone(pipeline, weights, films):
    built = build(BY_NAME["no-indicator"], pipeline, weights)
    assert built.transformer.config["shot_theta"] is None
    own = pipeline.transformer.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in built.transformer.state_dict().items())
    assert same(films["no-indicator"], films["student"])[2] is False


def test_the_teacher_makes_whole_shots(films):
    assert [len(shot) for shot in films["teacher"].shots] == [21, 21, 21]
    assert same(films["teacher"], films["student"]) == [False, False, False]


def test_rules_of_memory():
    assert first_frames([33, 33, 33], 3) == [(0, 0), (0, 16), (0, 32)]
    assert recent_frames([33, 33, 21], 6) == [(2, 0), (2, 4), (2, 8), (2, 12), (2, 16), (2, 20)]
    assert recent_frames([2], 6) == [(0, 0), (0, 1)]
    assert first_frames([9], 1) == [(0, 0)]


def test_missing_or_damaged_weights_are_said(pipeline, tmp_path):
    with pytest.raises(ModelError, match="has no transformer of stage teacher; train it as"):
        build(BY_NAME["teacher"], pipeline, tmp_path)
    pipeline.transformer.save_pretrained(tmp_path / "teacher")
    (tmp_path / "teacher" / "diffusion_pytorch_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="teacher cannot be loaded"):
        build(BY_NAME["teacher"], pipeline, tmp_path)


def test_targets_stand_beside_their_figures():
    told = {"mean": 0.9, "low": None, "high": None, "n": 1}
    fast, slow = told | {"mean": 80.0}, told | {"mean": 5.0}
    figures = against_teacher(
        {"prompt_adherence": told | {"mean": 0.81}, "frames_per_second": fast},
        {"prompt_adherence": told, "frames_per_second": slow},
    )
    assert figures == {"student_by_teacher": pytest.approx(0.9), "speed_by_teacher": pytest.approx(16)}
    by_shot = (
        [{"prompt_adherence": 0.9}] * 5 + [{"prompt_adherence": 0.1}] * 10 + [{"prompt_adherence": 0.8}] * 5
    )
    assert over_a_long_story(by_shot) == {"ending_minus_opening": pytest.approx(-0.1)}
    assert over_a_long_story(by_shot[:19]) == {}
    assert json.loads(json.dumps(reached(figures)))["speed_by_teacher"]["figure"] == pytest.approx(16)


def test_tables_go_into_their_place_and_nowhere_else():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = insert(page, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert insert(once, "new") == once
    with pytest.raises(ValueError, match="no place for tables"):
        insert("before\nafter\n", "new")
