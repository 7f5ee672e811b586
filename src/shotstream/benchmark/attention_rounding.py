"""8-bit attention with each of its roundings by itself, to find which one explains what a GPU gives.

A GPU's matrix units cut what they add up in 8-bit products: summands and the sum so far are brought to the
exponent of the largest and keep some bits of fraction behind its leading one. 13 are reported for Hopper.

Legend: T queries, S keys, H heads, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shotstream.models.attention_float8 import centre
from shotstream.models.cache_layout import in_range
from shotstream.models.float8 import FORMAT, LARGEST

BLOCK_KEYS = 128
"""Keys whose probabilities are worked out together, by their largest so far."""
SUMMED_KEYS = 32
"""Products that a matrix unit adds up at once."""
_HIGHEST = 256.0
"""Results in 8 bits are scaled to at most this, as `attend_float8` does."""


@dataclass(frozen=True)
class Rounding:
    """What is rounded, and how."""

    inputs: bool = True
    """Queries, keys and values to 8 bits."""
    result: bool = True
    """The result to 8 bits."""
    probability_scale: float | None = 256.0
    """What probabilities are multiplied by and then rounded to 8 bits; None leaves them alone."""
    sum_bits: int | None = None
    """Bits of fraction in the sums of probabilities times values; None sums in float32."""
    segment_keys: int | None = None
    """How many keys are summed up before the sums are joined in float32; None for all."""
    centred: bool = False
    """Whether the mean of the rounded values is taken out, what is left rounded again, and the mean put back
    after, as `attend_float8` does."""
    centred_keys: bool = False
    """Whether the mean of the keys is taken out before they are rounded."""
    scale_tokens: int | None = None
    """How many tokens of a head share a scale by which their largest number becomes the format's; None does
    not scale."""


@dataclass(frozen=True)
class AttentionErrors:
    """Errors of a token's head: the norm of the difference by the norm of what was expected."""

    sharp_worst: float
    """Of queries that equal a key."""
    sharp_median: float
    other_worst: float
    """Of queries that attend to all keys about alike."""
    other_median: float
    heads_worst: list[float]
    """Of every head."""

    @classmethod
    def between(cls, found: Tensor, expected: Tensor, sharp: Tensor) -> AttentionErrors:
        """Compare results [T, H, d]; `sharp` [T] says which queries equal a key."""
        error = (found.float() - expected).norm(dim=-1) / expected.norm(dim=-1)  # [T, H]
        by_kind = (error[sharp], error[~sharp])
        worst, median = ([round(getattr(part, how)().item(), 4) for part in by_kind] for how in _TOLD)
        heads = [round(worst.item(), 4) for worst in error.amax(0)]
        return cls(worst[0], median[0], worst[1], median[1], heads)


_TOLD = ("max", "median")


def attend_rounded(query: Tensor, key: Tensor, value: Tensor, rounding: Rounding) -> Tensor:
    """Attend with `rounding`, in float32 otherwise.

    Args:
        query: [T, H, d].
        key: [S, H, d].
        value: Like `key`.
        rounding: What is rounded.

    Returns:
        float32 [T, H, d].
    """
    query, key, value = query.float(), key.float(), value.float()
    if rounding.centred_keys:
        key = key - key.mean(0)
    if rounding.inputs:
        query, key, value = (_round(part, rounding.scale_tokens) for part in (query, key, value))
    mean, unit = torch.zeros_like(value[0]), value.abs().max() / _HIGHEST
    if rounding.centred:
        centred, unit, mean = (part[0] for part in centre(value[None]))
        value = (_round(centred) if rounding.inputs else centred) * unit
    heads = zip(query.unbind(1), key.unbind(1), value.unbind(1), strict=True)
    out = torch.stack([_join_segments(*head, rounding) for head in heads], 1) / unit
    return (_round(out) if rounding.result else out) * unit + mean


