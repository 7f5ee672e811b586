"""What each of two processes does in `test_distributed.py`; a file of its own, so that they import little."""

import json
import os
import shutil
from pathlib import Path

import torch

from shotstream.training.distributed import join
from shotstream.training.loop import train
from shotstream.training.run import RunFolder
from shotstream.training.settings import Recipe
from shotstream.training.workspace import Workspace


class Stopped(Exception):
    """Stands for a kill between two steps."""


def stop_at(step, learner):
    """Let a stage's loss fail from a step on."""
    whole_loss = learner.loss

    def loss(at, *args):
        if at == step:
            raise Stopped
        return whole_loss(at, *args)

    learner.loss = loss


def train_in_two(rank: int, port: int, recipe: str, folder: Path):
    """Run the stages that come in shards, the last one first: each starts from what was there before."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    with join(torch.device("cpu")) as world:
        workspace = Workspace(Recipe.model_validate(json.loads(recipe)), folder, world.device, world)
        for stage in ("inter-shot", "intra-shot"):
            workspace.run(stage)
        world.wait()
        if rank == 0:
            shutil.move(folder / "intra-shot", folder / "intra-shot in one go")
        world.wait()
        copied = Workspace(workspace.recipe, folder, world.device, world, str(folder / "copies"))
        learner = copied.stage("intra-shot")
        stop_at(3, learner)  # after the checkpoint of step 2
        run = RunFolder(folder / "intra-shot", learner.settings, world, copied.copies("intra-shot"))
        try:
            train(learner, run)
        except Stopped:
            world.wait()
            if rank == 0:
                shutil.rmtree(run.path)  # lost: what is left is the copy
            world.wait()
            copied.run("intra-shot")
        for stage in ("causal-init", "teacher", "judge"):
            workspace.run(stage)
