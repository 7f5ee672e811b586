"""One transformer block of Wan, and the embeddings of patches, time and text that go in front of the blocks.

Legend: B batch, F latent frames, C latent channels, h and w latent size, N tokens of one frame, D width,
S captions, L caption length in tokens.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as functional
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import PixArtAlphaTextProjection, TimestepEmbedding, Timesteps
from diffusers.models.normalization import FP32LayerNorm
from torch import Tensor, nn

from shotstream.models.attention import CrossAttention, SelfAttention
from shotstream.models.cache_layout import CacheSlot
from shotstream.models.joint import Joint, is_hooked


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


class PatchEmbedding(nn.Conv3d):
    """Convolution whose kernel is as large as its stride, one frame deep, computed as a linear layer.

    Patches do not overlap, so it is one matrix product. cuDNN's 3D convolutions are slower there, and round
    float32 to TF32 by default. The weight keeps a convolution's name and shape [D, C, 1, rows, columns].

    Args:
        channels: Latent channels C.
        width: D.
        patch: Rows and columns of a patch.
    """

    def __init__(self, channels: int, width: int, patch: tuple[int, int]) -> None:
        super().__init__(channels, width, kernel_size=(1, *patch), stride=(1, *patch))

    def forward(self, input: Tensor) -> Tensor:
        """Embed latent frames [B * F, C, 1, h, w] as a view [B * F, D, 1, h / rows, w / columns]."""
        _, rows, columns = self.kernel_size
        count, channels, _, height, width = input.shape
        grid = input.reshape(count, channels, height // rows, rows, width // columns, columns)
        patches = grid.permute(0, 2, 4, 1, 3, 5).flatten(3)  # [B * F, h / rows, w / columns, C rows columns]
        tokens = functional.linear(patches, self.weight.flatten(1), self.bias)
        return tokens.permute(0, 3, 1, 2).unsqueeze(2)


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


class WanFeedForward(FeedForward):
    """Two linear layers with GELU (by tanh) between them, which cuBLAS can compute within the first product.

    Args:
        width: D.
        hidden: Channels between the layers.
    """

    gelu_devices: ClassVar[tuple[str, ...]] = ("cuda",)
    """Where products compute GELU by tanh; on a CPU they take it by erf."""
    gelu_in_product: bool = False
    """Whether the product is to compute it, where it can."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, inner_dim=hidden, activation_fn="gelu-approximate")

    def forward(self, x: Tensor) -> Tensor:
        """Compute [..., D] from [..., D]."""
        if not (self.gelu_in_product and self.can_compute_gelu(x)):
            return super().forward(x)
        first = cast(nn.Linear, self.net[0].proj)
        rows = torch._addmm_activation(first.bias, x.flatten(0, -2), first.weight.T, use_gelu=True)
        return self.net[2](rows.unflatten(0, x.shape[:-1]))

    def can_compute_gelu(self, x: Tensor) -> bool:
        """Whether the first product can compute it: of a layer as it was made, and without a gradient."""
        first = self.net[0].proj
        plain = type(first) is nn.Linear and not is_hooked(first)
        return plain and x.device.type in self.gelu_devices and not torch.is_grad_enabled()


class CausalWanBlock(nn.Module):
    """Self-attention, cross-attention to the caption, feed-forward; modulated per latent frame."""

    def __init__(self, heads: int, head_dim: int, ffn_dim: int, cross_attn_norm: bool, eps: float):
        super().__init__()
        width = heads * head_dim
        self.norm1 = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.attn1 = SelfAttention(heads, head_dim, eps)
        self.attn2 = CrossAttention(heads, head_dim, eps)
        self.norm2 = FP32LayerNorm(width, eps, elementwise_affine=True) if cross_attn_norm else nn.Identity()
        self.ffn = WanFeedForward(width, ffn_dim)
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
        slot: CacheSlot | None = None,
        joint: Joint | None = None,
    ) -> Tensor:
        """Run the block.

        Args:
            x: Tokens [B, F, N, D].
            modulation: Of each frame, float32 [B, 1 or F, 6, D].
            caption: This layer's keys and values of the captions.
            caption_rows: See ``CrossAttention.forward``.
            rotary: See ``SelfAttention.forward``, as are ``stops``, ``slot`` and ``joint``.
            stops: Ends of the blocks of tokens in the block-causal form.
            slot: This layer's place in the cache in the cached form.
            joint: This layer's projections as one, if they are to be.

        Returns:
            Tokens [B, F, N, D].
        """
        table = self.scale_shift_table.float() + modulation
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.chunk(6, dim=2)  # each [B, 1 or F, 1, D]
        x = add_gated(x, self.attn1(modulate(self.norm1, x, shift, scale), rotary, stops, slot, joint), gate)
        x = x + self.attn2(self.norm2(x.float()).type_as(x), caption, caption_rows)
        return add_gated(x, self.ffn(modulate(self.norm3, x, ffn_shift, ffn_scale)), ffn_gate)
