"""Names that are taken off, and indices that are not trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from shotstream.loading.weight_files import CheckpointError, WeightFile, read_metadata, read_weights

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("model.blocks.0.weight", "blocks.0.weight"),
        ("base_model.model.model.module.weight", "weight"),
        ("blocks.0._orig_mod.weight", "blocks.0.weight"),
        ("text_model.encoder.weight", "text_model.encoder.weight"),
        ("submodule.weight", "submodule.weight"),
        ("blocks.0.submodule.weight", "blocks.0.submodule.weight"),
    ],
)
def test_only_whole_words_are_taken_off_as_wrappers(name, plain):
    assert list(WeightFile.pick({name: torch.zeros(1)}, Path("a file")).tensors) == [plain]


@pytest.mark.parametrize("name", ["..", "../a.safetensors", "inner", 5, None])
def test_an_index_names_only_safetensors_files_beside_it(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="names files outside its folder"):
        read_weights(tmp_path)


def test_headers_are_read_from_a_file_or_folder(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": "pt", "note": "hello"})
    assert read_metadata(path)["note"] == read_metadata(tmp_path)["note"] == "hello"
    assert read_metadata(tmp_path / "a.pt") == {}
