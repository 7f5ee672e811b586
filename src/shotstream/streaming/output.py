"""What a whole story comes back as, in the forms that diffusers' users know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from shotstream.streaming.chunk import Chunk


@dataclass
class StoryOutput(BaseOutput):
    """A told story."""

    frames: Any
    """The whole story as a batch of one: "np" float32 ``[1, T, H, W, 3]`` and "pt" float32
    ``[1, T, 3, H, W]`` in [0, 1], "pil" a list with one list of images, "latent" ``[1, C, F, h, w]``."""
    shots: list[Any]
    """The frames of each shot, in the same form without the batch."""


def gather(chunks: Sequence[Chunk], output_type: str) -> StoryOutput:
    """Put the chunks of a story together as `output_type` ("np", "pt", "pil" or "latent") says."""
    by_shot = [list(shot) for _, shot in groupby(chunks, key=lambda chunk: chunk.shot)]
    if output_type == "latent":
        clean = [torch.cat([chunk.latents for chunk in shot], dim=1).transpose(1, 2) for shot in by_shot]
        return StoryOutput(frames=torch.cat(clean, dim=2), shots=[latents[0] for latents in clean])
    shots = [_converted(np.concatenate([chunk.frames for chunk in shot]), output_type) for shot in by_shot]
    if output_type == "pil":
        return StoryOutput(frames=[[image for shot in shots for image in shot]], shots=shots)
    join = np.concatenate if output_type == "np" else torch.cat
    return StoryOutput(frames=join(shots)[None], shots=shots)


def _converted(pictures: np.ndarray, output_type: str) -> Any:
    """Convert pictures, uint8 ``[T, H, W, 3]``."""
    if output_type == "pil":
        return [Image.fromarray(picture) for picture in pictures]
    levels = pictures.astype(np.float32) / 255
    return levels if output_type == "np" else torch.from_numpy(levels).permute(0, 3, 1, 2)
