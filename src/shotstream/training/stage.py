"""What a training stage is: roles that learn, and a loss. The loop does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.training.settings import Loop, Optimiser, StageSettings


@dataclass(frozen=True)
class Role:
    """A network and its part in a stage (student, teacher, critic, ...)."""

    module: nn.Module
    optimiser: Optimiser | None
    """How it learns; None if it is frozen and only asked."""
    averaged: bool = True
    """Whether a moving average of its weights is kept, and exported."""


class Stage(Protocol):
    """One stage of training, as the loop sees it.

    Everything random in a loss is a function of the run's seed and the step, as is the generator handed in:
    a run that was stopped goes on with the same numbers.
    """

    @property
    def name(self) -> str:
        """As it is called on the command line."""
        ...

    @property
    def settings(self) -> StageSettings:
        """Its section of the recipe."""
        ...

    @property
    def loop(self) -> Loop:
        """How long it runs: of its settings."""
        ...

    @property
    def roles(self) -> Mapping[str, Role]:
        """The networks, those that learn and those that are frozen."""
        ...

    def role(self, step: int) -> str:
        """Name of the role that learns at this step."""
        ...

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of the role of this step (a scalar with gradient), and figures worth logging.

        The mean of the losses of all shares is the loss of the batch.
        """
        ...

    def sample(self) -> np.ndarray | None:
        """Draw a picture `uint8 [H, W, 3]` of what the averaged weights make; None: there is none."""
        ...

    def export(self, folder: Path) -> None:
        """Write the finished networks."""
        ...


def step_generator(seed: int, step: int) -> torch.Generator:
    """Random numbers of one step: a pure function of the run's seed and the step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
