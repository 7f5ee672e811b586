"""A teacher learns from films of drawn stories what it learns from the stories as they are drawn."""

import json
from statistics import mean, stdev

import pytest
import torch

from shotstream.data.films.inputs import read_inputs
from shotstream.data.films.prepare import prepare
from shotstream.data.films.settings import FilmSettings
from shotstream.training.settings import Recipe
from shotstream.training.workspace import Workspace
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

from .conftest import FPS, HEIGHT, SHOT_FRAMES, WIDTH, tiny_tree
from .drawn_films import write_exactly

pytestmark = pytest.mark.system

STORIES, SHOTS, STEPS = 12, 3, 40


def write_stories(folder):
    for number in range(STORIES):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True)
        story = sample_story(number, shots=SHOTS, frames=SHOT_FRAMES)
        for shot in range(SHOTS):
            frames = draw_shot(story, shot, height=HEIGHT, width=WIDTH, fps=FPS)
            write_exactly(place / f"{shot + 1:02d}.mp4", frames, FPS)
        (place / "attributes.json").write_text(json.dumps(story.attributes()))


def losses(tree, folder):
    """Losses of the last half of a teacher's steps."""
    workspace = Workspace(Recipe.model_validate(tree), folder, torch.device("cpu"))
    export = workspace.run("teacher")
    lines = (export.parent / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines[STEPS // 2 :]]


def test_the_loss_is_that_of_the_stories_as_drawn_within_noise(model_folder, model, tmp_path):
    write_stories(tmp_path / "films")
    settings = FilmSettings(held_out=0.01, duplicate_bits=0, least_change=0)
    summary = prepare(read_inputs([tmp_path / "films"]), tmp_path / "shards", model, settings)
    assert summary.stories == {"train": STORIES - 1, "held-out": 1}
    tree = tiny_tree(base=str(model_folder))
    tree["world"] |= {"shots": SHOTS, "stories": STORIES, "validation_stories": 1}
    loop = {"steps": STEPS, "batch": 4, "log_every": 1, "checkpoint_every": STEPS, "sample_every": 1000}
    tree["teacher"] |= {"loop": loop}
    drawn = losses(tree, tmp_path / "drawn")
    filmed = losses(tree | {"data": str(tmp_path / "shards")}, tmp_path / "filmed")
    noise = (stdev(drawn) ** 2 / len(drawn) + stdev(filmed) ** 2 / len(filmed)) ** 0.5
    print(f"\ndrawn {mean(drawn):.4f}, filmed {mean(filmed):.4f}, noise {noise:.4f}")
    assert abs(mean(drawn) - mean(filmed)) < 3 * noise
    assert noise < 0.1 * mean(drawn)
