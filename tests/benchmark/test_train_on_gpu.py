"""Training on a machine without network: what is sent back in pieces is what was made."""

import argparse
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

import shotstream

pytestmark = pytest.mark.system

ROOT = Path(shotstream.__file__).parents[2]


@pytest.fixture(scope="module")
def on_gpu():
    return SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "train_on_gpu.py")))


def test_weights_come_back_in_half_precision_from_several_pieces(on_gpu, tmp_path, monkeypatch):
    export = tmp_path / "export"
    (export / "transformer").mkdir(parents=True)
    weights = {"a": torch.randn(100, 30), "count": torch.tensor([7])}
    save_file(weights, export / "transformer" / "model.safetensors")
    (export / "transformer" / "config.json").write_text("{}")
    monkeypatch.setitem(on_gpu.pack.__globals__, "PIECE_BYTES", 3000)
    pieces = on_gpu.pack({"teacher": export, "judge": export}, tmp_path)
    assert len(pieces) > 3
    assert all(piece.stat().st_size <= 3000 for piece in pieces)
    assert on_gpu.join(tmp_path, tmp_path / "run") == ["judge", "teacher"]
    again = load_file(tmp_path / "run" / "teacher" / "export" / "transformer" / "model.safetensors")
    assert torch.equal(again["a"], weights["a"].half())
    assert torch.equal(again["count"], weights["count"])
    assert (tmp_path / "run" / "teacher" / "export" / "transformer" / "config.json").read_text() == "{}"


def test_stages_without_room_are_left_out_and_named(on_gpu, tmp_path):
    given = argparse.Namespace(
        wheels=None, out=tmp_path / "out", run=tmp_path / "runs", budget=5, device="cpu", settings=[]
    )
    assert on_gpu.train(given) == 0
    report = json.loads((tmp_path / "out" / "train.json").read_text())
    assert set(report["stages"]) == set(on_gpu.ORDER)
    assert all(stage["state"].startswith("left out: ") for stage in report["stages"].values())
    assert report["recipe"]["name"] == "mini-gpu"


def test_all_stages_are_in_the_order(on_gpu):
    from shotstream.training.workspace import STAGES

    assert set(on_gpu.ORDER) == set(STAGES)
    assert set(on_gpu.STUDENTS) <= set(STAGES)
