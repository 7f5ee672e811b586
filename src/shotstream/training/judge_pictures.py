"""Pictures that the judge learns from beside those on disk: shots drawn anew, and shots that a model remade.

Legend: B batch, T frames, F latent frames, C latent channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.training.settings import WorldData
from shotstream.world.judge import OF_A_CHARACTER, SPOILT, STANDS
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

Answers = dict[str, str]
FRESH_SEEDS = range(10_000_000, 20_000_000)
"""Of training stories that are on no disk."""
LEAST_NOISE, MOST_NOISE = 0.35, 0.9
"""Sigma of a shot that is remade: below, nothing melts; above, another figure comes of it."""
STILL_CLEAN, MELTED, ANOTHER = 0.4, 0.7, 0.65
"""Sigma up to which figures stay clean, from which they are spoilt, and from which details may change."""
DETAILS = (
    "landmark",
    "side",
    *(f"{stand} {name}" for stand in STANDS for name in OF_A_CHARACTER if name not in ("kind", "colour")),
)
"""Questions about what a model may change when it remakes much noise."""


class FreshShot(NamedTuple):
    """A shot drawn anew."""

    frames: Tensor
    """uint8 ``[T, H, W, 3]``."""
    attributes: dict[str, Any]
    """`WorldStory.attributes` of its story."""
    setting: str
    prompt: str


def draw_fresh(world: WorldData, seed: int, shot: int, frames: int) -> FreshShot:
    """Draw the first frames of a shot of a training story.

    Args:
        world: Its sizes.
        seed: Of the story, any.
        shot: Which shot, from 0, below `world.shots`.
        frames: How many, at least 1.
    """
    story = sample_story(seed, split="train", shots=world.shots, frames=frames)
    drawn = draw_shot(story, shot, height=world.height, width=world.width, fps=world.fps)
    return FreshShot(torch.from_numpy(drawn), story.attributes(), story.setting, story.shots[shot].prompt)


class Remaker:
    """Has a model remake shots from noise that still holds them: they melt as its own shots do.

    Args:
        pipeline: The model; frozen.
        autoencoder: Its own.
    """

    def __init__(self, pipeline: ShotStreamPipeline, autoencoder: VideoAutoencoder) -> None:
        self._pipeline, self._autoencoder = pipeline, autoencoder

    @torch.no_grad()
    def __call__(
        self, frames: Tensor, captions: Sequence[tuple[str, str]], sigmas: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Remake shots in one step of the model's student.

        Args:
            frames: ``[B, T, 3, H, W]`` in [-1, 1].
            captions: Setting and prompt of each shot.
            sigmas: Noise of each shot ``[B]``, in (0, 1).
            generator: Of the noise; on the CPU.

        Returns:
            Frames of the same shape.
        """
        pipeline, transformer = self._pipeline, self._pipeline.transformer
        clean = self._autoencoder.encode_clip(frames)  # [B, F, C, h, w]
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        sigma = sigmas.to(clean).view(-1, 1, 1, 1, 1)
        noisy = torch.lerp(clean, noise, sigma)
        remade = []
        for row, (setting, prompt) in enumerate(captions):
            told = transformer.encode_captions(pipeline.embed(pipeline.caption(setting, 0, prompt)))
            flow = transformer(
                noisy[row, None], 1000 * sigmas[row, None], told, shot_index=0, context_frames=0
            ).sample
            remade.append(noisy[row, None] - sigma[row] * flow)
        return self._autoencoder.open_decoder().decode(torch.cat(remade).to(clean)).clamp(-1, 1)


def truth_of_remade(truth: Answers, sigma: float) -> Answers:
    """What is true of a remade shot; what one person would say and another would not is left out."""
    left_out = {"figures"} if STILL_CLEAN < sigma < MELTED else set()
    if sigma >= ANOTHER:
        left_out.update(DETAILS)
    answers = {name: answer for name, answer in truth.items() if name not in left_out}
    return answers | {"figures": SPOILT} if sigma >= MELTED else answers
