"""Recipes: the shipped ones read, mistakes are all named."""

from pathlib import Path

import pytest

from shotstream.shipped import find_file, shipped_names
from shotstream.training.run import flatten
from shotstream.training.settings import Recipe, RecipeError, read_recipe

pytestmark = pytest.mark.unit

RECIPES = shipped_names("recipes")


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes_read(name):
    assert read_recipe(name).name == name


PUBLISHED = {
    "paper": {
        "teacher.trained": "self-attention",
        "teacher.drop_text": 0.1,
        "teacher.optimiser.lr": 1e-5,
        "causal_init.pairs": 5000,
        "causal_init.ode_steps": 50,
        "causal_init.guidance": 6,
        "intra_shot.optimiser.lr": 2e-6,
        "intra_shot.critic_optimiser.lr": 4e-7,
        "inter_shot.lora_rank": 256,
    },
    "code": {
        "teacher.dropped_text": "zeros",
        "causal_init.clean_fraction": 0.2,
        "causal_init.clean_last": True,
        "causal_init.drop_text": 0.1,
        "causal_init.dropped_text": "zeros",
        "intra_shot.drop_context": 0.1,
        "inter_shot.drop_context": 0.1,
        "inter_shot.critic_lora_rank": 256,
    },
}
"""Settings by where they are from."""


@pytest.mark.parametrize("source", PUBLISHED)
def test_wan_trains_with_the_published_settings(source):
    settings = flatten(read_recipe("wan-1.3b").model_dump())
    assert {name: settings[name] for name in PUBLISHED[source]} == PUBLISHED[source]


def test_the_recipe_s_header_names_what_is_not_the_paper_s():
    text = find_file(Path("wan-1.3b"), "recipes").read_text(encoding="utf-8")
    header = text.partition("\nname:")[0]
    assert all(name.rpartition(".")[2] in header for name in PUBLISHED["code"])


def test_overrides_are_dotted():
    recipe = read_recipe("mini", ["teacher.curriculum.shots.steps=7", "world.fps=8"])
    assert (recipe.teacher.lessons[2].steps, recipe.world.fps) == (7, 8)


def test_every_mistake_is_named(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nteacher: {loop: {stepz: 3}, drop_text: lots}\n")
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    assert "teacher.loop.stepz: there is no such setting (did you mean 'steps'?)" in str(error.value)
    assert "teacher.drop_text is 'lots', but should be a number" in str(error.value)


@pytest.mark.parametrize("override", ["teacher.loop.steps", "name.x=1"])
def test_broken_overrides_are_named(override):
    with pytest.raises(RecipeError, match="Override"):
        read_recipe("mini", [override])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "There is no recipe"),
        (b"- 1", "named settings"),
        (b"\xff\xfe", "is not UTF-8; save it with that encoding"),
        (b"a: [", r"yaml:1: this bracket is never closed"),
    ],
)
def test_broken_files_are_named(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(RecipeError, match=words):
        read_recipe(path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("causal_init.ode_steps=50", "250 is no step of an ODE"),
        ("world.height=60", "60x192 pixels"),
        ("world.shots=1", "second shot"),
        ("autoencoder.clip_frames=16", r"1 \+ 4k"),
        ("teacher.trained=self-attention", "base: none is given"),
    ],
)
def test_what_cannot_work_together_is_refused(override, words):
    with pytest.raises(RecipeError, match=words):
        read_recipe("mini", [override])


def test_a_section_given_in_part_keeps_the_rest_of_its_own_default():
    """Not that of its kind: with another learning rate alone, momentum would be that of another stage."""
    plain = read_recipe("wan-1.3b").student_pictures
    told = read_recipe("wan-1.3b", ["student_pictures.adversary.optimiser.lr=3e-4"]).student_pictures
    assert told.adversary.optimiser.lr == 3e-4
    assert told.adversary.optimiser.warmup_steps == plain.adversary.optimiser.warmup_steps == 20
    assert (
        told.adversary.weight
        == plain.adversary.weight
        != read_recipe("mini").student_decoder.adversary.weight
    )
    assert told.optimiser == plain.optimiser
    own = Recipe.model_validate({"name": "own", "inter_shot": {"optimiser": {"warmup_steps": 3}}}).inter_shot
    assert (own.optimiser.warmup_steps, own.optimiser.lr, own.optimiser.betas) == (3, 1e-4, (0.0, 0.999))
