"""Two ways from noise to clean latents: a student's few steps and a teacher's ODE."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from shotstream.diffusion.schedule import FlowSchedule

Network = Callable[[Tensor, Tensor], Tensor]
"""Maps noisy latents [B, F, C, h, w] and a timestep [B] to a prediction of the latents' shape."""


def sample_few_step(
    denoise: Network, noise_at: Callable[[int], Tensor], schedule: FlowSchedule, steps: Tensor
) -> Tensor:
    """Sample as the distilled student does: predict x0, noise it again for the next step, and so on.

    Args:
        denoise: Predicts x0 (not the flow).
        noise_at: Gives the noise [B, F, C, h, w] of step ``i``; step 0 starts from it.
        schedule: The path between data and noise.
        steps: Timesteps from noise down, e.g. ``schedule.student_steps()``.

    Returns:
        The last predicted x0 [B, F, C, h, w].
    """
    x = noise_at(0)
    steps = steps.to(x.device)
    x0 = x
    for i, step in enumerate(steps):
        if i > 0:
            x = schedule.add_noise(x0, noise_at(i), step)
        x0 = denoise(x, step.expand(x.shape[0]))
    return x0


def sample_ode(
    flow: Network, noise: Tensor, schedule: FlowSchedule, steps: int, keep: Sequence[int] = ()
) -> tuple[Tensor, list[Tensor]]:
    """Follow the flow from noise to data with Euler steps (method: teacher with 50 steps).

    Args:
        flow: Predicts the flow; guidance is part of it, see :func:`guided`.
        noise: Start [B, F, C, h, w].
        schedule: The path between data and noise.
        steps: Number of Euler steps.
        keep: Steps whose noisy state *before* the step is wanted.

    Returns:
        The clean latents, and the kept states in the order of ``keep``.
    """
    timesteps = schedule.ode_timesteps(steps)
    sigmas = [
        *(schedule.ode_timesteps(steps).double() / schedule.config["num_train_timesteps"]).tolist(),
        0.0,
    ]
    x, states = noise, {}
    for i in range(steps):
        if i in keep:
            states[i] = x
        x = x + (sigmas[i + 1] - sigmas[i]) * flow(x, timesteps[i].to(x.device).expand(x.shape[0]))
    return x, [states[i] for i in keep]


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``unconditional + scale (conditional - unconditional)``.

    Args:
        conditional: Flow (or x0) predicted with the caption.
        unconditional: The same with the negative or empty caption.
        scale: 1 gives the conditional prediction back.

    Returns:
        Guided prediction of the same shape.
    """
    return torch.lerp(unconditional, conditional, scale)


def rescaled(prediction: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Bring the deviation of a guided x0 back towards that of the unguided one (Lin et al. 2023, eq. 15-16).

    Guidance spreads predictions out; a student that learns from them becomes garish.

    Args:
        prediction: Guided x0 [B, F, C, h, w].
        conditional: x0 predicted with the caption alone.
        share: How far, from 0 (not at all) to 1 (to the same deviation).

    Returns:
        The guided x0, each sample scaled by one number.
    """
    dims = tuple(range(1, prediction.ndim))
    ratio = conditional.std(dim=dims, keepdim=True) / prediction.std(dim=dims, keepdim=True)
    return prediction * (1 + share * (ratio - 1))
