from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.loading.eight_bit import EightBitLinear, to_eight_bit

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("bias", [True, False])
def test_a_weight_moves_by_half_a_scale_at_most(bias):
    torch.manual_seed(0)
    linear = nn.Linear(32, 8, bias=bias)
    eight = EightBitLinear(linear)
    off = eight.weight * eight.scale[:, None] - linear.weight
    assert (off.abs().amax(dim=1) <= linear.weight.abs().amax(dim=1) / 254 * 1.001).all()
    x = torch.randn(5, 3, 32)
    exact, found = linear(x), eight(x)
    assert (found - exact).norm() < 0.01 * exact.norm()
    assert not torch.equal(found, exact)


def test_a_row_of_zeros_stays_so():
    linear = nn.Linear(4, 2, bias=False)
    nn.init.zeros_(linear.weight)
    assert torch.equal(EightBitLinear(linear)(torch.ones(4)), torch.zeros(2))


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 0.02), (torch.bfloat16, 0.03)])
def test_umt5_in_eight_bits_says_nearly_the_same(dtype, most):
    torch.manual_seed(0)
    config = UMT5Config(
        vocab_size=60,
        d_model=64,
        d_kv=16,
        d_ff=160,
        num_layers=4,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    encoder = UMT5EncoderModel(config).eval().to(dtype)
    ids = torch.arange(2, 22)[None]
    with torch.no_grad():
        exact = encoder(ids).last_hidden_state.float()
        to_eight_bit(encoder)
        found = encoder(ids).last_hidden_state.float()
    assert sum(isinstance(module, EightBitLinear) for module in encoder.modules()) == 4 * 7
    assert not any(isinstance(module, nn.Linear) for module in encoder.modules())
    distance = (found - exact).norm() / exact.norm()
    assert 0 < distance < most
    assert encoder.dtype == dtype
