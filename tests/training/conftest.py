"""A training life small enough for tests: four drawn stories, networks of a few thousand weights."""

import pytest
import torch

from shotstream.training.settings import Recipe
from shotstream.training.workspace import STAGES, Workspace


def tiny_recipe(**changes):
    loop = {"steps": 4, "batch": 2, "log_every": 1, "checkpoint_every": 2, "sample_every": 100, "ema": 0.5}
    optimiser = {"warmup_steps": 2}
    tree = {
        "name": "tiny",
        "world": {
            "height": 32, "width": 48, "shot_frames": 13, "shots": 3, "stories": 4, "validation_stories": 4,
            "context_frames": 3,
        },
        "autoencoder": {
            "latent_channels": 4, "encoder_widths": (8, 8, 8), "decoder_widths": (8, 8, 8, 8),
            "clip_frames": 5, "loop": loop, "optimiser": optimiser,
        },
        "decoder": {"clip_frames": 5, "loop": loop, "optimiser": optimiser},
        "teacher": {
            "network": {
                "layers": 1, "heads": 2, "head_size": 12, "feed_forward": 32, "chunk_frames": 2,
                "text_width": 16, "text_layers": 1, "text_heads": 2,
            },
            "loop": loop, "optimiser": {**optimiser, "name": "muon"},
        },
        "captions": {"shots": 3, "loop": loop, "optimiser": optimiser},
        "causal_init": {"pairs": 4, "ode_steps": 4, "loop": loop, "optimiser": optimiser},
        "student_decoder": {
            "stories": 4, "crop": (16, 32), "optimiser": optimiser, "loop": {**loop, "batch": 3},
            "adversary": {"first": 1, "optimiser": optimiser},
        },
        "student_pictures": {
            "stories": 4, "crop": (16, 32), "optimiser": optimiser, "loop": loop,
            "adversary": {"first": 1, "optimiser": optimiser},
        },
        "judge": {"widths": (8, 8, 8, 8), "features": 16, "loop": loop, "optimiser": optimiser},
        "intra_shot": {"critic_updates": 1, "loop": loop, "optimiser": optimiser},
        "inter_shot": {"critic_updates": 1, "lora_rank": 2, "loop": loop, "optimiser": optimiser},
    }  # fmt: skip
    return Recipe.model_validate(tree | changes)


def adamw_recipe(**loop):
    """The tiny life with AdamW for the teacher; `loop` changes that of the teacher and of stage 4."""
    tree = tiny_recipe().model_dump()
    tree["teacher"]["optimiser"]["name"] = "adamw"
    for stage in ("teacher", "inter_shot"):
        tree[stage]["loop"] |= loop
    return Recipe.model_validate(tree)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums are rounded by how many threads share them; processes that share a machine take one each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished(one_thread, tmp_path_factory):
    """A workspace in which every stage has been run."""
    workspace = Workspace(tiny_recipe(), tmp_path_factory.mktemp("run"), torch.device("cpu"))
    for stage in STAGES:
        workspace.run(stage)
    return workspace


@pytest.fixture(scope="session")
def data(finished):
    """Its training stories, as the generator sees them."""
    return finished.next_shots("train", finished.denoiser("teacher").text)
