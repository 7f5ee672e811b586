"""Optimisers and their learning rate over a run."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers.models.umt5.modeling_umt5 import UMT5Attention

from shotstream.training.settings import Optimiser

_BLOCK = re.compile(r"(transformer\.)?blocks\.\d+\.")
"""In a transformer by itself, or beside its caption encoder; that one's layers are named otherwise."""


def build_optimisers(module: nn.Module, settings: Optimiser) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon for the matrices of transformer blocks and AdamW for the rest.

    Raises:
        ValueError: If Muon is asked for and there are no such matrices.
    """
    parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    matrices = []
    if settings.name == "muon":
        matrices = [p for name, p in parameters if p.ndim == 2 and _BLOCK.match(name)]
        if not matrices:
            raise ValueError(
                "Muon learns the matrices of a transformer's blocks, and here are none; set "
                "optimiser.name=adamw, with a lower learning rate."
            )
    chosen, slower = {id(p) for p in matrices}, _slower(module)
    rates = [(p, settings.lr * slower.get(id(p), 1.0)) for _, p in parameters if id(p) not in chosen]
    groups = [
        {"params": [p for p, own in rates if own == lr], "lr": lr} for lr in sorted({lr for _, lr in rates})
    ]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, settings.lr, settings.betas, weight_decay=settings.weight_decay)
    ]
    if matrices:
        optimisers.append(torch.optim.Muon(matrices, settings.muon_lr, weight_decay=settings.weight_decay))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers


def _slower(module: nn.Module) -> dict[int, float]:
    """Factors of the learning rates of T5's queries, by the parameters' ids.

    T5 does not scale the products of queries and keys but begins with queries that are smaller by as much;
    with AdamW's steps, which know nothing of size, its attention saturates and looks at one word for ever.
    """
    attentions = (part for part in module.modules() if isinstance(part, UMT5Attention))
    return {id(part.q.weight): part.key_value_proj_dim**-0.5 for part in attentions}


def lr_factor(step: int, steps: int, settings: Optimiser) -> float:
    """Share of the learning rate at a step: a linear warm-up, a plateau, a linear fall to a twentieth."""
    warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    falling = settings.decay_share * steps
    left = (steps - step) / falling if falling else 1.0
    return warm * max(0.05, min(1.0, left))
