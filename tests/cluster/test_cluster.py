"""Work done by a Ray cluster equals what one process does, and a worker that is lost costs its piece."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest
import torch
import yaml
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.data.shards import Shards
from shotstream.machine.cluster import ClusterError, check_address
from shotstream.media.files import MediaError
from shotstream.training.causal_init import record_pairs
from shotstream.training.workspace import Workspace
from tests.cluster import pieces
from tests.cluster.replicated import replicated
from tests.cluster.running import contents, run
from tests.cluster.watching import begin, goes_on
from tests.data.films.drawn_films import write_film
from tests.serving.web.conftest import Watcher
from tests.training.run_files import metrics
from tests.waiting import until

pytestmark = pytest.mark.system


@pytest.mark.parametrize("address", ["films", "-o", ":6379", "somewhere:port", "ray://somewhere"])
def test_what_is_no_address_is_told_so(address):
    with pytest.raises(ClusterError, match="is no address of a Ray cluster: give local, auto, "):
        check_address(address)


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "ray://head:10001"])
def test_what_is_an_address_is_taken(address):
    check_address(address)


def test_a_command_without_ray_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["evaluate", "--model", "drawn", "-o", str(tmp_path), "--ray", "local", "--features", "none"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert 'Ray is missing, which --ray needs: pip install "shotstream[cluster]"' in result.stderr


def test_commands_import_ray_when_they_are_asked_to():
    code = "import sys, shotstream.machine.cluster, shotstream.cli.data, shotstream.cli.evaluate, "
    code += "shotstream.cli.train, shotstream.cli.studio; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


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
    with (
        cluster.workers(pieces.refusing) as workers,
        pytest.raises(MediaError, match="two: the disk is full"),
    ):
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


def test_two_processes_of_ray_train_learn_what_two_of_torchrun_learn(cluster, life, tmp_path):
    recipe, folder = life
    there = tmp_path / "tiny"
    shutil.copytree(folder, there)
    shutil.rmtree(there / "teacher")
    tree = tmp_path / "tiny.yaml"
    tree.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    said = run("train", "teacher", tree, "--runs", tmp_path, "--ray", "local", "--device", "cpu")
    assert "teacher: 2 on cpu" in said
    expected = metrics(folder / "teacher")
    assert len(expected) == 4
    for entry, known in zip(metrics(there / "teacher"), expected, strict=True):
        assert entry == pytest.approx(known, rel=0, abs=1e-6)
        assert f"loss {entry['loss']:.4g}" in said


def test_a_teacher_is_recorded_alike(cluster, life, tmp_path):
    recipe, folder = life
    for name in ("alone", "there"):
        shutil.copytree(folder, tmp_path / name)
    alone, there = (Workspace(recipe, tmp_path / name, torch.device("cpu")) for name in ("alone", "there"))
    record_pairs(alone.folder / "pairs", *alone.recording())
    there.record_on(cluster)
    assert len(Shards(alone.folder / "pairs")) == 2
    assert contents(there.folder / "pairs") == contents(alone.folder / "pairs")


@pytest.fixture(scope="module")
def studio(cluster, tmp_path_factory):
    """A studio with two replicas."""
    with replicated(cluster, tmp_path_factory.mktemp("studio") / "library", 2) as studio:
        yield studio


def test_a_studio_of_replicas_answers_as_one_does(studio):
    with studio.client() as client:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == "ready\n"
        assert client.get("/api/model").json()["model"].startswith("tiny")
        began = client.post("/api/stories", json={"setting": "a red fox", "seed": 3})
        assert began.status_code == 201
        story = began.json()["story"]
        assert client.get(f"/api/stories/{story}").json()["snapshot"]["setting"] == "a red fox"
        assert client.get("/api/stories/0123456789ab").status_code == 404
        assert [listed["story"] for listed in client.get("/api/stories").json()] == [story]
        assert 'shotstream_replica_places{replica="' in client.get("/metrics").text


def test_many_viewers_cost_the_engine_nothing(studio):
    with ExitStack() as sockets:
        director = sockets.enter_context(studio.watch())
        before = studio.made()
        alone = director.shoot(chunks=3)
        for_one = studio.made() - before
        viewers = [sockets.enter_context(studio.watch(director.story)) for _ in range(20)]
        before = studio.made()
        shot = director.shoot(chunks=3)
        assert studio.made() - before == for_one == 3
        assert len(shot) == len(alone)
        for viewer in viewers:
            assert viewer.watch_shot(1) == shot


def test_stories_go_on_when_their_replica_is_killed(studio):
    (one, story), (other, other_story) = begin(studio), begin(studio)
    while studio.owner(story) == studio.owner(other_story):  # an earlier story may have a place
        other, other_story = begin(studio)
    lost = studio.owner(story)
    kept, began = studio.chunks(story), time.monotonic()
    studio.kill(lost)
    again = goes_on(studio, one)
    assert time.monotonic() - began < 15
    assert studio.chunks(story)[: len(kept)] == kept
    assert studio.owner(story) != lost
    shown = len(other.newest(0))
    while len(other.newest(0)) < shown + 16:
        other.hear()
    until(lambda: len([one for one in studio.store.leases.replicas() if one.figures.places]) == 2)
    for viewer in (again, other):
        viewer.direct("stop")
        viewer.__exit__()


def test_fewer_replicas_lose_no_story(studio):
    owners: dict[str, Watcher] = {}
    while len(owners) < 2:  # earlier stories may be open on one of them
        viewer, story = begin(studio)
        owners[studio.owner(story)] = viewer
    studio.replicas.resize(1)
    [stays] = studio.replicas.names
    moved = next(viewer for name, viewer in owners.items() if name != stays)
    again = goes_on(studio, moved)
    assert studio.owner(moved.story) == stays
    numbers = [chunk for _, _, chunk, _ in studio.chunks(moved.story)]
    assert numbers == list(range(len(numbers)))
    until(lambda: [entry.name for entry in studio.store.leases.replicas()] == [stays])
    again.__exit__()
    owners[stays].__exit__()
