from __future__ import annotations

import pytest
import torch

from shotstream.loading.weight_names import from_original, to_original

from ..models.conftest import tiny_transformer

pytestmark = pytest.mark.unit


def test_there_and_back_again():
    weights = tiny_transformer(spatial_embedding=(2, 3)).state_dict()
    original = to_original(weights)
    assert len(original) == len(weights)
    for prefix in ("", "model."):
        back = from_original({prefix + name: value for name, value in original.items()})
        assert back.keys() == weights.keys()
        assert all(
            back[name] is original_value for name, original_value in zip(back, original.values(), strict=True)
        )


def test_some_names_as_they_are_published():
    names = to_original(tiny_transformer().state_dict()).keys()
    assert {
        "blocks.0.self_attn.norm_q.weight",
        "blocks.1.cross_attn.o.bias",
        "blocks.0.norm3.weight",
        "blocks.0.ffn.2.weight",
        "blocks.0.modulation",
        "time_projection.1.weight",
        "head.head.weight",
        "head.modulation",
    } <= names


@pytest.mark.parametrize("convert", [from_original, to_original])
@pytest.mark.parametrize(
    "name", ["img_emb.proj.0.weight", "blocks.0.nonsense.weight", "blocks.0", "head.head.scale"]
)
def test_a_foreign_name_is_named(convert, name: str):
    with pytest.raises(ValueError, match=name):
        convert({name: torch.zeros(1)})
