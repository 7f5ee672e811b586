from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from shotstream.loading.hashes import count_weights, hash_weights, sample_weights, weight_files

pytestmark = pytest.mark.unit


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


def test_samples_tell_networks_and_vocabularies_apart(tmp_path):
    first, same = save(tmp_path / "a", 1.0), save(tmp_path / "b", 1.0)
    assert sample_weights(first) == sample_weights(same)
    others = [save(tmp_path / "c", 2.0), save(tmp_path / "d", 1.0, "transformer/model.safetensors")]
    assert len({sample_weights(folder) for folder in [first, *others]}) == 3
    (same / "config.json").write_text("{}")
    assert sample_weights(first) != sample_weights(same)


def test_every_weight_is_sampled(tmp_path):
    weights = {"table": torch.zeros(9000), "scale": torch.zeros(1)}
    folder = save(tmp_path, 1.0)
    seen = set()
    for name in weights:
        save_file({**weights, name: weights[name] + 1}, folder / "vae/model.safetensors")
        seen.add(sample_weights(folder))
        assert count_weights(folder) == 9001
    assert len(seen) == 2


def test_numbers_are_counted(tmp_path):
    save(tmp_path, 1.0)
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(())}, tmp_path / "b.safetensors")
    assert count_weights(tmp_path) == 1 + 6 + 1
