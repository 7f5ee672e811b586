"""What the networks are asked to do, counted on fake tensors: the same on any machine.

Wan 2.1 T2V 1.3B is built at its true size without weights. It makes passes and decodes a chunk, operation by
operation as torch runs them where nothing is compiled, and what each operation computes, reads and writes is
added up.

Legend: F latent frames, C latent channels, h and w latent height and width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from shotstream.benchmark.chunk_loop import ChunkLoop, make_opening
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.networks import cast_weights
from shotstream.machine.attention_choice import use_attention
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.autoencoder_wan import WanStreamingDecoder, WanVideoAutoencoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.models.wan_decoder import WanDecoder
from shotstream.streaming.vram_sizes import fake_tensors

aten = torch.ops.aten
HEIGHT, WIDTH = 480, 832
"""Pixels of the pictures."""
CELL = (16, HEIGHT // 8, WIDTH // 8)
"""Latent channels, height and width."""
CHUNK_FRAMES = 3
"""Latent frames of a chunk."""
SEEN_FRAMES = (9, 18, 27)
"""Latent frames that a pass sees, itself included: at a shot's beginning, in its middle, at its end."""

KINDS = {
    "products": {aten.mm, aten.addmm, aten.bmm, aten._addmm_activation, aten._scaled_mm},
    "attention": {
        aten._scaled_dot_product_flash_attention_for_cpu,
        aten._scaled_dot_product_flash_attention,
        aten._scaled_dot_product_efficient_attention,
        aten._scaled_dot_product_cudnn_attention,
    },
    "convolutions": {aten.convolution},
}
"""Operations that take time to compute."""
LIGHT = "light"
"""The kind of all other operations: what takes time there is to read and to write."""
_ALIKE = {
    aten._addmm_activation: aten.addmm,
    aten._scaled_dot_product_flash_attention_for_cpu: aten._scaled_dot_product_flash_attention,
}
"""Operations that torch does not count, and what does as much."""
_FREE = {aten._unsafe_view, aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty}
"""Operations that run nothing, beside views."""
_OVERWRITING = {aten.copy_, aten.fill_, aten.zero_}
"""Operations that do not read what they change."""


class Work(BaseModel):
    """What operations of one kind do together."""

    model_config = ConfigDict(extra="forbid")

    operations: int = 0
    """How often torch runs something; each is a kernel of a GPU, or a few."""
    flop: int = 0
    """Multiplications and additions; of light operations none are counted."""
    bytes: int = 0
    """Read and written, as if no processor kept anything between operations."""


WORK = TypeAdapter(dict[str, dict[str, Work]])
"""What was done, and what work of each kind that is."""


class WorkCounter(TorchDispatchMode):
    """Counts the work of all operations in its ``with`` block; their tensors may be fake."""

    def __init__(self) -> None:
        super().__init__()
        self.by_kind: defaultdict[str, Work] = defaultdict(Work)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        kwargs = kwargs or {}
        made, packet = func(*args, **kwargs), func.overloadpacket
        written = _tensors(made)
        if not written or func.is_view or packet in _FREE:
            return made
        kind = next((kind for kind, packets in KINDS.items() if packet in packets), LIGHT)
        read = _tensors((args[1:] if packet in _OVERWRITING else args, kwargs))
        work = self.by_kind[kind]
        work.operations += 1
        work.bytes += sum(map(_bytes, (*read, *written)))
        if kind != LIGHT:
            work.flop += flop_registry[_ALIKE.get(packet, packet)](*args, **kwargs, out_val=made)
        return made


def count_wan() -> dict[str, dict[str, Work]]:
    """Count the work of Wan 2.1 T2V 1.3B in bfloat16 and mode plain.

    Fake tensors have no contents, so what makes the host wait for a number of the device raises here.

    Returns:
        The work of each kind of: a pass by the latent frames that it sees, the context pass, a caption, a
        still, and a chunk of three latent frames through every decoder.
    """
    with fake_tensors(), torch.no_grad():
        transformer, vae, tiny = CausalWanTransformer3DModel(), AutoencoderKLWan(), TinyWanDecoder()
        for part in (transformer, vae, tiny):
            cast_weights(part, torch.bfloat16, part._keep_in_fp32_modules)
        use_attention(transformer, "native")  # bfloat16 goes another way on a CPU
        return dict([*_passes(transformer), *_pictures(vae, tiny)])


@contextmanager
def _counting() -> Iterator[dict[str, Work]]:
    """Give the work that is done inside, once it is done."""
    found: dict[str, Work] = {}
    with WorkCounter() as counter:
        yield found
    found.update(counter.by_kind)


def _passes(transformer: CausalWanTransformer3DModel) -> Iterator[tuple[str, dict[str, Work]]]:
    config = transformer.config
    text = torch.zeros(1, 1, config["text_length"], config["text_dim"], dtype=transformer.dtype)
    with _counting() as work:
        transformer.encode_captions(text)
    yield "caption", work
    loop, opening = ChunkLoop(transformer, FlowSchedule(), CELL), make_opening(transformer, CELL, 6)
    with _counting() as work:
        loop.open_shot(opening)
    yield "context pass", work
    chunk = torch.zeros(1, config["chunk_frames"], *CELL)
    for _ in range(config["window_chunks"]):
        with _counting() as work:
            loop.rollout.clean_pass(chunk)
        seen = loop.cache.context_frames + loop.cache.local_frames
        if seen in SEEN_FRAMES:
            yield f"pass that sees {seen} frames", work


def _pictures(vae: AutoencoderKLWan, tiny: TinyWanDecoder) -> Iterator[tuple[str, dict[str, Work]]]:
    picture = torch.zeros(1, 1, 3, HEIGHT, WIDTH)
    with _counting() as work:
        WanVideoAutoencoder(vae).encode_stills(picture)
    yield "still", work
    network, chunk = WanDecoder(vae), torch.zeros(1, CHUNK_FRAMES, *CELL, dtype=vae.dtype)
    decoders = {
        "chunk, diffusers' way": _DiffusersDecoder(vae),
        "chunk, frame by frame": WanStreamingDecoder(vae, network, at_once=False),
        "chunk, at once": WanStreamingDecoder(vae, network, at_once=True),
        "chunk, tiny decoder": tiny.open_decoder(),
    }
    for name, decoder in decoders.items():
        decoder.decode(chunk)  # a shot's first chunk has fewer frames
        with _counting() as work:
            decoder.decode(chunk)
        yield name, work


class _DiffusersDecoder:
    """Wan's decoder as diffusers runs it, one latent frame after the other.

    Args:
        vae: Its autoencoder.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._remembered: list[Any] = [None] * vae._cached_conv_counts["decoder"]

    def decode(self, latents: Tensor) -> None:
        """Decode latents ``[1, F, C, h, w]``."""
        for frame in self._vae.post_quant_conv(latents.transpose(1, 2)).split(1, dim=2):
            self._vae.decoder(frame, feat_cache=self._remembered, feat_idx=[0])


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    """Bytes of the numbers that a tensor shows; those that it repeats count once."""
    sides = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    count = 1
    for side in sides:
        count *= side
    return count * tensor.itemsize if tensor.numel() else 0
