"""A whole training life at toy size: every stage runs, resumes exactly, and ends in a model that tells."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from shotstream.training.loop import train
from shotstream.training.run import RunFolder
from shotstream.training.workspace import STAGES, MissingStageError, Workspace

from .conftest import tiny_recipe

pytestmark = pytest.mark.system


def metrics(workspace, stage):
    lines = (workspace.folder / stage / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "steps_per_second"} for line in lines]


def weights(folder):
    files = sorted(folder.rglob("*.safetensors"))
    assert files
    return {f"{file.name}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


class Stopped(Exception):
    """Stands for a kill between two steps."""


@pytest.mark.parametrize(("stage", "killed_at"), [*((stage, 3) for stage in STAGES), ("judge", 1)])
def test_a_killed_run_goes_on_as_if_it_had_not_stopped(finished, tmp_path, stage, killed_at):
    shutil.copytree(finished.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / stage)
    again = Workspace(tiny_recipe(), tmp_path / "run", torch.device("cpu"))
    learner = again.stage(stage)
    whole_loss = learner.loss

    def loss_until_killed(step, *args):
        if step == killed_at:  # there is a checkpoint after step 2, none before
            raise Stopped
        return whole_loss(step, *args)

    learner.loss = loss_until_killed
    with pytest.raises(Stopped):
        train(learner, RunFolder(again.folder / stage, learner.settings))
    assert [entry["step"] for entry in metrics(again, stage)] == list(range(1, killed_at + 1))
    again.run(stage)
    assert metrics(again, stage) == metrics(finished, stage)
    expected = weights(finished.folder / stage / "export")
    for name, tensor in weights(again.folder / stage / "export").items():
        assert torch.equal(tensor, expected[name]), name


def test_the_decoder_stage_leaves_the_encoder_alone(finished):
    before = weights(finished.folder / "autoencoder" / "export")
    after = weights(finished.folder / "decoder" / "export")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".decoder." in name for name in changed)


def test_the_exported_model_tells_a_story(finished):
    from shotstream import ShotStreamPipeline, Story

    pipeline = ShotStreamPipeline.from_pretrained(finished.save_pipeline())
    story = Story(setting="A red cat is on a beach.", shots=["The cat waves.", "Close up of the cat."])
    chunks = list(pipeline.stream(story))
    assert [(chunk.shot, len(chunk.frames)) for chunk in chunks] == [(0, 5), (0, 8), (1, 5), (1, 8)]
    assert chunks[0].frames.shape[1:] == (32, 48, 3)
    assert not pipeline.unknown_words(story.setting)


def test_a_teacher_can_start_from_a_finished_model(finished, tmp_path):
    base = finished.save_pipeline()
    recipe = tiny_recipe(base=str(base))
    part = recipe.teacher.model_copy(update={"trained": "self-attention"})
    workspace = Workspace(recipe.model_copy(update={"teacher": part}), tmp_path, torch.device("cpu"))
    with pytest.raises(ValueError, match="has no stage decoder"):
        workspace.run("decoder")
    made = weights(workspace.run("teacher"))
    before = load_file(base / "transformer" / "diffusion_pytorch_model.safetensors")
    changed = {
        name
        for name, tensor in before.items()
        if not torch.equal(made[f"diffusion_pytorch_model.safetensors.{name}"], tensor.float())
    }
    assert changed
    assert all(".attn1." in name for name in changed)
    later = Workspace(workspace.recipe, tmp_path, torch.device("meta")).denoiser("teacher")
    for network in (later.transformer, later.text.text_encoder):  # where a stage goes on in a new process
        assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    wider = tiny_recipe(base=str(base), world={**recipe.world.model_dump(), "context_frames": 4})
    with pytest.raises(ValueError, match="context_frames=3, but the recipe tiny makes it 4"):
        Workspace(wider, tmp_path / "wider", torch.device("cpu")).stage("teacher")


def test_the_decoder_of_a_base_goes_on_learning(finished, tmp_path):
    base = finished.save_pipeline()
    decoder = {**tiny_recipe().decoder.model_dump(), "of_base": True}
    workspace = Workspace(tiny_recipe(base=str(base), decoder=decoder), tmp_path, torch.device("cpu"))
    before = {name: tensor.float() for name, tensor in weights(base / "vae").items()}
    after = weights(workspace.run("decoder"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".decoder." in name for name in changed)
    later = Workspace(workspace.recipe, tmp_path, torch.device("cpu")).autoencoder
    assert torch.equal(
        later.state_dict()["decoder.0.weight"], after["diffusion_pytorch_model.safetensors.decoder.0.weight"]
    )


def test_samples_are_drawn_at_the_end(finished):
    for stage in set(STAGES) - {"captions"}:
        assert (finished.folder / stage / "samples" / "000004.png").stat().st_size > 1000


def test_a_missing_stage_is_named(tmp_path):
    with pytest.raises(MissingStageError, match="shotstream train autoencoder"):
        Workspace(tiny_recipe(), tmp_path, torch.device("cpu")).run("decoder")
