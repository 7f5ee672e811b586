"""The kernel of `cache_write`, in Triton; imported where it runs.

Legend: B batch, T tokens of the pass, D width, H heads, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from shotstream.models.float8 import FORMAT


def launch(
    qkv: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    turns: Tensor,
    keys: Tensor,
    values: Tensor,
    start: int,
    eps: float,
) -> Tensor:
    """Run the kernel, a program for each token.

    Args:
        qkv: [B, T, 3 D], contiguous.
        norm_q: [D], of the dtype of `qkv`.
        norm_k: Like `norm_q`.
        turns: float32 [B, T, d].
        keys: [B, capacity, H, d], the last two dimensions contiguous; changed.
        values: Like `keys`.
        start: First token of the slot.
        eps: Of the norms.

    Returns:
        Queries [B, T, D].
    """
    batch, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    size = keys.shape[-1]
    query = torch.empty((batch, tokens, width), device=qkv.device, dtype=qkv.dtype)
    write_kernel[(tokens, batch)](  # pyright: ignore[reportIndexIssue]
        qkv,
        norm_q,
        norm_k,
        turns.contiguous(),
        query,
        keys,
        values,
        start,
        tokens,
        keys.stride(0),
        values.stride(0),
        eps,
        **constants(width, size, keys.dtype),
    )
    return query


def constants(width: int, size: int, stored: torch.dtype) -> dict[str, Any]:
    """What the kernel is built for: D, d / 2, a power of two of pairs of channels, the largest number."""
    limit = torch.finfo(FORMAT).max if stored == FORMAT else 0.0
    return {"D": width, "HALF": size // 2, "PAIRS": triton.next_power_of_2(width // 2), "LIMIT": limit}


@triton.jit
def _norm_and_turn(row, weights, cosine, sine, pairs, inside, eps, D: tl.constexpr):
    """Pairs of channels of one token, normed over all of them and turned, and where they lie in a row."""
    channels = pairs[:, None] * 2 + tl.arange(0, 2)[None, :]
    x = tl.load(row + channels, mask=inside[:, None], other=0.0).to(tl.float32)
    weight = tl.load(weights + channels, mask=inside[:, None], other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(tl.sum(x * x, 1), 0) / D + eps)
    normed = (x * scale * weight).to(row.dtype.element_ty).to(tl.float32)  # rounded once, as torch does
    real, imaginary = tl.split(normed)
    turned = tl.join(real * cosine - imaginary * sine, real * sine + imaginary * cosine)
    return turned.to(row.dtype.element_ty).to(tl.float32), channels


@triton.jit(do_not_specialize=["start"])  # or it is built anew where a slot's place is divisible by 16
def write_kernel(
    qkv,
    norm_q,
    norm_k,
    turns,
    query,
    keys,
    values,
    start,
    tokens,
    key_stride,
    value_stride,
    eps,
    D: tl.constexpr,
    HALF: tl.constexpr,
    PAIRS: tl.constexpr,
    LIMIT: tl.constexpr,
):
    """Norm and turn a token's query and key, and write its key and value into the cache."""
    token, batch = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    pairs = tl.arange(0, PAIRS)
    inside = pairs < D // 2
    place = batch * tokens + token
    table = turns + place * HALF * 2 + (pairs % HALF) * 2
    cosine = tl.load(table, mask=inside, other=0.0)
    sine = tl.load(table + 1, mask=inside, other=0.0)
    row = qkv + place * 3 * D
    turned_query, channels = _norm_and_turn(row, norm_q, cosine, sine, pairs, inside, eps, D)
    turned_key, _ = _norm_and_turn(row + D, norm_k, cosine, sine, pairs, inside, eps, D)
    value = tl.load(row + 2 * D + channels, mask=inside[:, None], other=0.0).to(tl.float32)
    if LIMIT > 0:
        turned_key = tl.minimum(tl.maximum(turned_key, -LIMIT), LIMIT)
        value = tl.minimum(tl.maximum(value, -LIMIT), LIMIT)
    slot = (start + token) * D
    shown = inside[:, None]
    tl.store(query + place * D + channels, turned_query.to(query.dtype.element_ty), mask=shown)
    tl.store(keys + batch * key_stride + slot + channels, turned_key.to(keys.dtype.element_ty), mask=shown)
    tl.store(values + batch * value_stride + slot + channels, value.to(values.dtype.element_ty), mask=shown)
