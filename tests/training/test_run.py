"""A run folder goes on from what can be read, and says what changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from shotstream.training.run import RunFolder
from shotstream.training.settings import Optimiser

from .learners import learner, settings, weight

pytestmark = pytest.mark.unit


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


class Hostile:
    def __reduce__(self):
        return print, ("run!",)


UNREADABLE = {
    "cut off": (damage, "checkpoint.pt is cut off (a zip archive without its end); the run goes on from"),
    "gone": (Path.unlink, ""),
    "empty": (lambda path: path.write_bytes(b""), "checkpoint.pt is empty; the run goes on"),
    "a text": (
        lambda path: path.write_text("hello"),
        'checkpoint.pt is a text that begins with "hello", not weights;',
    ),
    "a list": (lambda path: torch.save([1], path), "checkpoint.pt is damaged, or is no checkpoint;"),
    "weights": (
        lambda path: torch.save({"a": torch.ones(1)}, path),
        "checkpoint.pt is damaged, or is no checkpoint;",
    ),
    "without step": (
        lambda path: torch.save({"learners": {}}, path),
        "checkpoint.pt is damaged, or is no checkpoint;",
    ),
    "hostile": (
        lambda path: torch.save({"step": Hostile()}, path),
        "checkpoint.pt is damaged, or is no checkpoint;",
    ),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, how: str, capfd) -> None:
    begun(tmp_path)
    write, sentence = UNREADABLE[how]
    write(tmp_path / "checkpoint.pt")
    learners, said = learner(), []
    assert RunFolder(tmp_path, settings(20)).resume(learners, said.append) == 2
    assert weight(learners) == 2.0
    assert capfd.readouterr().out == ""
    if sentence:
        assert said[0].startswith(sentence)
        assert said[0].endswith("the run goes on from the checkpoint before, at step 2.")


def test_a_folder_in_the_place_of_a_checkpoint_is_told(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    (tmp_path / "checkpoint.pt").mkdir()
    with pytest.raises(
        ValueError, match=r"checkpoint.pt is a folder, where the run has its checkpoint; move it away"
    ):
        RunFolder(tmp_path, settings()).resume(learner())


@pytest.mark.parametrize("content", [b"a: [", b"[1]", b"\xff\xfe\0", b"5"])
def test_settings_that_cannot_be_read_are_told_and_written_anew(tmp_path: Path, content: bytes) -> None:
    begun(tmp_path)
    (tmp_path / "settings.yaml").write_bytes(content)
    said: list[str] = []
    assert RunFolder(tmp_path, settings(20)).resume(learner(), said.append) == 3
    assert "settings.yaml cannot be read, so what has changed since the run was begun is not known" in said[0]
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text())["loop"]["steps"] == 20


def test_damaged_lines_of_metrics_are_left_out(tmp_path: Path) -> None:
    begun(tmp_path)
    lines = b'{"step": 1, "loss": 2}\n{"step"\n\xff\xff\n[]\n{"loss": 1}\n{"step": 9, "loss": 1}\n'
    (tmp_path / "metrics.jsonl").write_bytes(lines)
    assert RunFolder(tmp_path, settings()).resume(learner()) == 3
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 2}\n'


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
