"""The straight path between data and noise, and the warped grid of timesteps on it.

Legend: B batch, F latent frames, K timesteps in the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor


def shifted_sigma(u: Tensor, shift: float) -> Tensor:
    """Warp a uniform time towards noise: ``shift u / (1 + (shift - 1) u)``.

    Args:
        u: Uniform time in [0, 1], any shape.
        shift: Strength of the warp; 1 leaves ``u`` as it is.

    Returns:
        Noise share sigma in [0, 1], same shape.
    """
    return shift * u / (1 + (shift - 1) * u)


class FlowSchedule(SchedulerMixin, ConfigMixin):
    """Rectified flow: ``x_t = (1 - sigma) x0 + sigma noise`` and ``flow = noise - x0``.

    A timestep is ``num_train_timesteps * sigma``. Every conversion looks sigma up at the nearest entry of the
    table, as the published code does, so timestep 0 means the smallest tabulated noise and not none at all.

    Attributes:
        sigmas: float32 [K], from 1 downwards, on the CPU.
        timesteps: float32 [K], ``num_train_timesteps * sigmas``, on the CPU.
        training_weight: float32 [K], weight of the flow-matching loss at each timestep, mean 1, on the CPU.
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        shift: float = 8.0,
        student_timesteps: Sequence[int] = (1000, 740, 500, 260),
    ):
        """Build the tables.

        Args:
            num_train_timesteps: Number K of timesteps in the table.
            shift: Warp of the timesteps towards noise (8 for Wan at 480p; less for smaller pictures).
            student_timesteps: Nominal steps of the few-step student, before the warp, largest first.

        Raises:
            ValueError: If a student step lies outside 1..num_train_timesteps.
        """
        for step in student_timesteps:
            if not 1 <= step <= num_train_timesteps:
                raise ValueError(
                    f"student timestep {step} is outside 1..{num_train_timesteps}; choose one inside"
                )
        self.sigmas = self._sigma_grid(num_train_timesteps)
        self.timesteps = num_train_timesteps * self.sigmas
        self.training_weight = self._bump(self.sigmas)
        nominal = torch.tensor(student_timesteps)
        self._student_steps = {torch.device("cpu"): self.timesteps[num_train_timesteps - nominal]}
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def _sigma_grid(self, steps: int) -> Tensor:
        u = torch.linspace(1, 0, steps + 1)[
            :-1
        ]  # float32 and in this order, to be bit-equal with published tables
        return shifted_sigma(u, self.config["shift"])

    @staticmethod
    def _bump(sigmas: Tensor) -> Tensor:
        weight = torch.exp(-2 * (sigmas - 0.5) ** 2)
        weight = weight - weight.min()
        return weight / weight.mean()

    def student_steps(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the student's warped timesteps, float32, e.g. 1000, 957.93, 888.89, 737.59."""
        device = torch.device(device)
        if device not in self._student_steps:
            self._student_steps[device] = self.student_steps().to(device)
        return self._student_steps[device]

    def ode_timesteps(self, steps: int) -> Tensor:
        """Return ``steps`` warped timesteps from pure noise down, float32 on the CPU, for an ODE sampler."""
        return self.config["num_train_timesteps"] * self._sigma_grid(steps)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Look the noise share up at the nearest tabulated timestep.

        Args:
            timestep: Timesteps in [0, num_train_timesteps], any shape and device.

        Returns:
            Sigma of the same shape and device, float64 (float32 on a device without it).
        """
        sigmas, timesteps = self._tables_on(timestep.device)
        nearest = (timestep.to(timesteps.dtype).unsqueeze(-1) - timesteps).abs().argmin(-1)
        return sigmas.take(nearest)  # indexing with one number would wait for the device

    def add_noise(self, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Go from data to the noisy state ``(1 - sigma) x0 + sigma noise``.

        Args:
            x0: Clean latents [B, F, C, h, w].
            noise: Standard normal noise of the same shape.
            timestep: [] or [B] or [B, F].

        Returns:
            Noisy latents, in the dtype of ``x0``.
        """
        sigma = self._sigma_like(x0, timestep)
        return ((1 - sigma) * x0 + sigma * noise).to(x0.dtype)

    def to_x0(self, x_t: Tensor, flow: Tensor, timestep: Tensor) -> Tensor:
        """Turn a predicted flow into the clean latents it points at: ``x_t - sigma flow``.

        Args:
            x_t: Noisy latents [B, F, C, h, w].
            flow: Predicted flow of the same shape.
            timestep: [] or [B] or [B, F].

        Returns:
            Clean latents, in the dtype of ``x_t``.
        """
        return (x_t - self._sigma_like(x_t, timestep) * flow).to(x_t.dtype)

    def to_flow(self, x_t: Tensor, x0: Tensor, timestep: Tensor) -> Tensor:
        """Turn clean latents into the flow that leads from them to ``x_t``: ``(x_t - x0) / sigma``.

        Args:
            x_t: Noisy latents [B, F, C, h, w].
            x0: Clean latents of the same shape.
            timestep: [] or [B] or [B, F].

        Returns:
            Flow, in the dtype of ``x_t``.
        """
        sigma = self._sigma_like(x_t, timestep)
        return ((x_t.to(sigma.dtype) - x0) / sigma).to(x_t.dtype)

    def _sigma_like(self, latents: Tensor, timestep: Tensor) -> Tensor:
        sigma = self.sigma(timestep.to(latents.device))
        return sigma.reshape(*sigma.shape, *[1] * (latents.ndim - sigma.ndim))  # never 0-dim: it must promote

    def _tables_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._tables:
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self._tables[device] = (self.sigmas.to(device, dtype), self.timesteps.to(device, dtype))
        return self._tables[device]
