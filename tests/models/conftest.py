from __future__ import annotations

import pytest
import torch

from shotstream.models.transformer import CausalWanTransformer3DModel


def tiny_transformer(**config) -> CausalWanTransformer3DModel:
    """A transformer of a few thousand parameters, in which time, row and column all turn channels."""
    torch.manual_seed(0)
    tiny = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 12,
        "text_length": 5,
        "freq_dim": 16,
        "ffn_dim": 48,
        "num_layers": 2,
    }
    return CausalWanTransformer3DModel(**{**tiny, **config}).eval()


@pytest.fixture
def transformer() -> CausalWanTransformer3DModel:
    return tiny_transformer()
