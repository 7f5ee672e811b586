"""A role that learns: its network, its optimisers, and the moving average of its weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from shotstream.training.distributed import SINGLE_PROCESS, ProcessGroup, own_part
from shotstream.training.optimiser import build_optimisers, lr_factor
from shotstream.training.stage import Role


class Learner:
    """A role with its optimisers and the moving average of its weights."""

    def __init__(self, role: Role, decay: float, steps: int, world: ProcessGroup = SINGLE_PROCESS):
        """Set up the learning of a role.

        Args:
            role: It must not be frozen; its network is in shards if there are several processes.
            decay: Of the average.
            steps: Length of the run, for the learning rate.
            world: The processes that train together.

        Raises:
            ValueError: For Muon, which needs whole matrices, on shards.
        """
        assert role.optimiser is not None, "a frozen role does not learn"
        settings = role.optimiser
        if settings.name == "muon" and world.size > 1:
            raise ValueError(
                f"Muon needs whole matrices and {world.size} processes hold them in shards; set "
                "optimiser.name=adamw, with a lower learning rate, or train with one process."
            )
        self.role, self.settings, self.steps, self.world = role, settings, steps, world
        self.decay = decay
        self.optimisers = build_optimisers(role.module, settings)
        learning = ((name, p) for name, p in role.module.named_parameters() if p.requires_grad)
        self.average = {name: p.detach().clone() for name, p in learning} if role.averaged else {}
        if world.size > 1:
            self._begin()

    def _begin(self) -> None:
        """Make AdamW's state before its first step, so that a checkpoint always has the same names."""
        for optimiser in self.optimisers:
            for parameter in (p for group in optimiser.param_groups for p in group["params"]):
                optimiser.state[parameter] = {
                    "step": torch.tensor(0.0),
                    "exp_avg": torch.zeros_like(parameter.detach()),
                    "exp_avg_sq": torch.zeros_like(parameter.detach()),
                }

    def update(self, step: int, position: float | None = None) -> float:
        """Apply the gradients and return their norm; gradients that are not finite are not applied.

        Args:
            step: Number of the step, from 0.
            position: How far the run is, in steps, for the learning rate; None: as far as `step`.
        """
        settings = self.settings
        norm = nn.utils.clip_grad_norm_(self.role.module.parameters(), settings.gradient_clip)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(norm):
            return norm
        factor = lr_factor(step if position is None else position, self.steps, settings)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if self.average:
            decay = min(self.decay, (1 + step) / (10 + step))
            own = [own_part(values) for values in self._own().values()]
            torch._foreach_lerp_([own_part(values) for values in self.average.values()], own, 1 - decay)
        return norm

    def _own(self) -> dict[str, Tensor]:
        """The weights that an average is kept of, as they are."""
        return {name: p.detach() for name, p in self.role.module.named_parameters() if name in self.average}

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the module holds its averaged weights."""
        own = {name: values.clone() for name, values in self._own().items()}
        try:
            self.role.module.load_state_dict(self.average, strict=False)
            yield
        finally:
            self.role.module.load_state_dict(own, strict=False)

    def finish(self) -> None:
        """Make the average the module's own weights, whole in the first process, to be exported."""
        self.role.module.load_state_dict(self.average, strict=False)
        self.world.gather(self.role.module)

    def tensors(self) -> dict[str, Any]:
        """Everything needed to go on, in tensors that can be read into, each of them once (some are tied)."""
        module = self.role.module
        return {
            "module": {name: p.detach() for name, p in (*module.named_parameters(), *module.named_buffers())},
            "average": self.average,
            "optimisers": {
                str(number): optimiser.state_dict()["state"]
                for number, optimiser in enumerate(self.optimisers)
            },
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "module": self.role.module.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; learning rates and the like stay as they are set now."""
        self.role.module.load_state_dict(state["module"])
        for name, value in self.average.items():
            value.copy_(state["average"][name])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            settings = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
            optimiser.load_state_dict(saved)
            for group, own in zip(optimiser.param_groups, settings, strict=True):
                group.update(own)
