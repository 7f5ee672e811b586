from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from shotstream.models.fingerprint import hash_weights, weight_files

pytestmark = pytest.mark.cpu


def save(folder, value: float, name: str = "vae/model.safetensors"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": torch.tensor([value])}, path)
    return folder


def test_only_weights_and_their_names_count(tmp_path):
    first, same = save(tmp_path / "a", 1.0), save(tmp_path / "b", 1.0)
    (same / "README.md").write_text("a card")
    assert hash_weights(first) == hash_weights(same)
    others = [save(tmp_path / "c", 2.0), save(tmp_path / "d", 1.0, "transformer/model.safetensors")]
    assert len({hash_weights(folder) for folder in [first, *others]}) == 3
    assert weight_files(first) == [first / "vae" / "model.safetensors"]
