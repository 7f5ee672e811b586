"""The two attentions of a block, through diffusers' attention back ends.

Legend: B batch, F latent frames, N tokens of one frame, D width, H heads, d head size, S captions,
L caption length in tokens.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as functional
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from shotstream.models.attention_float8 import attend_float8
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.cache_write import write_to_cache
from shotstream.models.float8 import FORMAT
from shotstream.models.joint import Joint, joint_of, lay_together
from shotstream.models.rope import rotate


class AttentionChoice:
    """What diffusers sets on a model's attentions by ``set_attention_backend``, and torch's kernels."""

    _attention_backend: Any = None
    kernels: tuple[SDPBackend, ...] = ()
    """Kernels of torch's own attention, the first that can do a shape does it; torch chooses if empty."""


class SharedAttentionChoice(AttentionChoice):
    """Attention whose tokens devices may share out among themselves (``enable_parallelism`` sets how)."""

    _parallel_config: Any = None


class RMSNorm(nn.RMSNorm):
    """RMS norm that the fused kernel serves in mixed precision too: its weight follows the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        assert self.weight is not None
        return functional.rms_norm(x, self.normalized_shape, self.weight.type_as(x), self.eps)


class Attention(nn.Module, AttentionModuleMixin):
    """Projections with RMS-normed queries and keys (over the full width), in diffusers' Wan names."""

    def __init__(self, heads: int, head_dim: int, eps: float):
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q = RMSNorm(width, eps=eps)
        self.norm_k = RMSNorm(width, eps=eps)
        self.processor = AttentionChoice()

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        slow = query.requires_grad or query.dtype == torch.bfloat16  # where torch's own is, on a CPU
        if slow and query.device.type == "cpu" and self.processor._attention_backend is None:
            return attend_with_products(query, key.type_as(query), value.type_as(query))
        kernels = self.processor.kernels
        with sdpa_kernel(list(kernels), set_priority=True) if kernels else nullcontext():
            return dispatch_attention_fn(
                query,
                key.type_as(query),
                value.type_as(query),
                backend=self.processor._attention_backend,
                parallel_config=getattr(self.processor, "_parallel_config", None),
            )


class SelfAttention(Attention):
    """Attention over the tokens of all frames: bidirectional, block-causal, or through a cache."""

    def __init__(self, heads: int, head_dim: int, eps: float):
        super().__init__(heads, head_dim, eps)
        self.eps = eps
        self.processor = SharedAttentionChoice()
        self.float8 = False
        """Whether attention to an 8-bit cache is computed in 8 bits."""
        self.writes_at_once = False
        """Whether joint projections are normed, turned and written into a cache by one operation."""

    def join_projections(self) -> bool:
        """Have queries, keys and values computed as one product from now on, if these layers can be."""
        return lay_together((self.to_q, self.to_k, self.to_v))

    def joint_projections(self) -> Joint | None:
        """What computes queries, keys and values [..., 3 D] as one product, if they are joined now."""
        return joint_of((self.to_q, self.to_k, self.to_v))

    def forward(
        self,
        x: Tensor,
        rotary: Tensor,
        stops: tuple[int, ...] | None = None,
        slot: CacheSlot | None = None,
        joint: Joint | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: Tokens [B, F, N, D].
            rotary: Turns from ``rope.rotary_table``, float32 [1 or B, F, N, 1, d / 2, 2].
            stops: For the block-causal form: where each block of tokens ends. Tokens of a block see
                everything up to their block's end; that is one attention over a prefix per block, which needs
                no mask, runs on every back end and skips the work a mask would throw away.
            slot: For the cached form: this layer's place in the cache.
            joint: From :meth:`joint_projections`; None for one layer after the other.

        Returns:
            [B, F, N, D].
        """
        if joint is None:
            query, key, value = self.to_q(x), self.to_k(x), self.to_v(x)
        else:
            joined = joint.multiply(x)
            if slot is not None and slot.in_place and self._can_write_at_once(rotary):
                weights = (self.norm_q.weight, self.norm_k.weight)
                query = write_to_cache(joined, weights, rotary, slot, self.eps)
                out = self._attend_to_cache(query, slot.keys[:, : slot.end], slot.values[:, : slot.end])
                return self.to_out[0](out.flatten(2).type_as(x)).view_as(x)
            query, key, value = joined.chunk(3, -1)
        key = rotate(self._split(self.norm_k(key)), rotary).flatten(1, 2)  # [B, F * N, H, d]
        query = rotate(self._split(self.norm_q(query)), rotary).flatten(1, 2)
        value = self._split(value.flatten(1, 2))
        if slot is not None:
            out = self._attend_to_cache(query, *slot.extend(key, value))
        elif stops is None:
            out = self._attend(query, key, value)
        else:
            blocks = [
                self._attend(query[:, start:stop], key[:, :stop], value[:, :stop])
                for start, stop in pairwise((0, *stops))
            ]
            out = torch.cat(blocks, 1)
        return self.to_out[0](out.flatten(2).type_as(x)).view_as(x)

    def _can_write_at_once(self, rotary: Tensor) -> bool:
        """Whether it is asked for, and every channel of a head is turned."""
        return self.writes_at_once and 2 * rotary.shape[-2] * self.heads == self.to_q.out_features

    def _attend_to_cache(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        if self.float8 and keys.dtype == FORMAT:
            return attend_float8(query, keys, values)
        return self._attend(query, keys, values)


class CrossAttention(Attention):
    """Attention of every frame to its caption; a caption's keys and values are made once, by ``encode``."""

    def encode(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Project captions [B, S, L, D] to keys and values [B, S, L, H, d]."""
        return self._split(self.norm_k(self.to_k(text))), self._split(self.to_v(text))

    def forward(self, x: Tensor, caption: tuple[Tensor, Tensor], rows: Tensor | None) -> Tensor:
        """Attend.

        Args:
            x: Tokens [B, F, N, D].
            caption: Keys and values from :meth:`encode`, each [B, S, L, H, d].
            rows: For several captions: row of each frame's caption among the B * S captions, [B * F].

        Returns:
            [B, F, N, D].
        """
        query = self._split(self.norm_q(self.to_q(x)))  # [B, F, N, H, d]
        if rows is None:
            key, value = (part[:, 0] for part in caption)
            out = self._attend(query.flatten(1, 2), key, value)
        else:
            key, value = (part.flatten(0, 1).index_select(0, rows) for part in caption)
            out = self._attend(query.flatten(0, 1), key, value)
        return self.to_out[0](out.flatten(2).type_as(x)).view_as(x)


def attend_with_products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as two matrix products and a softmax.

    On a CPU it is up to three times as fast as torch's own with its gradient, and twice in bfloat16.

    Args:
        query: [B, tokens, H, d].
        key: [B, seen tokens, H, d].
        value: Like `key`.

    Returns:
        [B, tokens, H, d].
    """
    batch, _, heads, size = query.shape
    query, key, value = (
        part.transpose(1, 2).reshape(batch * heads, -1, size) for part in (query * size**-0.5, key, value)
    )
    weights = torch.bmm(query, key.transpose(1, 2)).softmax(-1, dtype=query.dtype)
    return torch.bmm(weights, value).unflatten(0, (batch, heads)).transpose(1, 2)
