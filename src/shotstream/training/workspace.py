"""The folder of a training life: what each stage needs, made when first asked for, in runs/NAME."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from ..data.drawn import draw_stories, encode_stories
from ..data.next_shot import NextShots
from ..data.shards import Shards
from ..diffusion.schedule import FlowSchedule
from ..models.autoencoder_tiny import TinyVideoAutoencoder
from ..models.text import CaptionEncoder, make_text_encoder, make_tokenizer
from ..models.transformer import CausalWanTransformer3DModel
from ..world.vocabulary import words
from .autoencoder import LearnAutoencoder, new_autoencoder
from .causal_init import LearnCausally, record_pairs
from .generator import Generator
from .loop import train
from .run import RunFolder
from .settings import Recipe
from .stage import Stage
from .teacher import LearnNextShot

Split = Literal["train", "held-out"]
STAGES = ("autoencoder", "decoder", "teacher", "causal-init")
"""In the order they are run; `decoder` only needs `autoencoder` and can run beside the others."""


class MissingStageError(ValueError):
    """A stage needs what an earlier one makes."""


class Workspace:
    """A recipe and its run folder; `run` trains a stage, `save_pipeline` puts the parts together."""

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device):
        self.recipe, self.folder, self.device = recipe, folder, device

    def run(self, name: str) -> Path:
        """Train a stage (or go on with it) and return where its networks were exported."""
        settings = {
            "autoencoder": self.recipe.autoencoder,
            "decoder": self.recipe.decoder,
            "teacher": self.recipe.teacher,
            "causal-init": self.recipe.causal_init,
        }[name]
        torch.manual_seed(settings.loop.seed)
        train(self._stage(name), RunFolder(self.folder / name, settings))
        return self.folder / name / "export"

    def _stage(self, name: str) -> Stage:
        if name in ("autoencoder", "decoder"):
            drawn, held_out = self.drawn("train"), self.drawn("held-out")
            whole = name == "autoencoder"
            settings = self.recipe.autoencoder if whole else self.recipe.decoder
            network = (
                new_autoencoder(self.recipe.autoencoder, drawn) if whole else self._autoencoder("autoencoder")
            )
            return LearnAutoencoder(settings, network, drawn, held_out, self.device)
        data, validation = self.next_shots("train"), self.next_shots("held-out")
        if name == "teacher":
            return LearnNextShot(
                self.recipe.teacher, self._new_generator(), data, validation, self.autoencoder
            )
        share, settings = self.recipe.teacher.first_shot_share, self.recipe.causal_init
        pairs = record_pairs(self.folder / "pairs", self.generator("teacher"), data, settings, share)
        return LearnCausally(settings, self.generator("teacher"), pairs, data, validation, self.autoencoder)

    def drawn(self, split: Split) -> Shards:
        """Drawn stories of a split."""
        world = self.recipe.world
        return draw_stories(
            self.folder / f"drawn-{split}",
            stories=world.stories if split == "train" else world.validation_stories,
            split=split,
            shots=world.shots,
            frames=world.shot_frames,
            size=(world.height, world.width),
            fps=world.fps,
        )

    def next_shots(self, split: Split) -> NextShots:
        """Encoded stories of a split."""
        budget = self.recipe.world.context_frames
        latents = encode_stories(
            self.folder / f"latents-{split}", self.drawn(split), self.autoencoder, budget
        )
        return NextShots(latents, self._captions().tokenize, self.recipe.caption_template, budget)

    @cached_property
    def autoencoder(self) -> TinyVideoAutoencoder:
        """The trained autoencoder, with the decoder that has learnt longest."""
        finished = (self.folder / "decoder" / "export").exists()
        return self._autoencoder("decoder" if finished else "autoencoder").eval().requires_grad_(False)

    def _autoencoder(self, stage: str) -> TinyVideoAutoencoder:
        autoencoder = TinyVideoAutoencoder.from_pretrained(self._exported(stage))
        return autoencoder.to(self.device, memory_format=torch.channels_last)

    def generator(self, name: str) -> Generator:
        """The trained generator of a stage, with the captions and the schedule of the recipe."""
        folder = self._exported(name) / "transformer"
        transformer = CausalWanTransformer3DModel.from_pretrained(folder).to(self.device)
        return Generator(transformer, self._captions(trained=True), self.schedule)

    @property
    def schedule(self) -> FlowSchedule:
        """The recipe's schedule."""
        return FlowSchedule(shift=self.recipe.teacher.shift, student_timesteps=self.recipe.student_timesteps)

    def _exported(self, name: str) -> Path:
        folder = self.folder / name / "export"
        if not folder.exists():
            raise MissingStageError(
                f"Stage {name} has not been finished in {self.folder}; run 'shotstream train {name} ...' first."
            )
        return folder

    def _captions(self, trained: bool = False) -> CaptionEncoder:
        network, tokenizer = self.recipe.teacher.network, make_tokenizer(words())
        encoder = make_text_encoder(
            len(tokenizer), network.text_width, network.text_layers, network.text_heads
        )
        if trained:
            encoder = type(encoder).from_pretrained(self._exported("teacher") / "text_encoder")
        return CaptionEncoder(tokenizer, encoder.to(self.device), network.text_length)

    def _new_generator(self) -> Generator:
        world, network = self.recipe.world, self.recipe.teacher.network
        ratio, patch = self.autoencoder.spatial_ratio, 2
        latent_frames = 1 + (world.shot_frames - 1) // self.autoencoder.temporal_ratio
        grid = (world.height // ratio // patch, world.width // ratio // patch)
        transformer = CausalWanTransformer3DModel(
            patch_size=(1, patch, patch),
            num_attention_heads=network.heads,
            attention_head_dim=network.head_size,
            in_channels=self.autoencoder.latent_channels,
            out_channels=self.autoencoder.latent_channels,
            text_dim=network.text_width,
            text_length=network.text_length,
            ffn_dim=network.feed_forward,
            num_layers=network.layers,
            context_frames=world.context_frames,
            chunk_frames=network.chunk_frames,
            window_chunks=-(-latent_frames // network.chunk_frames),
            spatial_embedding=grid if network.spatial_embedding else None,
        )
        return Generator(transformer.to(self.device), self._captions(), self.schedule)
