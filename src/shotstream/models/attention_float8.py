"""Attention of 8-bit queries to 8-bit keys and values, one operation to compilers.

On a GPU cuDNN computes it (`cudnn_attention`); on a CPU a plain version in float32 does, for tests and to
measure how exact 8 bits are.

A GPU adds probabilities times values up in few bits (`benchmark.attention_rounding`): where values have a
mean, a long sum of them grows so large that what is added is lost. So values are centred first. The weights
of a token sum to 1, so adding the mean to its result puts it back exactly.

Legend: B batch, T tokens of the pass, S tokens that it sees, H heads, d head size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.library import custom_op

from shotstream.models import cudnn_attention
from shotstream.models.cache_layout import in_range
from shotstream.models.float8 import FORMAT

_HIGHEST = 256.0
"""Centred values are scaled to at most this, and so are their means; the format ends at 448."""
_LEAST = 1e-12
"""The least distance from its mean that a channel is scaled by."""


def attend_float8(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in `FORMAT`.

    Queries and keys are not scaled: they are RMS-normed, so their numbers are of order 1. Values are
    centred. The result is rounded to `FORMAT`, too, before the mean is put back.

    Args:
        query: [B, T, H, d].
        key: `FORMAT` [B, S, H, d], the last two dimensions contiguous.
        value: Like `key`.

    Returns:
        [B, T, H, d] in the dtype of `query`.

    Raises:
        ImportError: On a GPU without cuDNN's frontend.
    """
    centred, unit, mean = centre(value.to(query.dtype))
    out = _attention(in_range(query, FORMAT).to(FORMAT).contiguous(), key, centred.to(FORMAT))
    return (out.float() * unit + mean).type_as(query)


def centre(value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take the mean off every channel of every head, and scale what is left into the range of `FORMAT`.

    Args:
        value: [B, S, H, d].

    Returns:
        [B, S, H, d], at most `_HIGHEST`; the unit that it is in, and the mean that was taken off, both
        [B, 1, H, d].
    """
    mean = value.mean(1, keepdim=True)
    farthest = torch.maximum(value.amax(1, keepdim=True) - mean, mean - value.amin(1, keepdim=True))
    unit = farthest.clamp(min=_LEAST) / _HIGHEST
    return (value - mean) / unit, unit, mean


def attend_dequantised(query: Tensor, key: Tensor, value: Tensor, dtype: torch.dtype) -> Tensor:
    """The same by torch's attention in another format, without centring.

    Args:
        query: `FORMAT` [B, T, H, d].
        key: `FORMAT` [B, S, H, d].
        value: Like `key`.
        dtype: Computed in.

    Returns:
        `FORMAT` [B, T, H, d], contiguous.
    """
    wide_query, wide_key, wide_value = (part.to(dtype).transpose(1, 2) for part in (query, key, value))
    out = functional.scaled_dot_product_attention(wide_query, wide_key, wide_value).transpose(1, 2)
    return in_range(out, FORMAT).to(FORMAT).contiguous()


@custom_op(
    "shotstream::attention_float8",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor query, Tensor key, Tensor value) -> Tensor",
)
def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attend_dequantised(query, key, value, torch.float32)


@_attention.register_kernel("cuda")
def _attention_on_gpu(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    out = torch.empty_like(query)
    with torch.cuda.device(query.device):
        if cudnn_attention.of_current_stream(query.device).attend(query, key, value, out):
            return out
    return attend_dequantised(query, key, value, torch.bfloat16)


@_attention.register_fake
def _attention_like(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return torch.empty_like(query)
