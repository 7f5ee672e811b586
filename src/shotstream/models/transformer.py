"""The causal Wan transformer: one set of weights, used bidirectionally, block-causally, or through a cache.

Legend: B batch, F latent frames, C channels, h and w latent size, N tokens of one frame, D width, S captions,
L caption length in tokens.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as functional
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models._modeling_parallel import ContextParallelInput, ContextParallelOutput
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import FP32LayerNorm
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from shotstream.models.block import CausalWanBlock, PatchEmbedding, TimeTextEmbedding, modulate
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.offloading import onloaded
from shotstream.models.rope import rotary_table, space_turns, time_turns


class CausalWanTransformer3DModel(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """Predicts the flow ``noise - x0`` of latent frames (Wan 2.1 with ShotStream's shots and causality).

    Parameters are named as in diffusers' ``WanTransformer3DModel``, whose text-to-video weights load as they
    are. Original names are mapped by ``shotstream.loading.weight_names``. The defaults are Wan 2.1 T2V 1.3B.

    Args:
        patch_size: Latent frames, rows and columns of a token; a token is one frame deep.
        num_attention_heads: Heads per layer.
        attention_head_dim: Channels per head.
        in_channels: Latent channels C.
        out_channels: Channels of the prediction.
        text_dim: Width of the caption embeddings.
        text_length: Tokens that every caption is padded to with zeros.
        freq_dim: Sinusoids of the timestep.
        ffn_dim: Width of the feed-forward's hidden layer.
        num_layers: Blocks.
        cross_attn_norm: Whether cross-attention sits behind an affine layer norm.
        eps: Of every norm.
        rope_theta: Base of the rotary frequencies.
        shot_theta: Rotary shift per shot index in radians; None turns the shift off.
        context_frames: Latent frames remembered from earlier shots.
        chunk_frames: Latent frames of a chunk.
        window_chunks: Chunks of a shot as trained; longer shots slide.
        sink_chunks: First chunks of a shot that stay when it slides.
        spatial_embedding: Rows and columns of a learned position embedding added to the tokens,
            interpolated for another grid; None for Wan.
        pad_context: Whether a shot always has ``context_frames`` frames of context, zeros where there is
            nothing to remember, as the released weights were trained; else only as many as there are.

    Raises:
        ValueError: If a token is more than one frame deep.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["CausalWanBlock"]  # noqa: RUF012
    _repeated_blocks = ["CausalWanBlock"]  # noqa: RUF012
    _skip_keys = ["captions", "cache"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = ["patch_embedding", "condition_embedder", "norm"]  # noqa: RUF012
    _cp_plan = {  # noqa: RUF012 - devices share out the tokens of every frame
        "blocks.0": {"x": ContextParallelInput(split_dim=2, expected_dims=4)},
        "blocks.*": {"rotary": ContextParallelInput(split_dim=2, expected_dims=6)},
        "proj_out": ContextParallelOutput(gather_dim=2, expected_dims=4),
    }
    _keep_in_fp32_modules = [  # noqa: RUF012
        "time_embedder",
        "time_proj",
        "scale_shift_table",
        "norm1",
        "norm2",
        "norm3",
    ]

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        text_length: int = 512,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
        rope_theta: float = 10000.0,
        shot_theta: float | None = 1 / 6,
        context_frames: int = 6,
        chunk_frames: int = 3,
        window_chunks: int = 7,
        sink_chunks: int = 0,
        spatial_embedding: tuple[int, int] | None = None,
        pad_context: bool = True,
    ):
        super().__init__()
        if patch_size[0] != 1:
            raise ValueError(f"patch_size {patch_size} spans {patch_size[0]} frames; only 1 can be streamed")
        width = num_attention_heads * attention_head_dim
        patch = (patch_size[1], patch_size[2])
        self.patch_embedding = PatchEmbedding(in_channels, width, patch)
        self.spatial_position = None
        if spatial_embedding is not None:
            self.spatial_position = nn.Parameter(0.02 * torch.randn(1, width, *spatial_embedding))
        self.condition_embedder = TimeTextEmbedding(width, freq_dim, text_dim)
        self.blocks = nn.ModuleList(
            CausalWanBlock(num_attention_heads, attention_head_dim, ffn_dim, cross_attn_norm, eps)
            for _ in range(num_layers)
        )
        self.norm_out = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.proj_out = nn.Linear(width, out_channels * patch[0] * patch[1])
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)
        self.gradient_checkpointing = False

    @property
    def token_shares(self) -> int:
        """Devices that share out the tokens of every frame (``enable_parallelism``); 1 for one alone."""
        parallel = getattr(self._parallel_config, "context_parallel_config", None)
        return 1 if parallel is None else parallel.ulysses_degree * parallel.ring_degree

    def new_cache(
        self,
        *,
        batch: int,
        tokens_per_frame: int,
        context_frames: int | None = None,
        window_chunks: int | None = None,
        sink_chunks: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> DualCache:
        """Allocate keys and values for passes of this model.

        Devices that share out the tokens of a frame keep their share each.

        Args:
            batch: Batch B.
            tokens_per_frame: Tokens N of a latent frame, on all devices together.
            context_frames: Most latent frames in the global region; None for the config's.
            window_chunks: Chunks in the local region; None for the config's.
            sink_chunks: First chunks of a shot that never leave; None for the config's.
            dtype: Of keys and values; None for the model's.
            device: Of keys and values; None for the model's.

        Raises:
            ValueError: If the tokens cannot be shared out evenly.
        """
        config, shares = self.config, self.token_shares
        if tokens_per_frame % shares:
            raise ValueError(
                f"{tokens_per_frame} tokens per frame cannot be shared out among {shares} devices; "
                "choose another picture size or number of devices"
            )
        return DualCache(
            layers=config["num_layers"],
            batch=batch,
            heads=config["num_attention_heads"],
            head_dim=config["attention_head_dim"],
            tokens_per_frame=tokens_per_frame // shares,
            context_frames=config["context_frames"] if context_frames is None else context_frames,
            chunk_frames=config["chunk_frames"],
            window_chunks=config["window_chunks"] if window_chunks is None else window_chunks,
            sink_chunks=config["sink_chunks"] if sink_chunks is None else sink_chunks,
            rope_theta=config["rope_theta"],
            dtype=self.dtype if dtype is None else dtype,
            device=self.device if device is None else device,
        )

    @apply_forward_hook
    def encode_captions(self, text: Tensor) -> Captions:
        """Work out the cross-attention keys and values of captions, once for all passes that use them.

        Args:
            text: Caption embeddings [B, S, L, text_dim], L at most ``text_length``; padded with zeros here.

        Returns:
            Keys and values of every layer; differentiable.

        Raises:
            ValueError: If the shape does not fit the model.
        """
        with onloaded(self):
            return self._encode_captions(text)

    def _encode_captions(self, text: Tensor) -> Captions:
        config = self.config
        if text.ndim != 4 or text.shape[-1] != config["text_dim"] or text.shape[2] > config["text_length"]:
            raise ValueError(
                f"captions have shape {tuple(text.shape)}; expected [batch, captions, "
                f"at most {config['text_length']} tokens, {config['text_dim']}]"
            )
        text = functional.pad(text, (0, 0, 0, config["text_length"] - text.shape[2]))
        text = self.condition_embedder.text_embedder(text)  # [B, S, L, D]
        return Captions(tuple(cast(CausalWanBlock, block).attn2.encode(text) for block in self.blocks))

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        captions: Tensor | Captions,
        *,
        shot_index: Tensor | int | None = None,
        caption_index: Tensor | None = None,
        first_frame: int | None = None,
        context_frames: int | None = None,
        cache: DualCache | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the flow of latent frames.

        Three uses: bidirectional over all frames (the default); block-causal, with ``context_frames``; and
        with a ``cache``, whose phase says whether this is the context pass or one over the running chunk.

        Args:
            latents: Noisy or clean latents [B, F, C, h, w].
            timestep: Timestep of all frames [1 or B] or of each [B, F], in 0..1000.
            captions: Caption embeddings [B, S, L, text_dim], or what ``encode_captions`` made of them.
            shot_index: Shot of the frames, for the rotary shift: one for all, [F] or [B, F]; None for none.
            caption_index: Which of the S captions each frame attends to, [F] or [B, F]; not needed if S is 1.
            first_frame: Position of the first frame in time; None for 0, or what the cache says.
            context_frames: Block-causal form: so many first frames see one another only; those after them
                form chunks of ``chunk_frames``, which see the context, earlier chunks and themselves.
            cache: Keys and values of the running story.
            return_dict: Whether to return diffusers' output object or a tuple.

        Returns:
            The flow [B, F, C, h, w].

        Raises:
            ValueError: If shapes do not fit the model, the captions or the cache.
        """
        if isinstance(captions, Tensor):
            with onloaded(self.blocks):  # the rest is here already
                captions = self._encode_captions(captions)
        self._check(latents, timestep, captions, caption_index, cache)
        batch, frames, _, height, width = latents.shape
        grid = (height // self.config["patch_size"][1], width // self.config["patch_size"][2])
        first = first_frame
        if first is None:
            first = cache.first_frame if cache is not None else 0
        x = self._tokens(latents, grid)
        embedding, modulation = self.condition_embedder(timestep)
        rotary = self._rotary(first, frames, grid, latents.device, shot_index)
        rows = None if captions.count == 1 else _caption_rows(caption_index, batch, frames, captions.count)
        stops = None if context_frames is None else self._stops(context_frames, frames, grid)
        slots = cache.slots() if cache is not None else [None] * len(self.blocks)
        for block, caption, slot in zip(self.blocks, captions.layers, slots, strict=True):
            joint = cast(CausalWanBlock, block).attn1.joint_projections()
            arguments = (x, modulation, caption, rows, rotary, stops, slot, joint)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = self._gradient_checkpointing_func(block, *arguments)  # pyright: ignore[reportOptionalCall]
            else:
                x = block(*arguments)

        shift, scale = (self.scale_shift_table.float() + embedding).chunk(2, dim=2)
        x = self.proj_out(modulate(self.norm_out, x, shift, scale))
        flow = self._unpatchify(x, grid)
        return Transformer2DModelOutput(sample=flow) if return_dict else (flow,)

    def _tokens(self, latents: Tensor, grid: tuple[int, int]) -> Tensor:
        x = self.patch_embedding(latents.flatten(0, 1).unsqueeze(2)).squeeze(2)  # [B * F, D, rows, columns]
        if self.spatial_position is not None:
            position = self.spatial_position
            if position.shape[-2:] != grid:
                position = functional.interpolate(position, grid, mode="bilinear", align_corners=False)
            x = x + position
        x = x.flatten(2).transpose(1, 2).unflatten(0, latents.shape[:2])
        return x.clone(memory_format=torch.contiguous_format)  # [B, F, N, D]; a view has a graph of its own

    def _unpatchify(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        _, rows, columns = self.config["patch_size"]
        x = x.unflatten(-1, (rows, columns, -1)).unflatten(2, grid)  # [B, F, h/p, w/q, p, q, C]
        return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def _rotary(
        self,
        first_frame: int,
        frames: int,
        grid: tuple[int, int],
        device: torch.device,
        shot_index: Tensor | int | None,
    ) -> Tensor:
        head_dim, base = self.config["attention_head_dim"], self.config["rope_theta"]
        time = time_turns(head_dim, base, first_frame, frames, device)
        space = space_turns(head_dim, base, *grid, device)
        return rotary_table(time, space, shot_index, self.config["shot_theta"])

    def _stops(self, context_frames: int, frames: int, grid: tuple[int, int]) -> tuple[int, ...]:
        """Return where, in tokens, the context and each chunk end."""
        chunk_ends = [
            *range(context_frames + self.config["chunk_frames"], frames, self.config["chunk_frames"]),
            frames,
        ]
        ends = [context_frames, *chunk_ends] if 0 < context_frames < frames else chunk_ends
        return tuple(end * grid[0] * grid[1] for end in ends)

    def _check(
        self,
        latents: Tensor,
        timestep: Tensor,
        captions: Captions,
        caption_index: Tensor | None,
        cache: DualCache | None,
    ) -> None:
        _, rows, columns = self.config["patch_size"]
        channels = self.config["in_channels"]
        if (
            latents.ndim != 5
            or latents.shape[2] != channels
            or latents.shape[3] % rows
            or latents.shape[4] % columns
        ):
            raise ValueError(
                f"latents have shape {tuple(latents.shape)}; expected [batch, frames, {channels}, height, "
                f"width] with height divisible by {rows} and width by {columns}"
            )
        batch, frames, _, height, width = latents.shape
        if timestep.shape not in ((1,), (batch,), (batch, frames)):
            raise ValueError(
                f"timestep has shape {tuple(timestep.shape)}; expected [1], [{batch}] or [{batch}, {frames}]"
            )
        if captions.batch != batch:
            raise ValueError(f"{captions.batch} rows of captions for {batch} rows of latents; give one each")
        if captions.count > 1 and caption_index is None:
            raise ValueError(
                f"{captions.count} captions need caption_index to say which frame attends to which"
            )
        if cache is None:
            return
        tokens = (height // rows) * (width // columns) // self.token_shares
        if (cache.batch, cache.tokens_per_frame) != (batch, tokens):
            raise ValueError(
                f"the cache holds batch {cache.batch} of {cache.tokens_per_frame} tokens per frame, the "
                f"latents are batch {batch} of {tokens}; allocate a cache for them"
            )
        if cache.frames != frames:
            raise ValueError(
                f"the cache expects a pass over {cache.frames} latent frames but got {frames}; call "
                f"fill_context or begin_chunk with {frames} first"
            )


def _caption_rows(caption_index: Tensor | None, batch: int, frames: int, count: int) -> Tensor:
    """Return each frame's row among the flattened captions, [B * F]."""
    assert caption_index is not None
    offsets = torch.arange(batch, device=caption_index.device).unsqueeze(1) * count
    return (caption_index.expand(batch, frames) + offsets).flatten()
