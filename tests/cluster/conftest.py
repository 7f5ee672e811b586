"""One local Ray cluster for all tests of this folder: two cores, no dashboard, as small as can be."""

from __future__ import annotations

import os

import pytest

from tests.data.films.conftest import model_folder  # noqa: F401  (a fixture)


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
