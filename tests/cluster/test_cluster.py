"""Work done by a Ray cluster equals what one process does, and a worker that is lost costs its piece."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.machine.cluster import ClusterError, check_address, join_cluster
from shotstream.media.files import MediaError
from tests.cluster import pieces
from tests.data.films.drawn_films import write_film

pytestmark = pytest.mark.system


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_piece_is_done_once_and_numbered(cluster):
    with cluster.workers(pieces.squares) as workers:
        assert sorted(workers.map([5, 6, 7])) == [(0, 25), (1, 36), (2, 49)]
        assert list(workers.map([])) == []
        assert list(workers.map([2])) == [(0, 4)]


def test_a_lost_worker_costs_its_piece_alone(cluster, tmp_path):
    with cluster.workers(partial(pieces.dying, tmp_path)) as workers:
        assert sorted(workers.map(range(6))) == [(number, number) for number in range(6)]
    begun = Counter(map(int, (tmp_path / "begun").read_text().split()))
    assert begun == Counter({0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1})


def test_what_a_piece_raises_is_raised_here(cluster):
    with cluster.workers(pieces.refusing) as workers, pytest.raises(MediaError, match="two: the disk is full"):
        list(workers.map(range(4)))


def test_films_become_the_same_shards(cluster, model_folder, tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    for seed in (1, 2, 3):
        write_film(films, seed)
    words = ("data", "prepare", films, "--model", model_folder, "--device", "cpu", "--set", "held_out=0.3")
    run(*words, "-o", tmp_path / "alone", "--workers", 1)
    run(*words, "-o", tmp_path / "ray", "--ray", "local")
    alone, there = contents(tmp_path / "alone"), contents(tmp_path / "ray")
    assert any(name.endswith(".safetensors") for name in alone)
    assert there.keys() == alone.keys()
    assert [name for name in alone if there[name] != alone[name]] == []


def test_films_are_measured_alike(cluster, judge, tmp_path):
    judge.save_pretrained(tmp_path / "judge")
    words = ("evaluate", "--model", "drawn", "--judge", tmp_path / "judge", "--device", "cpu")
    words = (*words, "--shots", 1, "--stories", 3)
    run(*words, "-o", tmp_path / "alone")
    run(*words, "-o", tmp_path / "ray", "--ray", "local")
    alone, there = contents(tmp_path / "alone"), contents(tmp_path / "ray")
    assert there.keys() == alone.keys()
    moments = ("metrics.json", "report.html")  # they say when they were written
    assert [name for name in alone if there[name] != alone[name] and name not in moments] == []
    said = [json.loads(files["metrics.json"]) for files in (alone, there)]
    assert said[0]["summary"] == said[1]["summary"]
    assert said[0]["stories"] == said[1]["stories"]
