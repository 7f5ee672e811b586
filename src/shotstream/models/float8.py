"""Linear layers with 8-bit floating point weights and inputs, for GPUs that multiply these twice as fast.

Every row of weights and every token has its own scale, so that one large value costs no other its precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

FORMAT = torch.float8_e4m3fn
LARGEST = torch.finfo(FORMAT).max
PARTS = ("attn1", "ffn")
"""Of a block: where its large products are."""

Network = TypeVar("Network", bound=nn.Module)


class Float8Linear(nn.Module):
    """A linear layer in `FORMAT`; gives its result in bfloat16.

    Args:
        linear: The layer it stands for.
    """

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = to_float8(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("weight_scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last dimension of `x`; see `multiply_float8`."""
        return multiply_float8(x, self.weight, self.weight_scale, self.bias)


def multiply_float8(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply in `FORMAT` and bfloat16, and give back in the dtype of ``x``.

    Args:
        x: [..., inputs].
        weight: `FORMAT` [outputs, inputs].
        weight_scale: float32 [outputs, 1].
        bias: bfloat16 [outputs].

    Returns:
        [..., outputs].

    Raises:
        RuntimeError: If this device or this torch has no such product (a CPU before torch 2.13, say).
    """
    rows, scale = to_float8(x.flatten(0, -2))
    # not functional.scaled_mm: torch 2.11 cannot trace it, and a block is compiled as one graph
    out = torch._scaled_mm(
        rows,
        weight.T,
        scale_a=scale,
        scale_b=weight_scale.T,
        bias=bias,
        out_dtype=torch.bfloat16,
        use_fast_accum=x.is_cuda,
    )
    return out.unflatten(0, x.shape[:-1]).type_as(x)


def to_float8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale the rows of ``x`` [rows, channels] into the format's range; return them and scales [rows, 1]."""
    scale = x.abs().amax(-1, keepdim=True).float().clamp(min=1e-12) / LARGEST
    return (x / scale).clamp(-LARGEST, LARGEST).to(FORMAT), scale


def linear_layers(network: nn.Module, parts: tuple[str, ...] = PARTS) -> dict[str, nn.Linear]:
    """Find the linear layers of some parts of every block.

    Args:
        network: A network with ``blocks``.
        parts: Names of modules in a block.

    Returns:
        The layers by their names in the network.
    """
    return {
        f"blocks.{block_name}.{name}": module
        for block_name, block in network.get_submodule("blocks").named_children()
        for name, module in block.named_modules()
        if isinstance(module, nn.Linear) and name.split(".")[0] in parts
    }


def use_float8(network: Network, parts: tuple[str, ...] = PARTS) -> Network:
    """Replace the linear layers of some parts of every block, in place.

    Args:
        network: A network with ``blocks``.
        parts: Names of modules in a block.

    Raises:
        ValueError: If it is not in bfloat16, the only format that these layers answer in.
    """
    for name, layer in linear_layers(network, parts).items():
        if layer.weight.dtype != torch.bfloat16:
            raise ValueError(
                f"8-bit layers need a model in bfloat16, this one is in {layer.weight.dtype}; "
                "load it with dtype=torch.bfloat16"
            )
        network.set_submodule(name, Float8Linear(layer), strict=True)
    return network


def restore_layers(network: nn.Module, layers: Mapping[str, nn.Linear]) -> None:
    """Put back what `linear_layers` found before `use_float8` replaced it."""
    for name, layer in layers.items():
        network.set_submodule(name, layer, strict=True)
