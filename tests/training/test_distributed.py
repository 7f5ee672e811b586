"""Two processes with shards give what one process gives; so do passes one after the other."""

import json
import shutil
import socket
from dataclasses import replace

import pytest
import torch

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.next_shot import BatchChoice
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.training.distributed import ProcessGroup
from shotstream.training.learner import Learner
from shotstream.training.loop import TrainingError, train
from shotstream.training.run import RunFolder
from shotstream.training.settings import Optimiser, Recipe
from shotstream.training.stage import Role, step_generator
from shotstream.training.workspace import Workspace

from .conftest import adamw_recipe, tiny_recipe
from .ranks import train_in_two
from .run_files import metrics, weights

pytestmark = pytest.mark.system

SHARDED = ("teacher", "causal-init", "intra-shot", "inter-shot")


@pytest.fixture(scope="module")
def alone(finished, tmp_path_factory):
    """The finished life, its teacher trained again with AdamW."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(finished.folder, folder)
    shutil.rmtree(folder / "teacher")
    Workspace(adamw_recipe(), folder, torch.device("cpu")).run("teacher")
    return folder


@pytest.fixture(scope="module")
def two(finished, tmp_path_factory):
    """The finished life, the stages that come in shards run again by two processes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    shutil.copytree(finished.folder, folder)
    for stage in (*SHARDED, "judge"):
        shutil.rmtree(folder / stage)
        if stage != "teacher":
            shutil.copytree(finished.folder / stage / "export", folder / stage / "export")
    shutil.copytree(finished.folder / "teacher" / "export", folder / "teacher" / "export")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    recipe = adamw_recipe(checkpoint_activations=True)
    torch.multiprocessing.spawn(train_in_two, (port, recipe.model_dump_json(), folder), nprocs=2)
    return folder


@pytest.mark.parametrize("stage", SHARDED)
def test_two_processes_learn_what_one_learns(alone, two, stage):
    for entry, expected in zip(metrics(two / stage), metrics(alone / stage), strict=True):
        assert entry == pytest.approx(expected, rel=1e-5, abs=1e-5)
    expected = weights(alone / stage)
    made = weights(two / stage)
    assert made.keys() == expected.keys()
    for name, tensor in made.items():  # AdamW enlarges rounding of gradients near 0: 1.3e-5 in one of 768
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=5e-5, msg=name)


def test_processes_that_are_killed_go_on_as_if_they_had_not_been(two):
    assert metrics(two / "intra-shot") == metrics(two / "intra-shot in one go")
    expected = weights(two / "intra-shot in one go")
    for name, tensor in weights(two / "intra-shot").items():
        assert torch.equal(tensor, expected[name]), name


def test_shards_of_two_processes_are_read_by_any_number(two, finished):
    learner = Learner(finished.stage("intra-shot").roles["student"], 0.9, 10)
    ProcessGroup().load(two / "intra-shot" / "checkpoint-000004", {"student": learner.tensors()})
    for name, tensor in weights(two / "intra-shot").items():
        assert torch.equal(learner.average[name.partition("safetensors.")[2]], tensor), name


def test_only_one_process_writes_and_small_stages_are_its_own(two, finished):
    kept = {path.name for path in (two / "teacher").glob("checkpoint*")}
    assert kept == {"checkpoint-000002", "checkpoint-000004"}
    assert (two / "judge" / "checkpoint.pt").exists()
    assert metrics(two / "judge") == metrics(finished.folder / "judge")
    config = json.loads((two / "teacher" / "export" / "transformer" / "config.json").read_text())
    assert config["_class_name"] == "CausalWanTransformer3DModel"


@pytest.mark.parametrize("stage", SHARDED)
def test_passes_one_after_the_other_learn_what_one_pass_learns(finished, stage):
    learner = finished.stage(stage)
    for step in range(2):  # the critic, then the student
        role = learner.roles[learner.role(step)]
        expected = gradients(learner, role, step, [WHOLE_BATCH])
        for name, gradient in gradients(learner, role, step, [BatchSlice(0, 2), BatchSlice(1, 2)]).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("stage", ["causal-init", "intra-shot", "inter-shot"])
