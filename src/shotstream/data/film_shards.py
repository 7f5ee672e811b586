"""Shards of stories cut from films: what they were encoded for, and whether a recipe can learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from shotstream.data.shards import Shards
from shotstream.loading.hashes import hash_parameters, sample_weights
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.models.autoencoder_wan import WanVideoAutoencoder

FilmSplit = Literal["train", "held-out"]


class ClipFormat(BaseModel):
    """What a model makes, and so what films are turned into."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: PositiveInt
    """Pixels."""
    width: PositiveInt
    fps: PositiveFloat
    shot_frames: PositiveInt
    """Most pixel frames of a clip that is to be made, 1 + 4k."""
    chunk_frames: PositiveInt
    """Latent frames of a chunk; clips are whole chunks."""
    context_frames: PositiveInt
    """Most context frames."""
    temporal_ratio: PositiveInt = 4
    """Pixel frames of a latent frame, after the first."""

    def latent_frames(self, frames: int) -> int:
        """Latent frames of the clip of a shot of so many frames: whole chunks, 0 if there is none."""
        whole = 1 + (min(frames, self.shot_frames) - 1) // self.temporal_ratio
        return whole // self.chunk_frames * self.chunk_frames

    def clip_frames(self, frames: int) -> int:
        """Pixel frames of that clip."""
        latent = self.latent_frames(frames)
        return 1 + (latent - 1) * self.temporal_ratio if latent else 0

    @property
    def least_frames(self) -> int:
        """Pixel frames of the shortest shot that gives a clip."""
        return 1 + (self.chunk_frames - 1) * self.temporal_ratio


def encoder_hash(autoencoder: VideoAutoencoder) -> str:
    """SHA-256, in hexadecimal, of the weights that make latents.

    Raises:
        ValueError: If it is an unknown autoencoder.
    """
    if isinstance(autoencoder, TinyVideoAutoencoder):
        return hash_parameters(autoencoder.encoding_parts)
    if isinstance(autoencoder, WanVideoAutoencoder):
        return hash_parameters(autoencoder.vae.encoder, autoencoder.vae.quant_conv)
    raise ValueError(f"{type(autoencoder).__name__} is no autoencoder whose latents can be kept in shards")


def text_encoder_hash(folder: Path) -> str:
    """What tells the text encoder of a model folder from others."""
    return sample_weights(folder / "text_encoder")


def embeds_captions(folder: Path) -> bool:
    """Whether shards of films bring embeddings of their captions."""
    index = folder / "train" / "index.jsonl"
    return index.is_file() and "captions" in Shards(folder / "train").made_with


def check_captions(shards: Shards, template: str, base: Path) -> None:
    """Compare the embeddings that shards bring with what a recipe would make.

    Raises:
        ValueError: If they were made with another template or text encoder; in one sentence.
    """
    made = shards.made_with["captions"]
    if made["template"] != template:
        raise ValueError(
            f"The captions in {shards.folder} were embedded as {made['template']!r}, but the recipe's "
            f"caption_template is {template!r}; prepare the films again, or change the recipe."
        )
    if made["encoder"] != text_encoder_hash(base):
        raise ValueError(
            f"The captions in {shards.folder} were embedded by another text encoder than that of {base}; "
            "prepare the films again with --model and the recipe's base."
        )


def open_films(folder: Path, split: FilmSplit, wanted: ClipFormat, encoder: str) -> Shards:
    """Open the stories of a split.

    Args:
        folder: What ``shotstream data prepare`` made.
        split: Which part.
        wanted: What the recipe makes.
        encoder: Hash of the recipe's autoencoder.

    Raises:
        ValueError: If there are none, or they were made for another model; in one sentence.
    """
    if not (folder / split / "index.jsonl").is_file():
        raise ValueError(
            f"There are no {split} stories of films in {folder}; make them with: "
            f"shotstream data prepare FILMS -o {folder}"
        )
    shards = Shards(folder / split)
    made = ClipFormat.model_validate(shards.made_with["format"])
    for name, value in made:
        if getattr(wanted, name) != value:
            raise ValueError(
                f"The films in {folder} were prepared with {name}={value}, but the recipe has "
                f"{getattr(wanted, name)}; prepare them for the recipe's base, or change the recipe."
            )
    if shards.made_with["encoder"] != encoder:
        raise ValueError(
            f"The films in {folder} were encoded by another autoencoder than that of the recipe's base; "
            "prepare them again with --model and the base."
        )
    return shards
