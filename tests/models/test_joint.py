from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import FakeTensorMode

from shotstream.loading.folders import align_weights
from shotstream.models import float8
from shotstream.models.block import CausalWanBlock, WanFeedForward
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.float8 import Float8Linear, use_float8
from shotstream.models.joint import Joint, joint_of, lay_together
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.training.self_forcing import lora_config

from .conftest import tiny_transformer
from .eight_bit import can_multiply

pytestmark = pytest.mark.system


def joined(network: CausalWanTransformer3DModel) -> CausalWanTransformer3DModel:
    assert all([block.attn1.join_projections() for block in network.blocks])
    return network


def is_joined(network: CausalWanTransformer3DModel) -> bool:
    with torch.no_grad():
        return network.blocks[0].attn1.joint_projections() is not None


@torch.no_grad()
def flow(network: CausalWanTransformer3DModel) -> Tensor:
    latents = torch.randn(1, 3, 4, 4, 6, generator=torch.Generator().manual_seed(1))
    captions = torch.randn(1, 1, 5, 12, generator=torch.Generator().manual_seed(2))
    dtype = network.dtype
    return network(latents.to(dtype), torch.tensor([500.0]), captions.to(dtype)).sample


def test_joined_layers_give_the_same_but_for_rounding():
    one_by_one, together = tiny_transformer(), joined(tiny_transformer())
    assert is_joined(together)
    assert not is_joined(one_by_one)
    torch.testing.assert_close(flow(together), flow(one_by_one), atol=1e-5, rtol=1e-5)


def test_weights_keep_names_and_values_and_lie_in_memory_once():
    before, after = tiny_transformer().state_dict(), joined(tiny_transformer()).state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    weights = [after[f"blocks.0.attn1.to_{name}.weight"] for name in "qkv"]
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
    assert weights[0].untyped_storage().nbytes() == sum(weight.nbytes for weight in weights)


@pytest.mark.parametrize("size", ["10GB", "20KB"])
def test_joined_layers_are_saved_and_loaded(tmp_path, size: str):
    network = joined(tiny_transformer())
    network.save_pretrained(tmp_path, max_shard_size=size)
    loaded = CausalWanTransformer3DModel.from_pretrained(tmp_path)
    align_weights({"transformer": loaded})  # as pipelines do: some processors round otherwise without
    assert not is_joined(loaded)
    assert torch.equal(flow(loaded), flow(tiny_transformer()))
    loaded.load_state_dict(joined(loaded).state_dict())
    assert is_joined(loaded)


def test_a_copy_stands_for_itself():
    network = joined(tiny_transformer())
    twin = copy.deepcopy(network)
    with torch.no_grad():
        network.blocks[0].attn1.to_k.weight.add_(1)
    assert torch.equal(flow(twin), flow(tiny_transformer()))


def test_weights_changed_in_place_count():
    one_by_one, together = tiny_transformer(), joined(tiny_transformer())
    for network in (one_by_one, together):
        with torch.no_grad():
            network.blocks[0].attn1.to_k.weight.add_(0.1)
            network.blocks[1].attn1.to_q.bias.add_(0.1)
    assert is_joined(together)
    torch.testing.assert_close(flow(together), flow(one_by_one), atol=1e-5, rtol=1e-5)


def _replace_data(network):
    network.blocks[0].attn1.to_k.weight.data = network.blocks[0].attn1.to_k.weight + 0.1


def _replace_bias(network):
    network.blocks[0].attn1.to_v.bias = nn.Parameter(torch.ones(32))


def _replace_layer(network):
    torch.manual_seed(3)
    network.blocks[0].attn1.to_q = nn.Linear(32, 32)


def _transpose(network):
    network.blocks[0].attn1.to_q.weight.data = network.blocks[0].attn1.to_q.weight.data.T


def _exchange(network):
    attention = network.blocks[0].attn1
    attention.to_q, attention.to_k = attention.to_k, attention.to_q


def _add_adapter(network):
    pytest.importorskip("peft")
    torch.manual_seed(3)
    network.add_adapter(lora_config(2))
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)


def _hook(network):
    network.blocks[0].attn1.to_k.register_forward_hook(lambda layer, arguments, result: result + 1)


def _replace_forward(network):
    layer = network.blocks[0].attn1.to_k
    honest = layer.forward
    layer.forward = lambda x: honest(x) + 1


def _move(network):
    network.double().float()


@pytest.mark.parametrize(
    "change",
    [
        _replace_data,
        _replace_bias,
        _replace_layer,
        _transpose,
        _exchange,
        _add_adapter,
        _hook,
        _replace_forward,
        _move,
    ],
)
def test_layers_that_are_no_longer_joined_are_computed_one_by_one(change: Callable[[nn.Module], object]):
    one_by_one, together = tiny_transformer(), joined(tiny_transformer())
    change(one_by_one)
    change(together)
    assert not is_joined(together)
    torch.testing.assert_close(flow(together), flow(one_by_one), atol=1e-5, rtol=1e-5)


def test_layers_that_are_no_longer_joined_can_be_joined_again():
    network = joined(tiny_transformer())
    _replace_data(network)
    assert is_joined(joined(network))


