"""One local Ray cluster for all tests of this folder: two cores, no dashboard, as small as can be."""

from __future__ import annotations

import os
import socket

import pytest
import torch

from shotstream.training.workspace import Workspace
from tests.cluster import pieces
from tests.data.films.conftest import model_folder  # noqa: F401  (a fixture)
from tests.training.conftest import adamw_recipe


@pytest.fixture(scope="session")
def cluster():
    """A cluster that commands of this process find joined, see `join_cluster`."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'shotstream[cluster]'")
    from shotstream.machine.cluster import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2,
        num_gpus=0,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield Cluster("cpu")
    ray.shutdown()


@pytest.fixture(scope="session")
def life(tmp_path_factory):
    """A tiny life up to its teacher, trained by two processes as torchrun starts them."""
    recipe = adamw_recipe()
    folder = tmp_path_factory.mktemp("life") / "run"
    workspace = Workspace(recipe, folder, torch.device("cpu"))
    for stage in ("captions", "autoencoder"):
        workspace.run(stage)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = (port, recipe.model_dump_json(), folder)
    torch.multiprocessing.spawn(pieces.train_a_teacher, arguments, nprocs=2)
    return recipe, folder
