"""Norm, rotation and the write into the cache as one operation, for which a GPU has one kernel.

Queries, keys and values of a pass come out of one product. Otherwise several kernels norm and turn queries
and keys, and copy keys and values into the cache's slot, and write and read what lies between. On a CPU the
operation is those steps, one after the other.

Legend: B batch, F latent frames, N tokens of one frame, T = F N, D width, H heads, d head size.
"""

from __future__ import annotations

import importlib.util

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.library import custom_op

from shotstream.models.cache_layout import CacheSlot
from shotstream.models.rope import rotate

DEVICES = ("cuda",)
"""Where there is a kernel."""


def lacks_kernel(device: torch.device) -> str | None:
    """Why the kernel cannot run on a device; None if it can, as far as can be told without trying."""
    if device.type not in DEVICES:
        return "only a GPU has a kernel for it"
    if importlib.util.find_spec("triton") is None:
        return "it needs Triton, which comes with torch for CUDA"
    return None


def write_to_cache(
    qkv: Tensor, norms: tuple[Tensor, Tensor], turns: Tensor, slot: CacheSlot, eps: float
) -> Tensor:
    """Norm and turn queries and keys, and write keys and values into the slot.

    Args:
        qkv: Queries, keys and values side by side, [B, F, N, 3 D].
        norms: Weights [D] of the RMS norms of queries and keys.
        turns: float32 [1 or B, F, N, 1, d / 2, 2], see ``rope.rotary_table``.
        slot: A layer's place in the cache, in place.
        eps: Of the norms.

    Returns:
        Queries [B, T, H, d].
    """
    heads, size = slot.keys.shape[2:]
    tokens = qkv.flatten(1, 2)
    table = turns.expand(qkv.shape[0], -1, -1, -1, -1, -1).flatten(1, 2).reshape(*tokens.shape[:2], size)
    norm_q, norm_k = (weight.type_as(qkv) for weight in norms)
    query = _write(tokens, norm_q, norm_k, table, slot.keys, slot.values, slot.start, eps)
    return query.unflatten(-1, (heads, size))


def write_in_steps(
    qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    turns: Tensor,
    keys: Tensor,
    values: Tensor,
    start: int,
    eps: float,
) -> Tensor:
    """The operation one step after the other, on any device.

    Args:
        qkv: [B, T, 3 D].
        norm_q: [D].
        norm_k: [D].
        turns: [B, T, d].
        keys: [B, capacity, H, d], changed.
        values: Like `keys`.
        start: First token of the slot.
        eps: Of the norms.

    Returns:
        Queries [B, T, D].
    """
    query, key, value = qkv.chunk(3, -1)
    table = turns.unflatten(-1, (1, -1, 2))

    def turn(x: Tensor, weight: Tensor) -> Tensor:
        normed = functional.rms_norm(x, x.shape[-1:], weight, eps)
        return rotate(normed.unflatten(-1, keys.shape[2:]), table)

    own = value.unflatten(-1, values.shape[2:])
    CacheSlot(keys, values, start, start + qkv.shape[1], 0, True).extend(turn(key, norm_k), own)
    return turn(query, norm_q).flatten(-2)


_write = custom_op(
    "shotstream::write_to_cache",
    write_in_steps,
    mutates_args=("keys", "values"),
    device_types="cpu",
    schema="(Tensor qkv, Tensor norm_q, Tensor norm_k, Tensor turns, Tensor(a!) keys, Tensor(b!) values, "
    "SymInt start, float eps) -> Tensor",
)


@torch.no_grad()
def cache_write_error(
    heads: int, head_dim: int, dtype: torch.dtype, cached: torch.dtype, device: torch.device
) -> float:
    """How far the kernel of a device is from the steps: queries, keys and values, in the slot and outside it.

    Args:
        heads: H.
        head_dim: d.
        dtype: Of a pass.
        cached: Of the cache.
        device: Where.

    Returns:
        The largest norm of a difference by the norm of what was expected.
    """
    generator, tokens, start, eps = torch.Generator(device).manual_seed(0), 37, 5, 1e-6
    width = heads * head_dim

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, generator=generator)

    qkv, weights = draw(2, tokens, 3 * width).to(dtype), (1 + 0.1 * draw(2, width)).to(dtype)
    angles = draw(2, tokens, head_dim // 2)
    turns = torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
    results = []
    for write in (_write, write_in_steps):
        keys, values = (torch.ones(2, 50, heads, head_dim, device=device).to(cached) for _ in range(2))
        query = write(qkv, weights[0], weights[1], turns, keys, values, start, eps)
        results.append((query, keys, values))
    pairs = [(found.float(), expected.float()) for found, expected in zip(*results, strict=True)]
    return max(((found - expected).norm() / expected.norm()).item() for found, expected in pairs)


@_write.register_kernel("cuda")
def _write_on_gpu(
    qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    turns: Tensor,
    keys: Tensor,
    values: Tensor,
    start: int,
    eps: float,
) -> Tensor:
    from shotstream.models.cache_write_kernel import launch

    with torch.cuda.device(qkv.device):
        return launch(qkv.contiguous(), norm_q, norm_k, turns, keys, values, start, eps)


@_write.register_fake
def _write_like(
    qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    turns: Tensor,
    keys: Tensor,
    values: Tensor,
    start: int,
    eps: float,
) -> Tensor:
    return qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
