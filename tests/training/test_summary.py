"""What is said when a stage begins: all that matters, and no more than fits a screen."""

from pathlib import Path

import pytest

from shotstream.shipped import shipped_names
from shotstream.training.run import flatten
from shotstream.training.settings import TeacherSettings, read_recipe
from shotstream.training.summary import STEPS, changed_settings, summarise
from shotstream.training.workspace import STAGES, stages_of

from .conftest import tiny_recipe

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_in_a_few_lines_what_it_does(stage, tmp_path):
    lines = list(summarise(tiny_recipe(), stage, tmp_path))
    text = "\n".join(lines)
    assert len(lines) <= 10
    assert lines[0] == f"{stage}, a stage of the recipe tiny"
    assert f"  writes to: {tmp_path / stage}" in lines
    assert f"  steps: 4 of {3 if stage == 'student-decoder' else 2} samples" in lines
    assert "optimiser.warmup_steps=2" in text
    assert "loop.seed" not in text  # it is the default
    if stage != "captions":
        assert "48x32 pixels, 12 frames per second, shots of 13 frames (1.1 s)" in text
        assert "  data: 4 drawn stories of 3 shots" in lines


def test_a_student_s_roles_are_told(tmp_path):
    lines = list(summarise(tiny_recipe(), "inter-shot", tmp_path))
    assert "begins as the student of intra-shot" in lines[1]
    assert [line.split(":")[0].strip() for line in lines[2:5]] == ["student", "teacher", "critic"]
    assert "of them learn" in lines[2]
    assert lines[3].endswith("frozen")
    assert lines[4].endswith("all learn")


def test_films_a_base_and_several_devices_are_told(tmp_path):
    text = "\n".join(summarise(read_recipe("wan-1.3b"), "teacher", tmp_path, devices=8))
    assert "begins as Wan-AI/Wan2.1-T2V-1.3B-Diffusers" in text
    assert "1419.00 M parameters, 283.39 M of them learn" in text
    assert "data: films in shards/wan-1.3b" in text
    assert "steps: 10000 of 64 samples, shared by 8 devices" in text


def test_a_run_that_was_begun_goes_on(tmp_path):
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "settings.yaml").write_text("")
    recipe = tiny_recipe(earlier=Path("runs/before"))
    lines = list(summarise(recipe, "judge", tmp_path))
    assert lines[-1] == f"  goes on in: {tmp_path / 'judge'}"
    assert f"  earlier stages: those of runs/before, where {tmp_path} has none" in lines


def test_of_lessons_steps_are_told_in_order_and_mixtures_as_they_differ(tmp_path):
    recipe = read_recipe("mini")
    lines = list(summarise(recipe, "teacher", tmp_path))
    told = next(line for line in lines if line.startswith("  steps: "))
    assert [told.find(f"({name})") for name in recipe.teacher.curriculum] == sorted(
        told.find(f"({name})") for name in recipe.teacher.curriculum
    )
    changed = changed_settings(recipe.teacher)
    assert changed["curriculum.stills.mixture.target"] == "still"
    assert not any(name.startswith("curriculum.shots.") and name.endswith("steps") for name in changed)
    assert changed_settings(TeacherSettings()) == {}


@pytest.mark.parametrize("name", shipped_names("recipes"))
def test_nothing_that_a_recipe_sets_is_passed_over(name):
    """The defaults with what is told, and the steps, are the settings."""
    recipe = read_recipe(name)
    for stage in stages_of(recipe):
        settings = getattr(recipe, stage.replace("-", "_"))
        told = changed_settings(settings) | {name: flatten(settings.model_dump())[name] for name in STEPS}
        tree = type(settings)().model_dump()
        if "curriculum" in tree:
            tree["curriculum"] = {
                name: lesson.model_dump(exclude={"mixture"}) | {"mixture": {}}
                for name, lesson in settings.curriculum.items()
            }
        for place, value in told.items():
            *parents, last = place.split(".")
            section = tree
            for parent in parents:
                section = section[parent]
            section[last] = value
        assert type(settings).model_validate(tree) == settings
