"""The transformer's part of a story: context pass, denoising, clean pass; captions and stills are random.

Legend: F latent frames, C channels, h and w latent height and width, S captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming.noise import noise
from shotstream.streaming.rollout import ShotRollout


@dataclass(frozen=True)
class Opening:
    """What a shot is made from."""

    latents: Tensor
    """Stills of the remembered frames [1, F, C, h, w]."""
    captions: Captions
    """Of the remembered frames, S of them."""
    caption_index: Tensor | None
    """Which of them each frame attends to [F]; None if S is 1."""
    shot_index: Tensor | int
    """Shot of each frame [F]."""
    own_caption: Captions
    own_index: int
    """The shot's number in the rotary phase shift."""


def make_opening(transformer: CausalWanTransformer3DModel, cell: tuple[int, int, int], shot: int) -> Opening:
    """Make up what the shot of this number is made from: zeros for the first, random stills for others.

    Args:
        transformer: The network; decides device and sizes.
        cell: Latent channels, height and width.
        shot: Number of the shot, from 0. Its captions are those of the shots before, 6 at most.
    """
    device, config = transformer.device, transformer.config
    frames = config["context_frames"]
    own = transformer.encode_captions(_text(transformer, shot))
    if shot == 0:
        return Opening(torch.zeros((1, frames, *cell), device=device), own, None, 0, own, 1)
    count = min(shot, frames)
    index = torch.arange(frames, device=device) * count // frames
    captions = [transformer.encode_captions(_text(transformer, shot - count + n)) for n in range(count)]
    latents = noise((shot, 1), (1, frames, *cell), device=device)
    return Opening(
        latents, Captions.join(captions), index if count > 1 else None, index + shot - count, own, shot
    )


def _text(transformer: CausalWanTransformer3DModel, shot: int) -> Tensor:
    """A random caption [1, 1, L, D]."""
    shape = (1, 1, transformer.config["text_length"], transformer.config["text_dim"])
    return noise((shot, 0), shape, transformer.dtype, transformer.device)


class ChunkLoop:
    """Rolls shots out one after the other, as `ShotGenerator` does, without caption and pixels.

    Args:
        transformer: The network.
        schedule: Its path between data and noise, and the student's steps.
        cell: Latent channels, height and width.
        cache: Storage for keys and values; one for a session if None.
    """

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        schedule: FlowSchedule,
        cell: tuple[int, int, int],
        cache: DualCache | None = None,
    ) -> None:
        self.transformer = transformer
        self.schedule = schedule
        self.cell = cell
        _, rows, columns = transformer.config["patch_size"]
        tokens = (cell[1] // rows) * (cell[2] // columns)
        self.cache = cache or transformer.new_cache(batch=1, tokens_per_frame=tokens)
        self.rollout: ShotRollout
        """Of the open shot."""

    def open_shot(self, opening: Opening) -> None:
        """Cut: the context pass."""
        self.rollout = ShotRollout(
            self.transformer, self.schedule, self.cache, opening.own_caption, opening.own_index
        )
        self.rollout.fill_context(
            opening.latents, opening.captions, opening.caption_index, opening.shot_index
        )

    @torch.no_grad()
    def denoise(self, shot: int, chunk: int) -> Tensor:
        """Make a chunk; its noise depends on both numbers. Returns clean latents [1, F, C, h, w]."""
        return self.rollout.denoise(partial(self.noise, shot, chunk))

    def commit(self, x0: Tensor) -> None:
        """Put the chunk into the local cache."""
        self.rollout.add(x0)
        self.rollout.commit()

    def noise(self, shot: int, chunk: int, step: int) -> Tensor:
        """Noise of one step [1, F, C, h, w]."""
        frames = self.transformer.config["chunk_frames"]
        return noise((0, shot, 0, chunk, step), (1, frames, *self.cell), device=self.transformer.device)
