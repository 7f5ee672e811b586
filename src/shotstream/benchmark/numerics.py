"""How far every faster or smaller way to compute is from plain float32 (docs/numerics.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from shotstream.machine.attention_choice import use_attention, use_float8_attention
from shotstream.models.float8 import use_float8
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.speed import Speed, prepare

Change = Callable[[ShotStreamPipeline], object]


def _use_backend(pipeline: ShotStreamPipeline) -> None:
    use_attention(pipeline.transformer, "_native_math")


def _use_float8_cache(pipeline: ShotStreamPipeline) -> None:
    pipeline.cache_dtype = torch.float8_e4m3fn


def _use_float8_attention(pipeline: ShotStreamPipeline) -> None:
    _use_float8_cache(pipeline)
    use_float8_attention(pipeline.transformer)


def _use_float8_layers(pipeline: ShotStreamPipeline) -> None:
    use_float8(pipeline.transformer)


def _compile(pipeline: ShotStreamPipeline) -> None:
    prepare(pipeline, Speed(fuse=True, compile=True))


@dataclass(frozen=True)
class Way:
    """A way to compute, and how far from float32 it may be."""

    title: str
    dtype: torch.dtype
    change: Change | None
    least_cosine: float
    """Of the latents of every chunk, with those of the reference."""
    largest_error: float
    """Of a latent, where latents have a standard deviation of about 1."""


WAYS = {
    "attention": Way("another attention back end", torch.float32, _use_backend, 0.999999, 2e-3),
    "compiled": Way("fused and compiled blocks", torch.float32, _compile, 0.999999, 2e-3),
    "bfloat16": Way("bfloat16 weights and activations", torch.bfloat16, None, 0.99, 3.0),
    "float8-cache": Way("float8 keys and values", torch.bfloat16, _use_float8_cache, 0.97, 6.0),
    "float8-attention": Way(
        "float8 attention to the cache", torch.bfloat16, _use_float8_attention, 0.97, 6.0
    ),
    "float8": Way("float8 linear layers", torch.bfloat16, _use_float8_layers, 0.97, 6.0),
}
"""Each alone; those in bfloat16 include what that costs."""


@dataclass(frozen=True)
class Distance:
    """From latents to those of the reference: the worst chunk."""

    cosine: float
    error: float


def measure(
    way: Way, model: str = "mini", size: tuple[int, int] | None = None, device: torch.device | str = "cpu"
) -> Distance:
    """Tell the same in float32 and in another way; distances pile up along the story, as for a user.

    Args:
        way: The other way.
        model: A model folder, or a name.
        size: Height and width of the pictures in pixels; as trained if None.
        device: Where the other way computes; the reference is always a CPU's.
    """
    reference = ShotStreamPipeline.from_pretrained(model)
    other = ShotStreamPipeline.from_pretrained(model, dtype=way.dtype).to(device)
    if way.change is not None:
        way.change(other)
    return distance(tell(other, size), tell(reference, size))


def tell(pipeline: ShotStreamPipeline, size: tuple[int, int] | None = None) -> list[Tensor]:
    """Latents of the chunks of two short shots, always of the same story."""
    height, width = size or (None, None)
    setting = "An orange cat with a top hat is in a meadow on a sunny day."
    session = pipeline.open(setting, seed=1, height=height, width=width)
    shots = {"Wide shot of the cat waving hello.": 1, "Close up. The cat looks around.": 2}
    return [
        chunk.latents for prompt, chunks in shots.items() for chunk in session.shoot(prompt, chunks=chunks)
    ]


def distance(chunks: list[Tensor], reference: list[Tensor]) -> Distance:
    """The worst cosine and error over pairs of chunks."""
    pairs = [(a.flatten().double(), b.flatten().double()) for a, b in zip(chunks, reference, strict=True)]
    return Distance(
        cosine=min(torch.cosine_similarity(a, b, dim=0).item() for a, b in pairs),
        error=max((a - b).abs().max().item() for a, b in pairs),
    )
