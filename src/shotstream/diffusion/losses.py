"""Losses of the training stages, as functions of tensors.

Legend: B batch, F latent frames, C channels, h and w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def flow_matching_loss(flow: Tensor, x0: Tensor, noise: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared distance of a predicted flow to ``noise - x0`` (paper, stage 1 and the critic).

    Args:
        flow: Predicted flow [B, F, C, h, w].
        x0: Clean latents of the same shape.
        noise: The noise they were mixed with.
        weight: Of each sample [B]; None for 1.

    Returns:
        A scalar.
    """
    error = (flow.float() - (noise - x0)).square().mean(dim=(1, 2, 3, 4))  # [B]
    return (error if weight is None else error * weight).mean()


def regression_loss(x0: Tensor, target: Tensor, learnt: Tensor) -> Tensor:
    """Mean squared distance of predicted clean latents to those at the end of the teacher's ODE (stage 2).

    Args:
        x0: Predicted clean latents [B, F, C, h, w].
        target: End of the trajectory, the same shape.
        learnt: Which frames count, bool [B, F]; at least one of them.

    Returns:
        A scalar.
    """
    error = (x0.float() - target).square().mean(dim=(2, 3, 4))  # [B, F]
    return error[learnt].mean()


def distribution_matching_loss(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Loss whose gradient moves rollouts from the critic's prediction towards the teacher's (stages 3, 4).

    ``0.5 mean (x - stopgrad(x - g))^2`` with ``g = (fake - real) / mean |x - real|``, the mean over each
    sample: its gradient by ``x`` is ``g`` over the number of elements.

    Args:
        x: The student's rollouts [B, F, C, h, w], with gradient.
        real: Clean latents that the guided teacher predicts from `x` made noisy, same shape.
        fake: What the critic predicts from the same.

    Returns:
        A scalar.
    """
    x, real, fake = x.float(), real.float(), fake.float()
    with torch.no_grad():
        distance = (x - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True)  # [B, 1, 1, 1, 1]
        target = x - (fake - real) / distance
    return 0.5 * (x - target).square().mean()


def stratified(count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` numbers in [0, 1), float64, one from each of as many equal parts, in random order."""
    order = torch.randperm(count, generator=generator)
    return (order + torch.rand(count, generator=generator, dtype=torch.float64)) / count
