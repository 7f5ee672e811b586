from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import FakeTensorMode

from shotstream.models.block import CausalWanBlock
from shotstream.models.cache_layout import CacheSlot, in_range
from shotstream.models.float8 import Float8Linear, linear_layers, restore_layers, to_float8, use_float8

from .conftest import tiny_transformer
from .eight_bit import can_multiply

pytestmark = pytest.mark.system


@given(st.integers(0, 2**16), st.floats(1e-3, 1e3))
def test_rows_come_back_within_the_formats_precision(seed: int, size: float):
    x = size * torch.randn(4, 32, generator=torch.Generator().manual_seed(seed))
    values, scale = to_float8(x)
    error = (values.float() * scale - x).abs()
    assert (error <= x.abs() / 16 + scale * 2**-9).all()  # three bits of mantissa; the smallest subnormal


def test_a_large_row_costs_the_others_nothing():
    x = torch.ones(2, 16)
    x[0] *= 1e6
    values, scale = to_float8(x)
    torch.testing.assert_close(values.float() * scale, x)


@pytest.mark.skipif(
    not can_multiply(), reason="this torch has no 8-bit products with a scale for each row on a CPU"
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_answers_nearly_as_before(bias: bool):
    torch.manual_seed(0)
    linear = nn.Linear(64, 48, bias=bias).bfloat16()
    x = torch.randn(2, 3, 64).bfloat16()
    expected, found = linear(x).float(), Float8Linear(linear)(x).float()
    assert found.shape == expected.shape
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), 0) > 0.998


@torch.no_grad()
def test_a_block_with_eight_bit_layers_is_one_graph():
    torch.compiler.reset()
    counters.clear()
    with FakeTensorMode():  # traced as everywhere, but not computed: not every torch can on a CPU
        network = nn.Module()
        network.blocks = nn.ModuleList([CausalWanBlock(2, 16, 48, True, 1e-6)])
        for parameter in network.parameters():
            parameter.data = parameter.data.bfloat16()
        block = torch.compile(use_float8(network).blocks[0], fullgraph=True, backend="aot_eager")
        for frames, start in ((6, 0), (3, 6), (3, 9)):
            x = torch.empty(1, frames, 4, 32, dtype=torch.bfloat16)
            caption = (torch.empty(1, 1, 5, 2, 16, dtype=torch.bfloat16),) * 2
            keys, values = (torch.empty(1, 12 * 4, 2, 16, dtype=torch.bfloat16) for _ in range(2))
            slot = CacheSlot(keys, values, start * 4, (start + frames) * 4, (start + frames) * 4, True)
            turns = torch.empty(1, frames, 4, 1, 8, 2)
            found = block(x, torch.empty(1, 1, 6, 32), caption, None, turns, None, slot)
            assert found.shape == x.shape
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2  # the context, and chunks wherever they lie
    torch._dynamo.reset()


def test_layers_can_be_put_back():
    network = tiny_transformer().bfloat16()
    layers = linear_layers(network)
    restore_layers(use_float8(network), layers)
    assert linear_layers(network) == layers
    assert not any(isinstance(module, Float8Linear) for module in network.modules())


def test_captions_and_outer_layers_stay_as_they_are():
    network = use_float8(tiny_transformer().bfloat16())
    eight_bit = {name for name, module in network.named_modules() if isinstance(module, Float8Linear)}
    assert len(eight_bit) == 2 * 6  # q, k, v, out and two of the feed-forward, in two blocks
    assert not any("attn2" in name for name in eight_bit)


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="need a model in bfloat16, this one is in torch"):
        use_float8(tiny_transformer())


def test_what_does_not_fit_eight_bits_is_cut_off():
    assert in_range(torch.tensor([1e4, -1e4]), torch.float8_e4m3fn).tolist() == [448, -448]
    assert in_range(torch.tensor([1e4]), torch.float32).item() == 1e4
