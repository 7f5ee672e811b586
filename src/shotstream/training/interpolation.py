"""Weights on the way from those before to those learnt (network interpolation, arXiv 1811.10515)."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@torch.no_grad()
def interpolated(before: AnyNetwork, learnt: nn.Module, part: float) -> AnyNetwork:
    """Return a new network, `part` of the way from `before` (0) to `learnt` (1), of the same layout."""
    network = deepcopy(before)
    for own, other in zip(network.parameters(), learnt.parameters(), strict=True):
        own.lerp_(other.to(own), part)
    return network
