"""What of a model films are prepared for: its format, and its autoencoder, without its other parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from shotstream.data.film_shards import ClipFormat, encoder_hash
from shotstream.data.films.embedding import CaptionEmbedder, has_big_text_encoder
from shotstream.loading.folders import ModelError, check_weights, load_errors
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.autoencoder_wan import as_video_autoencoder
from shotstream.streaming.pipeline import ShotStreamPipeline


@dataclass(frozen=True)
class EncodingModel:
    """The autoencoder of a model and what it is used for."""

    name: str
    format: ClipFormat
    autoencoder: VideoAutoencoder
    device: torch.device
    embedder: CaptionEmbedder | None = None
    """Embeds captions; None: they are kept as words alone."""

    @cached_property
    def made_with(self) -> dict[str, object]:
        """What latents and embeddings depend on, ready for JSON."""
        made: dict[str, object] = {"format": self.format.model_dump()}
        made["encoder"] = encoder_hash(self.autoencoder)
        return made if self.embedder is None else made | {"captions": self.embedder.made_with}


def open_encoder(name: str, device: torch.device, embed: bool | None = None) -> EncodingModel:
    """Load the autoencoder of a model, and its text encoder if captions are to be embedded.

    Args:
        name: "mini", a model folder, or a name on the hub.
        device: Where it encodes.
        embed: Whether captions are embedded; None: if the text encoder is big.

    Raises:
        ModelError: If it is not there or not whole.
    """
    folder = ShotStreamPipeline.fetch(name)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    with load_errors(name):
        network = _network(index["vae"][1], folder / "vae").eval().requires_grad_(False)
        shape = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        autoencoder = as_video_autoencoder(network)
        latent_frames = shape["window_chunks"] * shape["chunk_frames"]
        made = ClipFormat(
            height=index.get("height", 480),
            width=index.get("width", 832),
            fps=index.get("fps", 16.0),
            shot_frames=1 + (latent_frames - 1) * autoencoder.temporal_ratio,
            chunk_frames=shape["chunk_frames"],
            context_frames=shape["context_frames"],
            temporal_ratio=autoencoder.temporal_ratio,
        )
    check_weights(str(folder), {"vae": network})
    network.to(device)
    embeds = has_big_text_encoder(folder) if embed is None else embed
    embedder = CaptionEmbedder(folder, device) if embeds else None
    return EncodingModel(str(name), made, autoencoder, device, embedder)


def _network(kind: str, folder: Path) -> nn.Module:
    if kind == "TinyVideoAutoencoder":
        from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder

        return TinyVideoAutoencoder.from_pretrained(folder)
    if kind == "AutoencoderKLWan":
        from diffusers import AutoencoderKLWan

        return AutoencoderKLWan.from_pretrained(folder, torch_dtype=torch.float32, use_safetensors=True)
    raise ModelError(f"{folder} is a {kind}, whose latents cannot be prepared")
