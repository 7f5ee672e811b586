"""Attention of 8-bit queries to 8-bit keys and values, one operation to compilers.

On a GPU cuDNN computes it (`cudnn_attention`); on a CPU a plain version in float32 does, for tests and to
measure how exact 8 bits are.

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
"""Results are scaled to at most this; the format ends at 448."""


def attend_float8(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in `FORMAT`.

    Queries and keys are not scaled: they are RMS-normed, so their numbers are of order 1. The result is
    rounded to `FORMAT`, too. It holds means of values, so none is larger than the largest value, which sets
    its scale.

    Args:
        query: [B, T, H, d].
        key: `FORMAT` [B, S, H, d], the last two dimensions contiguous.
        value: Like `key`.

    Returns:
        [B, T, H, d] in the dtype of `query`.

    Raises:
        ImportError: On a GPU without cuDNN's frontend.
    """
    largest = value.to(query.dtype).abs().amax((-2, -1)).amax().float()  # in two steps, each in parallel
    largest = largest.clamp(min=torch.finfo(FORMAT).smallest_normal)
    scale = (_HIGHEST / largest).reshape(1, 1, 1, 1)
    out = _attention(in_range(query, FORMAT).to(FORMAT).contiguous(), key, value, scale)
    return (out.float() * (largest / _HIGHEST)).type_as(query)


def attend_dequantised(
    query: Tensor, key: Tensor, value: Tensor, scale: Tensor, dtype: torch.dtype
) -> Tensor:
    """The same by torch's attention in another format.

    Args:
        query: `FORMAT` [B, T, H, d].
        key: `FORMAT` [B, S, H, d].
        value: Like `key`.
        scale: What the result is multiplied by before it is rounded, float32 [1, 1, 1, 1].
        dtype: Computed in.

    Returns:
        `FORMAT` [B, T, H, d], contiguous.
    """
    wide_query, wide_key, wide_value = (part.to(dtype).transpose(1, 2) for part in (query, key, value))
    out = functional.scaled_dot_product_attention(wide_query, wide_key, wide_value).transpose(1, 2)
    return in_range(out.float() * scale, FORMAT).to(FORMAT).contiguous()


@custom_op(
    "shotstream::attention_float8",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor query, Tensor key, Tensor value, Tensor scale) -> Tensor",
)
def _attention(query: Tensor, key: Tensor, value: Tensor, scale: Tensor) -> Tensor:
    return attend_dequantised(query, key, value, scale, torch.float32)


@_attention.register_kernel("cuda")
def _attention_on_gpu(query: Tensor, key: Tensor, value: Tensor, scale: Tensor) -> Tensor:
    out = torch.empty_like(query)
    with torch.cuda.device(query.device):
        if cudnn_attention.of_current_stream(query.device).attend(query, key, value, scale, out):
            return out
    return attend_dequantised(query, key, value, scale, torch.bfloat16)


@_attention.register_fake
def _attention_like(query: Tensor, key: Tensor, value: Tensor, scale: Tensor) -> Tensor:
    return torch.empty_like(query)
