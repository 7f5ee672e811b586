"""Weights that group offloading keeps elsewhere, brought in for work that is no network's forward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.hooks.group_offloading import GroupOffloadingHook
from torch import nn


@contextmanager
def onloaded(network: nn.Module) -> Iterator[None]:
    """Have all weights of `network` where it computes; does nothing if it is not offloaded in groups."""
    groups = {id(hook.group): hook.group for hook in _hooks(network)}
    for group in groups.values():
        group.onload_()
    try:
        yield
    finally:
        for group in groups.values():
            group.offload_()


def _hooks(network: nn.Module) -> Iterator[GroupOffloadingHook]:
    for module in network.modules():
        registry = getattr(module, "_diffusers_hook", None)
        for hook in registry.hooks.values() if registry else ():
            if isinstance(hook, GroupOffloadingHook):
                yield hook
