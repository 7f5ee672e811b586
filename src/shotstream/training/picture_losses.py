"""How far made pictures are from true ones.

Legend: B batch, T frames, H and W pixels; values in [-1, 1].
"""

from __future__ import annotations

import math
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

MOVING = 0.1
"""How much a channel of a pixel, in [-1, 1], must change from a picture to the next to count as moving."""


def reconstruction_loss(
    frames: Tensor,
    target: Tensor,
    edge_weight: float,
    motion_weight: float = 0.0,
    moving_weight: float = 0.0,
) -> Tensor:
    """Mean absolute difference of the pixels, and of the differences of neighbouring pixels.

    Args:
        frames: `[B, T, 3, H, W]`.
        target: the same shape.
        edge_weight: weight of the differences between neighbours in a picture, which keeps edges sharp.
        motion_weight: weight of the differences between a picture and the next, which keeps the borders of
            latents and chunks from flickering.
        moving_weight: how much more pixels count that move in the target.
    """
    error = frames - target
    weight = _weight_of_pixels(target, moving_weight)
    loss = (weight * error.abs()).mean()
    if edge_weight:
        across = (weight[..., 1:] * error.diff(dim=-1).abs()).mean()
        down = (weight[..., 1:, :] * error.diff(dim=-2).abs()).mean()
        loss = loss + edge_weight * (across + down)
    if motion_weight:
        loss = loss + motion_weight * (weight[:, 1:] * error.diff(dim=1).abs()).mean()
    return loss


def _weight_of_pixels(target: Tensor, moving_weight: float) -> Tensor:
    """Weights `[B, T, 1, H, W]` whose mean is 1, higher where a pixel changes before or after."""
    moves = torch.zeros_like(target[:, :, :1], dtype=torch.bool)
    changes = target.diff(dim=1).abs().amax(dim=2, keepdim=True) > MOVING  # [B, T-1, 1, H, W]
    moves[:, 1:] |= changes
    moves[:, :-1] |= changes
    weight = 1 + moving_weight * moves
    return weight / weight.mean()


SHIFTS = tuple(product(range(-2, 3), repeat=2))
"""By how many pixels, down and to the right, a patch may lie elsewhere for `shift_tolerant_loss`."""
SHIFT_COST = 0.004
"""What a pixel of such a shift costs, so that a patch stays where it is if nothing is gained."""


def shift_tolerant_loss(frames: Tensor, target: Tensor, patch: int = 12) -> Tensor:
    """Mean absolute difference of patches, each compared with the target where it fits best near its place.

    A picture that is sharp, and a pixel off, costs less than a blurred one that lies right.

    Args:
        frames: `[B, T, 3, H, W]`.
        target: the same shape.
        patch: pixels of a patch in each direction; half of it is the way to the next one.
    """
    made, true = frames.flatten(0, 1), target.flatten(0, 1)
    reach = max(max(shift) for shift in SHIFTS)
    height, width = made.shape[-2] - 2 * reach, made.shape[-1] - 2 * reach
    own = _with_edges(made[..., reach : reach + height, reach : reach + width])
    costs = []
    for down, right in SHIFTS:
        top, left = reach + down, reach + right
        other = _with_edges(true[..., top : top + height, left : left + width])
        difference = (own - other).abs().mean(1, keepdim=True)  # [B*T, 1, height, width]
        costs.append(F.avg_pool2d(difference, patch, patch // 2) + SHIFT_COST * (abs(down) + abs(right)))
    return torch.stack(costs).amin(0).mean()


def _with_edges(pictures: Tensor) -> Tensor:
    """Pictures `[N, 3, H, W]` with twice the differences to their neighbours as further channels."""
    across = pictures.diff(dim=-1, append=pictures[..., -1:])
    down = pictures.diff(dim=-2, append=pictures[..., -1:, :])
    return torch.cat([pictures, 2 * across, 2 * down], dim=1)


def coarse_loss(frames: Tensor, target: Tensor, size: int = 4) -> Tensor:
    """Mean absolute difference of the means of `size` x `size` pixels: what is seen of no detail."""
    made, true = (F.avg_pool2d(pictures.flatten(0, 1), size) for pictures in (frames, target))
    return (made - true).abs().mean()


def edge_energy(frames: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels in every patch `[B*T, 1, rows, columns]`."""
    pictures = frames.flatten(0, 1)
    across = pictures.diff(dim=-1).abs().mean(1, keepdim=True)[..., :-1, :]
    down = pictures.diff(dim=-2).abs().mean(1, keepdim=True)[..., :-1]
    return _means_of_patches(across + down)


def motion_energy(frames: Tensor) -> Tensor:
    """Mean absolute change from a picture to the next in every patch `[B*(T-1), 1, rows, columns]`."""
    return _means_of_patches(frames.diff(dim=1).abs().mean(2, keepdim=True).flatten(0, 1))


def _means_of_patches(pictures: Tensor, size: int = 8) -> Tensor:
    """Half of a patch is the way to the next one."""
    return F.avg_pool2d(pictures, size, size // 2)


def energy_loss(frames: Tensor, target: Tensor) -> Tensor:
    """How far edge and motion energy are from the target's. Blur has too little, grain and jumps too much."""
    edges = (edge_energy(frames) - edge_energy(target)).abs().mean()
    return edges + (motion_energy(frames) - motion_energy(target)).abs().mean()


def grain_loss(frames: Tensor, before: Tensor, allowed: float = 0.01) -> Tensor:
    """How much more edge energy patches have than they had before, beyond what is allowed."""
    return F.relu(edge_energy(frames) - edge_energy(before) - allowed).mean()


def psnr(frames: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    return 10 * math.log10(4 / F.mse_loss(frames, target).item())