@torch.no_grad()
def test_a_product_with_gelu_gives_the_same_but_for_its_kind(monkeypatch):
    layers, x = WanFeedForward(32, 48), torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    expected = layers(x)
    layers.gelu_in_product = True
    assert torch.equal(layers(x), expected)  # not on a CPU
    monkeypatch.setattr(WanFeedForward, "gelu_devices", ("cpu",))
    assert not torch.equal(layers(x), expected)
    torch.testing.assert_close(layers(x), expected, atol=1e-3, rtol=0)  # by erf here
    with torch.enable_grad():
        assert torch.equal(layers(x), expected)
    layers.net[0].proj.register_forward_hook(lambda layer, arguments, result: result + 1)
    assert not layers.can_compute_gelu(x)


def test_gradients_reach_joined_layers():
    network = joined(tiny_transformer())
    network(
        torch.randn(1, 3, 4, 4, 6), torch.tensor([500.0]), torch.randn(1, 1, 5, 12)
    ).sample.sum().backward()
    attention = network.blocks[0].attn1
    assert all(
        layer.weight.grad.abs().sum() > 0 for layer in (attention.to_q, attention.to_k, attention.to_v)
    )


def test_layers_that_do_not_match_are_left_alone():
    plain = nn.Linear(16, 16)
    for other in (
        nn.Linear(16, 16, bias=False),
        nn.Linear(8, 16),
        nn.Linear(16, 16).double(),
        nn.Identity(),
        Float8Linear(nn.Linear(16, 16).bfloat16()),
    ):
        assert not lay_together((plain, other))
        assert not lay_together((other, plain))


def test_layers_that_lie_apart_in_one_memory_are_no_joint():
    layers = nn.Linear(8, 4), nn.Linear(8, 4), nn.Linear(8, 4)
    assert lay_together(layers)
    with torch.no_grad():
        assert joint_of(layers[:2])
        assert joint_of(layers[1:])
        assert joint_of((layers[0], layers[2])) is None


def test_eight_bit_layers_are_joined_too(monkeypatch):
    one_by_one, together = (
        use_float8(tiny_transformer().bfloat16()),
        use_float8(tiny_transformer().bfloat16()),
    )
    joined(together)
    assert is_joined(together)
    assert all(
        torch.equal(value, one_by_one.state_dict()[name]) for name, value in together.state_dict().items()
    )
    if not can_multiply():
        pytest.skip("this torch has no 8-bit products with a scale for each row on a CPU")
    honest, quantised = float8.to_float8, []

    def count(x: Tensor) -> tuple[Tensor, Tensor]:
        quantised.append(x)
        return honest(x)

    monkeypatch.setattr(float8, "to_float8", count)
    expected, separate = flow(one_by_one), len(quantised)
    torch.testing.assert_close(flow(together), expected, atol=2e-2, rtol=2e-2)
    assert (separate, len(quantised) - separate) == (2 * 6, 2 * 4)


@torch.no_grad()
@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_fused_block_is_one_graph(monkeypatch, eight_bit: bool):
    targets = []

    def look(graph: torch.fx.GraphModule, _) -> torch.fx.GraphModule:
        targets.append([node.target for node in graph.graph.nodes])
        return graph

    torch.compiler.reset()
    counters.clear()
    monkeypatch.setattr(WanFeedForward, "gelu_devices", ("cpu",))
    with FakeTensorMode():  # traced as on a GPU, but not computed
        network = nn.Module()
        network.blocks = nn.ModuleList([CausalWanBlock(2, 16, 48, True, 1e-6)])
        for parameter in network.parameters():
            parameter.data = parameter.data.bfloat16()
        if eight_bit:
            use_float8(network)
        network.blocks[0].ffn.gelu_in_product = True
        joint = _joint_like(network.blocks[0].attn1.to_q, 3)
        block = torch.compile(network.blocks[0], fullgraph=True, backend=look)
        for frames, start in ((6, 0), (3, 6), (3, 9)):
            x = torch.empty(1, frames, 4, 32, dtype=torch.bfloat16)
            caption = (torch.empty(1, 1, 5, 2, 16, dtype=torch.bfloat16),) * 2
            keys, values = (torch.empty(1, 12 * 4, 2, 16, dtype=torch.bfloat16) for _ in range(2))
            slot = CacheSlot(keys, values, start * 4, (start + frames) * 4, (start + frames) * 4, True)
            turns = torch.empty(1, frames, 4, 1, 8, 2)
            found = block(x, torch.empty(1, 1, 6, 32), caption, None, turns, None, slot, joint)
            assert found.shape == x.shape
    assert not counters["graph_break"]
    assert len(targets) == 2  # the context, and chunks wherever they lie
    gelu, linear, scaled = (
        targets[0].count(target)
        for target in (torch._addmm_activation, nn.functional.linear, torch._scaled_mm)
    )
    # self-attention's two, cross-attention's two and the feed-forward's second, if GELU is in its first
    assert (gelu, linear, scaled) == ((0, 2, 4) if eight_bit else (1, 5, 0))
    torch._dynamo.reset()


def _joint_like(layer: nn.Module, count: int) -> Joint:
    """A joint of so many layers without memory."""
    tensors = layer.weight, layer.bias, getattr(layer, "weight_scale", None)
    return Joint(*(None if part is None else torch.cat([part.detach()] * count) for part in tensors))
