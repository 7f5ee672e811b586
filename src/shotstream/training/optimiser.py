"""Optimisers and their learning rate over a run."""

from __future__ import annotations

import re

import torch
from torch import nn

from shotstream.training.muon import Muon
from shotstream.training.settings import Optimiser

_BLOCK = re.compile(r"(transformer\.)?blocks\.\d+\.")
"""In a transformer by itself, or beside its caption encoder; that one's layers are named otherwise."""


def build_optimisers(module: nn.Module, settings: Optimiser) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon for matrices and AdamW for the rest.

    Matrices are those of a transformer's blocks; in a network of 2D convolutions, their kernels.

    Raises:
        ValueError: If Muon is asked for and there are neither.
    """
    parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    matrices: list[torch.Tensor] = []
    if settings.name == "muon":
        matrices = [p for name, p in parameters if p.ndim == 2 and _BLOCK.match(name)]
        if not matrices:
            layers = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
            matrices = [layer.weight for layer in layers if layer.weight.requires_grad]
        if not matrices:
            raise ValueError(
                "Muon learns the matrices of a transformer's blocks, or the kernels of 2D convolutions, and "
                "here are neither; set optimiser.name=adamw, with a lower learning rate."
            )
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in parameters if id(p) not in chosen]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, settings.lr, settings.betas, weight_decay=settings.weight_decay)
    ]
    if matrices:
        optimisers.append(Muon(matrices, settings.muon_lr, weight_decay=settings.weight_decay))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers


def lr_factor(step: float, steps: int, settings: Optimiser) -> float:
    """Factor of the learning rate at a step: a linear warm-up, a plateau, a linear fall to a twentieth."""
    warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    falling = settings.decay_fraction * steps
    left = (steps - step) / falling if falling else 1.0
    return warm * max(0.05, min(1.0, left))
