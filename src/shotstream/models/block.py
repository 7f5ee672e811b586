"""One transformer block of Wan, and the embeddings of time and text that go in front of the blocks.

Legend: B batch, F latent frames, N tokens of one frame, D width, S captions, L caption length in tokens.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import PixArtAlphaTextProjection, TimestepEmbedding, Timesteps
from diffusers.models.normalization import FP32LayerNorm
from torch import Tensor, nn

from shotstream.models.attention import CrossAttention, SelfAttention
from shotstream.models.cache_layout import CacheSlot, SlotRows


def modulate(norm: nn.Module, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive layer norm ``norm(x) (1 + scale) + shift`` in float32, given back in the dtype of ``x``.

    Args:
        norm: Layer norm over the last dimension.
        x: [B, F, N, D].
        shift: float32 [B, 1 or F, 1, D].
        scale: float32 [B, 1 or F, 1, D].
    """
    return torch.addcmul(shift, norm(x.float()), 1 + scale).type_as(x)


def add_gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """Residual ``x + gate update`` in float32, given back in the dtype of ``x``."""
    return torch.addcmul(x.float(), update.float(), gate).type_as(x)


class TimeTextEmbedding(nn.Module):
    """Embeds the timestep of each frame, and projects caption embeddings to the model's width."""

    def __init__(self, width: int, freq_dim: int, text_dim: int):
        super().__init__()
        self.timesteps_proj = Timesteps(freq_dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedder = TimestepEmbedding(freq_dim, width)
        self.act_fn = nn.SiLU()
        self.time_proj = nn.Linear(width, 6 * width)
        self.text_embedder = PixArtAlphaTextProjection(text_dim, width, act_fn="gelu_tanh")

    def forward(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """Embed timesteps.

        Args:
            timestep: [B] or [B, F], in 0..1000.

        Returns:
            The embedding for the head, float32 [B, 1 or F, 1, D], and for the blocks, float32
            [B, 1 or F, 6, D].
        """
        frames = timestep.reshape(timestep.shape[0], -1)
        waves = self.timesteps_proj(frames.flatten()).unflatten(0, frames.shape)
        with torch.autocast(waves.device.type, enabled=False):  # neighbouring timesteps are close
            embedding = self.time_embedder(waves.to(self.time_embedder.linear_1.weight.dtype))
            modulation = self.time_proj(self.act_fn(embedding).to(self.time_proj.weight.dtype))
        return embedding.float().unsqueeze(2), modulation.float().unflatten(-1, (6, -1))


class CausalWanBlock(nn.Module):
    """Self-attention, cross-attention to the caption, feed-forward; modulated per latent frame."""

    def __init__(self, heads: int, head_dim: int, ffn_dim: int, cross_attn_norm: bool, eps: float):
        super().__init__()
        width = heads * head_dim
        self.norm1 = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.attn1 = SelfAttention(heads, head_dim, eps)
        self.attn2 = CrossAttention(heads, head_dim, eps)
        self.norm2 = FP32LayerNorm(width, eps, elementwise_affine=True) if cross_attn_norm else nn.Identity()
        self.ffn = FeedForward(width, inner_dim=ffn_dim, activation_fn="gelu-approximate")
        self.norm3 = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width**0.5)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        caption: tuple[Tensor, Tensor],
        caption_rows: Tensor | None,
        rotary: Tensor,
        stops: tuple[int, ...] | None = None,
        slot: CacheSlot | SlotRows | None = None,
    ) -> Tensor:
        """Run the block.

        Args:
            x: Tokens [B, F, N, D].
            modulation: Of each frame, float32 [B, 1 or F, 6, D].
            caption: This layer's keys and values of the captions.
            caption_rows: See ``CrossAttention.forward``.
            rotary: See ``SelfAttention.forward``, as are ``stops`` and ``slot``.
            stops: Ends of the blocks of tokens in the block-causal form.
            slot: This layer's place in the cache in the cached form.

        Returns:
            Tokens [B, F, N, D].
        """
        table = self.scale_shift_table.float() + modulation
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.chunk(6, dim=2)  # each [B, 1 or F, 1, D]
        x = add_gated(x, self.attn1(modulate(self.norm1, x, shift, scale), rotary, stops, slot), gate)
        x = x + self.attn2(self.norm2(x.float()).type_as(x), caption, caption_rows)
        return add_gated(x, self.ffn(modulate(self.norm3, x, ffn_shift, ffn_scale)), ffn_gate)
