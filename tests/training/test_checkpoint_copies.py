"""A run whose folder is lost goes on from copies of its checkpoints, on any file system of fsspec."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
import torch
import yaml
from torch import nn

from shotstream.machine.remote_folder import MANIFEST, RemoteError, RemoteFolder
from shotstream.training.checkpoint_copies import CheckpointCopies
from shotstream.training.run import RunFolder
from shotstream.training.workspace import Workspace

from .conftest import tiny_recipe
from .learners import learner, settings, weight
from .run_files import weights


@pytest.mark.unit
def test_a_folder_of_copies_is_one_however_it_is_given(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "teacher"
    given = (f"{tmp_path}/far", f"file://{tmp_path}/far/", "far")
    assert {CheckpointCopies(address, run).remote.shown for address in given} == {f"{tmp_path}/far/teacher"}


def opened(folder: Path, address: str, steps: int = 10) -> RunFolder:
    return RunFolder(folder, settings(steps), copies=CheckpointCopies(address, folder))


def begun(folder: Path, address: str, steps: tuple[int, ...] = (1, 2, 3)) -> None:
    """A run with a checkpoint of every step, whose weights are the step."""
    run, learners = opened(folder, address), learner()
    run.resume(learners, lambda said: None)
    for step in steps:
        nn.init.constant_(learners["student"].role.module.weight, float(step))  # type: ignore[arg-type]
        run.log(step, {"loss": step / 10})
        run.save(step, learners)
    run.close()


@pytest.mark.unit
def test_a_run_goes_on_in_another_folder(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "here/teacher", address)
    learners, said = learner(), []
    assert opened(tmp_path / "there/teacher", address, steps=20).resume(learners, said.append) == 3
    assert weight(learners) == 3.0
    assert said[0].startswith("Goes on from ")
    assert said[0].endswith("far/teacher/checkpoint-000003.")
    assert said[1].endswith("was begun: loop.steps: 10 -> 20.")
    here, there = ((tmp_path / name / "teacher/metrics.jsonl").read_text() for name in ("here", "there"))
    assert there == here
    assert RemoteFolder(f"{address}/teacher").names() == ["checkpoint-000002", "checkpoint-000003"]
    assert not list((tmp_path / "there/teacher").glob(".*"))


@pytest.mark.unit
def test_what_is_here_stays_where_it_is_as_far(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "teacher", address)
    learners, said = learner(), []
    assert opened(tmp_path / "teacher", address).resume(learners, said.append) == 3
    assert said == []


@pytest.mark.unit
def test_a_folder_that_is_behind_is_brought_up_and_keeps_what_it_had(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "here/teacher", address, (1,))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    begun(tmp_path / "here/teacher", address, (2,))
    learners = learner()
    assert opened(tmp_path / "there/teacher", address).resume(learners, lambda said: None) == 2
    assert weight(learners) == 2.0
    before = torch.load(tmp_path / "there/teacher/checkpoint-before.pt", weights_only=True)
    assert before["step"] == 1


@pytest.mark.unit
def test_a_copy_that_was_cut_off_is_passed_over(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "here/teacher", address)
    filesystem, path = fsspec.url_to_fs(f"{address}/teacher/checkpoint-000003/{MANIFEST}")
    filesystem.rm_file(path)
    assert opened(tmp_path / "there/teacher", address).resume(learner(), lambda said: None) == 2


def flip(address: str, name: str) -> None:
    filesystem, path = fsspec.url_to_fs(f"{address}/teacher/{name}/checkpoint.pt")
    content = bytearray(filesystem.cat_file(path))
    content[len(content) // 2] ^= 1
    filesystem.pipe_file(path, bytes(content))


@pytest.mark.unit
def test_a_damaged_copy_is_told_and_the_one_before_taken(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "here/teacher", address)
    flip(address, "checkpoint-000003")
    learners, said = learner(), []
    run = opened(tmp_path / "there/teacher", address)
    assert run.resume(learners, said.append) == 2
    assert weight(learners) == 2.0
    assert "checkpoint-000003 is damaged: checkpoint.pt has another checksum. Goes on from " in said[0]
    run.save(3, learners)
    assert RemoteFolder(f"{address}/teacher").names() == ["checkpoint-000002", "checkpoint-000003"]
    assert opened(tmp_path / "third/teacher", address).resume(learner(), lambda said: None) == 3


@pytest.mark.unit
def test_without_any_copy_that_is_whole_nothing_is_begun_again(address: str, tmp_path: Path) -> None:
    begun(tmp_path / "here/teacher", address)
    for step in (2, 3):
        flip(address, f"checkpoint-00000{step}")
    with pytest.raises(
        RemoteError, match=r"There is no other copy: remove .*teacher to begin the stage again"
    ):
        opened(tmp_path / "there/teacher", address).resume(learner())
    said: list[str] = []
    shutil.copytree(tmp_path / "here/teacher", tmp_path / "old/teacher")
    (tmp_path / "old/teacher/checkpoint.pt").unlink()  # what is left is of step 2
    assert opened(tmp_path / "old/teacher", address).resume(learner(), said.append) == 2
    assert said[0].endswith(f"Goes on from the checkpoint in {tmp_path / 'old/teacher'}.")


@pytest.mark.unit
def test_a_network_that_is_gone_neither_stops_training_nor_begins_it_again(
    address: str, tmp_path: Path, monkeypatch
) -> None:
    begun(tmp_path / "here/teacher", address)
    run, learners, said = opened(tmp_path / "here/teacher", address), learner(), []
    run.resume(learners, said.append)
    kind = type(fsspec.url_to_fs(address)[0])

    def gone(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(kind, "put_file", gone)
    run.save(4, learners, said.append)
    assert said[0].startswith(
        f"The checkpoint of step 4 is whole in {tmp_path / 'here/teacher'}, but not copied"
    )
    assert "no route to host; check the address, your keys and the network." in said[0]
    monkeypatch.undo()
    monkeypatch.setattr(kind, "get_file", gone)
    with pytest.raises(RemoteError, match=r"Could not read .*no route to host"):
        opened(tmp_path / "there/teacher", address).resume(learner())
    monkeypatch.undo()
    assert opened(tmp_path / "there/teacher", address).resume(learner(), said.append) == 3
    run.save(5, learners, said.append)
    assert RemoteFolder(f"{address}/teacher").names() == ["checkpoint-000003", "checkpoint-000005"]


@pytest.mark.system
def test_a_finished_stage_is_fetched_and_not_trained_again(finished, tmp_path: Path, capsys) -> None:
    address, recipe, cpu = str(tmp_path / "far"), tiny_recipe(), torch.device("cpu")
    shutil.copytree(finished.folder, tmp_path / "here")
    shutil.rmtree(tmp_path / "here" / "causal-init")
    for name in ("captions", "autoencoder", "teacher", "causal-init"):
        Workspace(recipe, tmp_path / "here", cpu, checkpoints=address).run(name)
    there = Workspace(recipe, tmp_path / "there", cpu, checkpoints=address)
    assert there.fetch() == ["captions", "autoencoder", "teacher", "causal-init"]
    for name in ("captions", "autoencoder", "teacher", "causal-init"):
        there.run(name)
        assert not (tmp_path / "there" / name / "checkpoint.pt").exists()  # nothing was trained
        made, known = weights(tmp_path / "there" / name), weights(finished.folder / name)
        assert all(torch.equal(made[key], known[key]) for key in known)
    assert not (tmp_path / "there" / "pairs").exists()
    longer = tiny_recipe().model_dump()
    longer["captions"]["loop"]["steps"] = 6
    changed = Workspace(type(recipe).model_validate(longer), tmp_path / "more", cpu, checkpoints=address)
    changed.fetch()
    capsys.readouterr()
    changed.run("captions")
    said = capsys.readouterr().out.replace("\n", "")
    assert "Goes on from " in said
    assert "loop.steps: 4 -> 6" in said


@pytest.mark.system
def test_a_killed_run_goes_on_on_another_machine_as_if_nothing_had_been(tmp_path: Path) -> None:
    """Each machine is a process with a folder of its own; all they share is the address."""
    tree = tiny_recipe().model_dump(mode="json")
    tree["captions"]["loop"] |= {"steps": 400, "checkpoint_every": 20}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    address = f"file://{tmp_path}/far"

    def command(runs: str, *words: str) -> list[str]:
        program = "import sys; from shotstream.cli.main import app; app(sys.argv[1:])"
        given = ("train", "captions", str(tmp_path / "tiny.yaml"), "--device", "cpu", "--runs", runs)
        return [sys.executable, "-c", program, *given, *words]

    alone, first, second = (str(tmp_path / name) for name in ("alone", "first", "second"))
    subprocess.run(command(alone), check=True, capture_output=True)
    copies = RemoteFolder(f"{address}/tiny/captions")
    child = subprocess.Popen(
        command(first, "--checkpoints", address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not any(name >= "checkpoint-000100" for name in copies.names()):
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    shutil.rmtree(first)
    said = subprocess.run(
        command(second, "--checkpoints", address), check=True, capture_output=True, text=True
    ).stdout
    assert "Goes on from " in said
    made, known = weights(Path(second) / "tiny/captions"), weights(Path(alone) / "tiny/captions")
    assert known
    assert all(torch.equal(made[key], known[key]) for key in known)
    steps = [
        [json.loads(line)["step"] for line in (Path(runs) / "tiny/captions/metrics.jsonl").open()]
        for runs in (alone, second)
    ]
    assert steps[0] == steps[1]
    assert copies.names() == ["checkpoint-000380", "checkpoint-000400", "export"]
