"""A learner of a few weights, and settings of its run."""

from __future__ import annotations

from torch import nn

from shotstream.training.learner import Learner
from shotstream.training.settings import Loop, Optimiser, StageSettings
from shotstream.training.stage import Role


def settings(steps: int = 10) -> StageSettings:
    return StageSettings(loop=Loop(steps=steps))


def learner(width: int = 2) -> dict[str, Learner]:
    network = nn.Linear(width, 1)
    nn.init.zeros_(network.weight)
    return {"student": Learner(Role(network, Optimiser()), 0.9, 10)}


def weight(learners: dict[str, Learner]) -> float:
    return next(learners["student"].role.module.parameters())[0, 0].item()
