"""Models of true size with random weights: as fast as trained ones, and to be had without them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKLWan
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.benchmark.timed_story import SETTING, prompt
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.folders import SHIPPED
from shotstream.loading.networks import cast_weights
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.models.text import make_tokenizer
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming.pipeline import ShotStreamPipeline


class Sizes(NamedTuple):
    """What a model is built from."""

    transformer: dict[str, Any]
    vae: Callable[[], nn.Module]
    schedule: dict[str, Any]
    pipeline: dict[str, Any]
    live_decoder: dict[str, Any] | None = None
    """Of a tiny decoder; None if there is none of that size."""


def make_random_pipeline(size: str, device: torch.device, dtype: torch.dtype) -> ShotStreamPipeline:
    """Build a model with random weights, directly on its device.

    The text encoder is a single narrow layer of umT5's class that gives captions of the right width.

    Args:
        size: "tiny" (for tests), "mini" (the shipped model's sizes) or "wan-1.3b".
        device: Where the weights are made.
        dtype: Their number format, but for the modules that the transformer keeps in float32.

    Raises:
        ValueError: If there is no such size.
    """
    if size not in SIZES:
        raise ValueError(f"there is no random model {size!r}; choose one of {', '.join(SIZES)}")
    sizes = SIZES[size]()
    torch.manual_seed(0)
    tokenizer = make_tokenizer([*SETTING.split(), *" ".join(map(prompt, range(5))).split()])
    with _building(device, dtype):
        transformer, vae = CausalWanTransformer3DModel(**sizes.transformer), sizes.vae()
        live = None if sizes.live_decoder is None else TinyWanDecoder(**sizes.live_decoder).eval()
        text_width = transformer.config["text_dim"]
        text = UMT5Config(
            vocab_size=len(tokenizer), d_model=text_width, d_kv=8, d_ff=8, num_layers=1, num_heads=1
        )
        text_encoder = UMT5EncoderModel(text)
    cast_weights(transformer, dtype, transformer._keep_in_fp32_modules)
    parts = (transformer.eval(), vae.eval(), text_encoder.eval(), tokenizer, FlowSchedule(**sizes.schedule))
    return ShotStreamPipeline(*parts, live_decoder=live, **sizes.pipeline)


@contextmanager
def _building(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _tiny() -> Sizes:
    transformer = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 3, "ffn_dim": 48}
    channels = {
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "text_length": 48,
        "freq_dim": 16,
        "window_chunks": 4,
    }
    widths = {"encoder_widths": (8, 8, 8), "decoder_widths": (8, 8, 8, 8), "decoder_blocks": 1}
    return Sizes(
        {**transformer, **channels},
        lambda: TinyVideoAutoencoder(latent_channels=4, **widths),
        {"shift": 3.0},
        {"fps": 8.0, "height": 32, "width": 48},
        {"latent_channels": 4, "widths": (8, 8, 8, 8)},
    )


def _mini() -> Sizes:
    folder = SHIPPED / "mini"
    index = json.loads((folder / "model_index.json").read_text())
    vae = _config(folder / "vae" / "config.json")
    return Sizes(
        _config(folder / "transformer" / "config.json"),
        lambda: TinyVideoAutoencoder(**vae),
        _config(folder / "scheduler" / "scheduler_config.json"),
        {name: index[name] for name in ("fps", "height", "width", "caption_template")},
    )


def _wan() -> Sizes:
    return Sizes({}, AutoencoderKLWan, {}, {}, {})


def _config(path: Any) -> dict[str, Any]:
    entries = json.loads(path.read_text())
    return {name: value for name, value in entries.items() if not name.startswith("_")}


SIZES: dict[str, Callable[[], Sizes]] = {"tiny": _tiny, "mini": _mini, "wan-1.3b": _wan}
"""The defaults of our transformer and of diffusers' autoencoder are Wan 2.1 T2V 1.3B."""
