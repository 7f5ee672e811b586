"""Ctrl-C of a command on a cluster: what is finished stays, the cluster is free, the command goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from shotstream.data.shards import Shards
from shotstream.machine.cluster import Cluster, load_ray
from shotstream.training.causal_init import record_pairs
from shotstream.training.workspace import Workspace
from tests.cluster.running import contents, run
from tests.data.films.drawn_films import write_film
from tests.waiting import until

pytestmark = pytest.mark.system

START = "from shotstream.cli.main import app; app()"


def stop(words: tuple[object, ...], log: Path, reached: Callable[[], bool]) -> str:
    """Run a command as a terminal does, press Ctrl-C when something is reached, and give what it said."""
    command = [sys.executable, "-c", START, *map(str, words)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=os.environ
        )
        until(lambda: reached() or process.poll() is not None, 180)
        assert process.poll() is None, log.read_text()
        os.killpg(process.pid, signal.SIGINT)  # all that was started in that terminal gets it
        assert process.wait(60) == 130, log.read_text()
    said = log.read_text()
    assert "Traceback" not in said
    return said


@pytest.fixture
def address(cluster: Cluster) -> str:
    """Of the tests' cluster, with all its room."""
    cluster.end_processes()
    return load_ray().get_runtime_context().gcs_address


def is_free() -> bool:
    return load_ray().available_resources().get("CPU") == 2


@pytest.mark.parametrize("where", ["local", "address"])
def test_films_that_are_finished_stay_finished(address, model_folder, tmp_path, where):
    films = tmp_path / "films"
    films.mkdir()
    for seed in range(6):
        write_film(films, seed)
    words = ("data", "prepare", films, "--model", model_folder, "--device", "cpu", "--set", "held_out=0.3")
    there = (*words, "-o", tmp_path / "ray")
    latents = tmp_path / "ray" / "work" / "latents"
    asked = "local" if where == "local" else address
    stop((*there, "--ray", asked), tmp_path / "log", lambda: len(list(latents.glob("[!.]*"))) >= 2)
    finished = len(list(latents.glob("[!.]*.safetensors")))
    until(is_free, 60)
    said = run(*there, "--ray", "local")
    assert f"new in this run: 0 scanned, {6 - finished} stories encoded" in said
    run(*words, "-o", tmp_path / "alone", "--workers", 1)
    for split in ("train", "held-out"):
        assert contents(tmp_path / "ray" / split) == contents(tmp_path / "alone" / split)


def test_films_that_are_measured_stay_measured(address, judge, tmp_path):
    judge.save_pretrained(tmp_path / "judge")
    words = ("evaluate", "--model", "drawn", "--judge", tmp_path / "judge", "--device", "cpu")
    words = (*words, "--shots", 3, "--stories", 30)
    there, lines = (*words, "-o", tmp_path / "ray"), tmp_path / "ray" / "stories.jsonl"
    said = stop(
        (*there, "--ray", address),
        tmp_path / "log",
        lambda: lines.is_file() and len(lines.read_text().splitlines()) >= 2,
    )
    assert "of 30 films are measured and kept; the same command goes on." in " ".join(said.split())
    kept = lines.read_text().splitlines()
    assert 2 <= len(kept) < 30
    until(is_free, 60)
    assert f"{len(kept)} of 30 films are measured already." in run(*there, "--ray", "local")
    assert set(kept) <= set(lines.read_text().splitlines())
    run(*words, "-o", tmp_path / "alone")
    alone, ray = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("alone", "ray"))
    assert ray["summary"] == alone["summary"]


def test_states_of_a_teacher_that_are_recorded_stay_recorded(address, cluster, life, tmp_path):
    recipe, folder = life
    tree = recipe.model_dump(mode="json")
    tree["causal_init"] |= {"pairs": 24, "ode_steps": 8}
    tree["name"] = "there"
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    recipe = type(recipe).model_validate(tree)
    for name in ("alone", "there"):
        shutil.copytree(folder, tmp_path / name)
    index = tmp_path / "there" / "pairs" / "index.jsonl"
    words = ("train", "causal-init", tmp_path / "tiny.yaml", "--runs", tmp_path, "--device", "cpu")
    stop((*words, "--ray", address), tmp_path / "log", index.is_file)
    kept = index.read_text()
    assert 0 < len(kept.splitlines()) < 12
    until(is_free, 60)
    alone, there = (Workspace(recipe, tmp_path / name, torch.device("cpu")) for name in ("alone", "there"))
    there.record_on(cluster)
    assert index.read_text().startswith(kept)
    record_pairs(alone.folder / "pairs", *alone.recording())
    assert len(Shards(there.folder / "pairs")) == 12
    assert contents(there.folder / "pairs") == contents(alone.folder / "pairs")