def _round(x: Tensor, scale_tokens: int | None = None) -> Tensor:
    """Round [tokens, H, d] to 8 bits, with scales of their own for each head and so many tokens."""
    if scale_tokens is None:
        return in_range(x, FORMAT).to(FORMAT).float()
    blocks = []
    for block in x.split(scale_tokens):
        scale = LARGEST / block.abs().amax((0, 2), keepdim=True).clamp(min=1e-12)
        blocks.append(_round(block * scale) / scale)
    return torch.cat(blocks)


def _join_segments(query: Tensor, key: Tensor, value: Tensor, rounding: Rounding) -> Tensor:
    """One head, segment of keys by segment: [T, d] from [T, d] and [S, d]."""
    size = rounding.segment_keys or len(key)
    parts = [
        _attend(query, *segment, rounding) for segment in zip(key.split(size), value.split(size), strict=True)
    ]
    sums, weights, largest = (torch.stack(of_all) for of_all in zip(*parts, strict=True))
    shares = (largest - largest.amax(0)).exp()
    return (shares * sums).sum(0) / (shares * weights).sum(0)


def _attend(query: Tensor, key: Tensor, value: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of probabilities times values [T, d], that of probabilities [T, 1], and the largest score."""
    scores = query @ key.T * query.shape[-1] ** -0.5  # [T, S]
    scale = rounding.probability_scale or 1.0
    largest = torch.full_like(scores[:, :1], -torch.inf)
    weights, sums = torch.zeros_like(largest), torch.zeros_like(query)
    for block, values in zip(scores.split(BLOCK_KEYS, 1), value.split(BLOCK_KEYS), strict=True):
        former, largest = largest, torch.maximum(largest, block.amax(1, keepdim=True))
        shrunk, probabilities = (former - largest).exp(), (block - largest).exp()
        weights = weights * shrunk + probabilities.sum(1, keepdim=True)
        scaled = _round(probabilities * scale) if rounding.probability_scale else probabilities
        sums = sums * shrunk
        if rounding.sum_bits is None:
            sums = sums + scaled @ values
            continue
        for some in zip(scaled.split(SUMMED_KEYS, 1), values.split(SUMMED_KEYS), strict=True):
            sums = _add(sums, *some, rounding.sum_bits)
    return sums / scale, weights, largest


def _add(sums: Tensor, probabilities: Tensor, values: Tensor, bits: int) -> Tensor:
    """Add products [T, keys] x [keys, d] to ``sums`` [T, d], each cut to the bits of the largest."""
    products = probabilities.unsqueeze(-1) * values
    _, exponent = torch.frexp(torch.maximum(products.abs().amax(1), sums.abs()))
    unit = torch.ldexp(torch.ones_like(sums), exponent - 1 - bits)
    return ((products / unit.unsqueeze(1)).trunc().sum(1) + (sums / unit).trunc()) * unit


ROUNDINGS = {
    "inputs": Rounding(probability_scale=None, result=False),
    "inputs and result": Rounding(probability_scale=None),
    "probabilities too": Rounding(),
    "probabilities unscaled": Rounding(probability_scale=1.0),
    "sums of 13 bits": Rounding(sum_bits=13),
    "sums of 13 bits, probabilities times 448": Rounding(sum_bits=13, probability_scale=448.0),
    "sums of 13 bits, keys centred": Rounding(sum_bits=13, centred_keys=True),
    "sums of 13 bits, scales for head and token": Rounding(sum_bits=13, scale_tokens=1),
    "sums of 13 bits, scales for head and 4680 tokens": Rounding(sum_bits=13, scale_tokens=4680),
    "sums of 13 bits, 4680 keys at once": Rounding(sum_bits=13, segment_keys=4680),
    "sums of 13 bits, values centred": Rounding(sum_bits=13, centred=True),
    "sums of 13 bits, values centred, 4680 keys at once": Rounding(
        sum_bits=13, centred=True, segment_keys=4680
    ),
    "sums of 13 bits, values and keys centred": Rounding(sum_bits=13, centred=True, centred_keys=True),
}
"""What could be the cause of an error, and what could help."""
EXACT = Rounding(inputs=False, result=False, probability_scale=None)
