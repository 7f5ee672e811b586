"""Tells drawn pictures from decoded ones, some frames at a time (relativistic, arXiv 1807.00734)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shotstream.training.settings import AdversarySettings

PENALISED_EVERY = 8
"""Turns of a discriminator from one gradient penalty to the next."""


class Discriminator(nn.Module):
    """A score for every patch of about 40 pixels, in frames that follow one another.

    Args:
        frames: How many it sees at a time.
    """

    def __init__(self, frames: int = 4):
        super().__init__()
        self.frames = frames
        self.net = nn.Sequential(
            nn.Conv2d(3 * frames, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            *_layer(64, 128, 4, 2),
            *_layer(128, 192, 3, 1),
            *_layer(192, 256, 4, 2),
            nn.Conv2d(256, 1, 3, padding=1),
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips `[B, n * frames, 3, H, W]` to scores `[B * n, 1, H / 8, W / 8]`, high for drawn ones."""
        return self.net(clips.unflatten(1, (-1, self.frames)).flatten(0, 1).flatten(1, 2))


def _layer(channels: int, out_channels: int, size: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, out_channels, size, stride=stride, padding=1),
        nn.GroupNorm(8, out_channels),
        nn.LeakyReLU(0.2),
    )


def grouped(frames: Tensor, group: int) -> Tensor:
    """Arrange frames `[B, T, 3, H, W]` in whole groups, as a discriminator sees them.

    They are those of whole latents. A frame that opens a shot comes first, in a group with the next ones.
    """
    opening = frames.shape[1] % group
    return torch.cat([frames[:, :group], frames[:, opening:]], dim=1) if opening else frames


def relativistic_loss(higher: Tensor, lower: Tensor) -> Tensor:
    """Loss that falls as the scores of one kind rise above those of the other, pair by pair."""
    return F.softplus(lower.float() - higher.float()).mean()


def gradient_penalty(discriminator: Discriminator, clips: Tensor) -> Tensor:
    """Mean squared gradient of the scores of drawn clips (R1): holds a discriminator from being too sure."""
    clips = clips.detach().requires_grad_(True)
    scores = discriminator(clips).float()
    (gradient,) = torch.autograd.grad(scores.sum(), clips, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3, 4)).mean()


class Adversary:
    """A discriminator that learns in turns with the network whose pictures it tells from drawn ones.

    Args:
        settings: When it learns, and how it is held back.
        frames: How many it sees at a time.
        device: Where it is.
    """

    def __init__(self, settings: AdversarySettings, frames: int, device: torch.device):
        self.settings = settings
        self.network = Discriminator(frames).to(device)
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def learns(self, step: int) -> bool:
        """Whether a step is its turn: it goes first, alone, and then every second time."""
        after = step - self.settings.first
        return after < 0 or after % 2 == 0

    def loss(self, step: int, drawn: Tensor, made: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Its own loss on clips `[B, T, 3, H, W]`, drawn ones and made ones."""
        drawn, made = self._grouped(drawn, made)
        higher, lower = self.network(drawn), self.network(made)
        loss = relativistic_loss(higher, lower)
        first = self.settings.first
        turn = step if step < first else first + (step - first) // 2
        if turn % PENALISED_EVERY == 0:
            penalty = gradient_penalty(self.network, drawn[: max(1, len(drawn) // 3)])
            loss = loss + self.settings.gradient_penalty * PENALISED_EVERY / 2 * penalty
        return loss, {"drawn_over_made": float((higher - lower).detach().float().mean())}

    def seeming_drawn(self, drawn: Tensor, made: Tensor) -> Tensor:
        """Loss of the network that made `made`: it falls as they seem drawn."""
        drawn, made = self._grouped(drawn, made)
        self.network.requires_grad_(False)
        lower = self.network(made)
        with torch.no_grad():
            higher = self.network(drawn)
        self.network.requires_grad_(True)
        return relativistic_loss(lower, higher)

    def _grouped(self, *clips: Tensor) -> list[Tensor]:
        return [grouped(frames, self.network.frames) for frames in clips]
