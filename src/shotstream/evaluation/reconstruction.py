"""How well an autoencoder gives drawn stories back, figures apart from what is behind them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from shotstream.evaluation.crispness import chunk_jump, edge_energy
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.chunk import to_pictures, to_pixels
from shotstream.world.sampler import WorldStory
from shotstream.world.scene import draw_shot

STILLS_EVERY = 8
"""One frame of so many is also encoded by itself."""


@torch.no_grad()
def measure_reconstruction(
    autoencoder: VideoAutoencoder,
    stories: Iterable[WorldStory],
    *,
    height: int,
    width: int,
    fps: float = 12,
    chunk_frames: int = 3,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Encode and decode the shots of drawn stories.

    Args:
        autoencoder: The autoencoder.
        stories: Of the story world; shots of 1 + 4k frames.
        height: Pixels.
        width: Pixels.
        fps: Frames per second.
        chunk_frames: Latent frames of a chunk, for the jump between chunks.
        device: Where the autoencoder is.

    Returns:
        Peak signal-to-noise ratios in dB, of clips (`psnr`, `psnr_figures`, `psnr_background`) and of stills
        (`psnr_stills`, `psnr_stills_figures`); `edge_energy` against the drawn; `chunk_jump` and, of the
        drawn pictures at the same frames, `chunk_jump_drawn`.
    """
    errors: dict[str, list[float]] = defaultdict(list)
    for story in stories:
        for number in range(len(story.shots)):
            size = {"height": height, "width": width, "fps": fps}
            drawn = draw_shot(story, number, **size)  # [T, H, W, 3]
            figures = (drawn != draw_shot(story, number, **size, cast=False)).any(axis=-1)  # [T, H, W]
            clip = _back(autoencoder, autoencoder.encode_clip(to_pixels(drawn)[None].to(device)))
            stills = to_pixels(drawn[::STILLS_EVERY])[None].to(device)  # [1, F, 3, H, W]
            encoded = autoencoder.encode_stills(stills)[0]  # [F, C, h, w]
            single = np.concatenate([_back(autoencoder, still[None, None]) for still in encoded])
            error = np.square(clip.astype(np.float32) - drawn).mean(axis=-1)
            still_error = np.square(single.astype(np.float32) - drawn[::STILLS_EVERY]).mean(axis=-1)
            errors["psnr"].append(float(error.mean()))
            errors["psnr_figures"].append(float(error[figures].mean()))
            errors["psnr_background"].append(float(error[~figures].mean()))
            errors["psnr_stills"].append(float(still_error.mean()))
            errors["psnr_stills_figures"].append(float(still_error[figures[::STILLS_EVERY]].mean()))
            errors["edge_energy"].append(edge_energy(clip[::4]) / edge_energy(drawn[::4]))
            starts = [[0, *range(1 + 4 * (chunk_frames - 1), len(drawn), 4 * chunk_frames)]]
            for name, shot in (("chunk_jump", clip), ("chunk_jump_drawn", drawn)):
                if (jump := chunk_jump([shot], starts)) is not None:
                    errors[name].append(jump)
    return {
        name: 10 * math.log10(255**2 / max(float(np.mean(values)), 1e-6))
        if name.startswith("psnr")
        else float(np.mean(values))
        for name, values in errors.items()
    }


def _back(autoencoder: VideoAutoencoder, latents: Tensor) -> np.ndarray:
    return to_pictures(autoencoder.open_decoder().decode(latents)[0].clamp(-1, 1))
