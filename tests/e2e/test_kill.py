"""A training run that is killed at any moment goes on as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from tests.training.conftest import tiny_recipe
from tests.training.run_files import weights

pytestmark = [pytest.mark.system, pytest.mark.long]

STAGES = ("autoencoder", "teacher", "causal-init", "intra-shot", "inter-shot")
STEPS = 12


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The toy recipe with a few more steps, as a file."""
    tree = tiny_recipe().model_dump(mode="json")
    for stage in STAGES:
        tree[stage.replace("-", "_")]["loop"] |= {"steps": STEPS, "checkpoint_every": 3}
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def start(stage, recipe, runs):
    words = ["train", stage, str(recipe), "--runs", str(runs), "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-c", "from shotstream.cli.main import app; app()", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def metrics(folder):
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [{k: v for k, v in json.loads(line).items() if k != "steps_per_second"} for line in lines]


def test_every_stage_survives_kill_9(recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    chance = random.Random(0)
    for stage in STAGES:
        assert start(stage, recipe, whole).wait() == 0
        folder = killed / "tiny" / stage
        for _ in range(2):
            process = start(stage, recipe, killed)
            step = len(metrics(folder)) + chance.randint(1, 4)
            while process.poll() is None and len(metrics(folder)) < min(step, STEPS):
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert start(stage, recipe, killed).wait() == 0
        expected = metrics(whole / "tiny" / stage)
        assert [entry["step"] for entry in expected] == list(range(1, STEPS + 1))
        assert metrics(folder) == expected
        before = weights(whole / "tiny" / stage)
        assert before
        for name, tensor in weights(folder).items():
            assert torch.equal(tensor, before[name]), (stage, name)
