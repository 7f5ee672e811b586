"""A run folder goes on from what can be read, and says what changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from shotstream.training.learner import Learner
from shotstream.training.run import RunFolder
from shotstream.training.settings import Loop, Optimiser, StageSettings
from shotstream.training.stage import Role

pytestmark = pytest.mark.unit


def settings(steps: int = 10) -> StageSettings:
    return StageSettings(loop=Loop(steps=steps))


def learner(width: int = 2) -> dict[str, Learner]:
    network = nn.Linear(width, 1)
    nn.init.zeros_(network.weight)
    return {"student": Learner(Role(network, Optimiser()), 0.9, 10)}


def weight(learners: dict[str, Learner]) -> float:
    return next(learners["student"].role.module.parameters())[0, 0].item()


def begun(folder: Path) -> None:
    """A run of three checkpoints, at steps 1, 2 and 3, whose weights are their steps."""
    run, learners = RunFolder(folder, settings()), learner()
    assert run.resume(learners) == 0
    for step in (1, 2, 3):
        nn.init.constant_(learners["student"].role.module.weight, float(step))  # type: ignore[arg-type]
        run.save(step, learners)
    run.close()


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b""
    path.write_bytes(data)


def test_the_newest_checkpoint_is_taken(tmp_path: Path) -> None:
    begun(tmp_path)
    learners, said = learner(), []
    assert RunFolder(tmp_path, settings()).resume(learners, said.append) == 3
    assert (weight(learners), said) == (3.0, [])


@pytest.mark.parametrize("how", ["damaged", "gone", "empty", "no_checkpoint"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, how: str) -> None:
    begun(tmp_path)
    newest = tmp_path / "checkpoint.pt"
    if how == "damaged":
        damage(newest)
    elif how == "gone":
        newest.unlink()
    elif how == "empty":
        newest.write_bytes(b"")
    else:
        newest.write_text("not a checkpoint")
    learners, said = learner(), []
    assert RunFolder(tmp_path, settings()).resume(learners, said.append) == 2
    assert weight(learners) == 2.0
    if how != "gone":
        assert "checkpoint.pt cannot be read" in said[0]
        assert "goes on from the checkpoint before, at step 2" in said[0]


def test_without_any_readable_checkpoint_the_run_stays_as_it_is(tmp_path: Path) -> None:
    begun(tmp_path)
    for name in ("checkpoint.pt", "checkpoint-before.pt"):
        damage(tmp_path / name)
    with pytest.raises(ValueError, match=r"No checkpoint of .* can be read: .*Put one back from a copy"):
        RunFolder(tmp_path, settings(20)).resume(learner())
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text())["loop"]["steps"] == 10


def test_what_changed_is_told_and_written_down(tmp_path: Path) -> None:
    begun(tmp_path)
    said: list[str] = []
    assert RunFolder(tmp_path, settings(20)).resume(learner(), said.append) == 3
    assert said == [f"Changed since {tmp_path} was begun: loop.steps: 10 -> 20."]
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text())["loop"]["steps"] == 20


def test_a_setting_that_did_not_exist_when_the_run_was_begun_had_its_default(tmp_path: Path) -> None:
    begun(tmp_path)
    path = tmp_path / "settings.yaml"
    tree = yaml.safe_load(path.read_text())
    del tree["loop"]["loss_limit"], tree["optimiser"]["name"]
    path.write_text(yaml.safe_dump(tree))
    assert RunFolder(tmp_path, settings()).changes == []
    other = settings().model_copy(update={"optimiser": Optimiser(name="muon")})
    assert RunFolder(tmp_path, other).changes == ["optimiser.name: adamw -> muon"]


def test_other_networks_are_refused_and_the_settings_stay(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(ValueError, match=r"does not fit the recipe any more: loop.steps: 10 -> 20\."):
        RunFolder(tmp_path, settings(20)).resume(learner(width=3))
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text())["loop"]["steps"] == 10
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3
