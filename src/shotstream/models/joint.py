"""Several linear layers of one input as one product, which a GPU computes faster than one after the other.

The layers stay what they are. Their weights are laid out behind one another in memory, so that all of them
together are one matrix. Whether they lie so is looked up whenever the matrix is wanted, so that changed,
replaced, moved and wrapped layers are never computed with old weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from shotstream.models.float8 import Float8Linear, multiply_float8

_TENSORS = {nn.Linear: ("weight", "bias"), Float8Linear: ("weight", "bias", "weight_scale")}
"""What a layer that can be joined consists of; each tensor has a row for each output."""


class Joint(NamedTuple):
    """Tensors of several layers, which have `outputs` channels together and share their memory."""

    weight: Tensor
    """[outputs, inputs]."""
    bias: Tensor
    """[outputs]."""
    weight_scale: Tensor | None = None
    """Of 8-bit weights, float32 [outputs, 1]."""

    def multiply(self, x: Tensor) -> Tensor:
        """Apply the layers to ``x`` [..., inputs]; their results lie side by side in [..., outputs]."""
        if self.weight_scale is None:
            return functional.linear(x, self.weight, self.bias)
        return multiply_float8(x, self.weight, self.weight_scale, self.bias)


def is_hooked(layer: nn.Module) -> bool:
    """Whether a layer does more than its class says, to cast or move its weights for instance."""
    return "forward" in vars(layer) or bool(layer._forward_hooks or layer._forward_pre_hooks)


def lay_together(layers: Sequence[nn.Module]) -> bool:
    """Lay the tensors of layers out behind one another, in place; values and names stay.

    Returns:
        Whether that can be done: they are of one kind, one size of input, one format, and have biases.
    """
    columns = _tensors(layers)
    if columns is None or any(len({(part.dtype, part.shape[1:]) for part in parts}) > 1 for parts in columns):
        return False
    for parts in columns:
        whole = torch.cat([part.detach() for part in parts])
        for part, place in zip(parts, whole.split([len(part) for part in parts]), strict=True):
            part.data = place
    return True


def joint_of(layers: Sequence[nn.Module]) -> Joint | None:
    """Find the joint tensors of layers that `lay_together` laid out.

    Returns:
        None if they do not lie so any more, or if a gradient is wanted, which would not reach the layers.
    """
    if torch.is_grad_enabled():
        return None
    columns = _tensors(layers)
    if columns is None:
        return None
    wholes = [whole for parts in columns if (whole := _whole(parts)) is not None]
    return Joint(*wholes) if len(wholes) == len(columns) else None


def _tensors(layers: Sequence[nn.Module]) -> list[tuple[Tensor, ...]] | None:
    """The weights of layers, their biases and so on; None if they are not of one kind that can be joined."""
    kind = type(layers[0])
    if kind not in _TENSORS or any(type(layer) is not kind or is_hooked(layer) for layer in layers):
        return None
    columns = [tuple(getattr(layer, name) for layer in layers) for name in _TENSORS[kind]]
    return None if any(part is None for parts in columns for part in parts) else columns


def _whole(parts: Sequence[Tensor]) -> Tensor | None:
    """The tensor whose rows are those of all parts, if they lie behind one another in one memory."""
    first = parts[0]
    place = first.storage_offset()
    for part in parts:
        alike = part.dtype == first.dtype and part.shape[1:] == first.shape[1:]
        if part.storage_offset() != place or not part.is_contiguous() or not alike:
            return None
        place += part.numel()
    if len({part.untyped_storage().data_ptr() for part in parts}) > 1:
        return None
    rows = sum(len(part) for part in parts)
    return first.detach().as_strided((rows, *first.shape[1:]), first.stride())