def test_so_they_do_with_the_published_settings(finished, stage):
    published = {"drop_text": 0.5, "dropped_text": "zeros", "clean_fraction": 0.5, "clean_last": True}
    forced = {"drop_context": 0.5, "critic_lora_rank": 2}
    tree = finished.recipe.model_dump()
    for section, settings in {"causal_init": published, "intra_shot": forced, "inter_shot": forced}.items():
        tree[section] |= settings
    learner = Workspace(Recipe.model_validate(tree), finished.folder, torch.device("cpu")).stage(stage)
    for step in range(4):  # some drop something
        role = learner.roles[learner.role(step)]
        expected = gradients(learner, role, step, [WHOLE_BATCH])
        for name, gradient in gradients(learner, role, step, [BatchSlice(0, 2), BatchSlice(1, 2)]).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("stage", SHARDED)
def test_blocks_that_are_run_again_give_the_same_gradient(finished, stage):
    learner = finished.stage(stage)
    for step in range(2):
        role = learner.roles[learner.role(step)]
        transformer = next(m for m in role.module.modules() if isinstance(m, CausalWanTransformer3DModel))
        expected = gradients(learner, role, step, [WHOLE_BATCH])
        transformer.enable_gradient_checkpointing()
        made = gradients(learner, role, step, [WHOLE_BATCH])
        transformer.disable_gradient_checkpointing()
        for name, gradient in made.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7, msg=name)


def gradients(learner, role, step, shares):
    for share in shares:
        (learner.loss(step, step_generator(0, step), share)[0] / len(shares)).backward()
    made = {name: p.grad for name, p in role.module.named_parameters() if p.grad is not None}
    role.module.zero_grad(set_to_none=True)
    assert any(gradient.any() for gradient in made.values())
    return made


def test_a_rollout_that_slides_cannot_be_run_again(finished, data):
    student, shot = finished.denoiser("causal-init"), data.make(BatchChoice([0], [1]))
    student.transformer.enable_gradient_checkpointing()
    longer = replace(shot, target=shot.target.repeat(1, 2, 1, 1, 1))
    with pytest.raises(ValueError, match="slides through a window of 4"):
        student.roll_out(longer, step_generator(0, 0))


def test_the_parts_of_a_batch_are_the_batch():
    parts = [BatchSlice(part, 3) for part in range(3)]
    noise = [part.randn((2, 5), step_generator(0, 0), torch.device("cpu")) for part in parts]
    assert torch.equal(torch.cat(noise), torch.randn(6, 5, generator=step_generator(0, 0)))
    assert ProcessGroup(rank=1, size=3).slices(2) == [BatchSlice(2, 6), BatchSlice(3, 6)]


@pytest.mark.parametrize(
    ("loop", "words"),
    [({"accumulate": 4}, "multiple of 4"), ({"checkpoint_activations": True}, "trains no transformer")],
)
def test_settings_that_do_not_fit_are_refused(finished, tmp_path, loop, words):
    learner = finished.stage("judge")
    learner.loop = learner.loop.model_copy(update=loop)
    learner.settings = learner.settings.model_copy(update={"loop": learner.loop})
    with pytest.raises(TrainingError, match=words):
        train(learner, RunFolder(tmp_path, learner.settings))


def test_muon_needs_whole_matrices():
    role = Role(torch.nn.Linear(2, 2), Optimiser(name="muon"))
    with pytest.raises(ValueError, match="adamw"):
        Learner(role, 0.9, 10, ProcessGroup(size=2))


def test_a_run_goes_on_with_as_many_processes_as_it_was_begun(two):
    with pytest.raises(ValueError, match="begun by several processes"):
        RunFolder(two / "teacher", tiny_recipe().teacher).resume({})
