"""The networks that a recipe describes, with fresh weights (or none, under ``torch.device("meta")``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import nn

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.models.autoencoder_wan import as_video_autoencoder
from shotstream.models.text import CaptionEncoder, make_text_encoder, make_tokenizer
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.training.settings import AutoencoderSettings, Recipe
from shotstream.world.vocabulary import words


def make_schedule(recipe: Recipe) -> FlowSchedule:
    """Make the recipe's schedule."""
    return FlowSchedule(shift=recipe.teacher.shift, student_timesteps=recipe.student_timesteps)


def make_captions(recipe: Recipe) -> CaptionEncoder:
    """Make a caption encoder with the vocabulary of the story world."""
    network, tokenizer = recipe.teacher.network, make_tokenizer(words())
    sizes = (network.text_width, network.text_layers, network.text_heads, network.text_length)
    return CaptionEncoder(tokenizer, make_text_encoder(len(tokenizer), *sizes), network.text_length)


def make_autoencoder(recipe: Recipe) -> VideoAutoencoder:
    """Make the light autoencoder of the recipe, or Wan's."""
    if recipe.autoencoder.layout == "wan":
        from diffusers import AutoencoderKLWan

        return as_video_autoencoder(AutoencoderKLWan())
    return make_light_autoencoder(recipe.autoencoder)


def make_light_autoencoder(settings: AutoencoderSettings) -> TinyVideoAutoencoder:
    """Make the light autoencoder."""
    assert settings.layout != "wan"
    return TinyVideoAutoencoder(
        latent_channels=settings.latent_channels,
        encoder_widths=settings.encoder_widths,
        decoder_widths=settings.decoder_widths,
        layout=settings.layout,
        encoder_blocks=settings.encoder_blocks,
        decoder_blocks=settings.decoder_blocks,
    )


def make_transformer(recipe: Recipe, autoencoder: VideoAutoencoder) -> CausalWanTransformer3DModel:
    """Make the transformer for the latents of an autoencoder."""
    world, network = recipe.world, recipe.teacher.network
    ratio, patch = autoencoder.spatial_ratio, 2
    latent_frames = 1 + (world.shot_frames - 1) // autoencoder.temporal_ratio
    grid = (world.height // ratio // patch, world.width // ratio // patch)
    return CausalWanTransformer3DModel(
        patch_size=(1, patch, patch),
        num_attention_heads=network.heads,
        attention_head_dim=network.head_size,
        in_channels=autoencoder.latent_channels,
        out_channels=autoencoder.latent_channels,
        text_dim=network.text_width,
        text_length=network.text_length,
        ffn_dim=network.feed_forward,
        num_layers=network.layers,
        context_frames=world.context_frames,
        chunk_frames=network.chunk_frames,
        window_chunks=-(-latent_frames // network.chunk_frames),
        spatial_embedding=grid if network.spatial_embedding else None,
        pad_context=network.pad_context,
    )


def transformers_in(module: nn.Module) -> Iterator[CausalWanTransformer3DModel]:
    """Go through the transformers that a role's module holds."""
    return (part for part in module.modules() if isinstance(part, CausalWanTransformer3DModel))


def train_self_attention_only(transformer: CausalWanTransformer3DModel) -> None:
    """Freeze everything but the self-attention of the blocks (paper, stage 1)."""
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(re.match(r"blocks\.\d+\.attn1\.", name) is not None)


def check_base(
    recipe: Recipe, transformer: CausalWanTransformer3DModel, autoencoder: VideoAutoencoder
) -> None:
    """Compare the transformer of a recipe's base with what the recipe says of it.

    Raises:
        ValueError: Naming the first difference.
    """
    with torch.device("meta"):
        described = make_transformer(recipe, autoencoder).config
    for name, value in described.items():
        found = transformer.config.get(name)
        if not name.startswith("_") and found != (list(value) if isinstance(found, list) else value):
            raise ValueError(
                f"The base {recipe.base} has {name}={found}, but the recipe {recipe.name} makes it {value}; "
                "change teacher.network or world to match."
            )
