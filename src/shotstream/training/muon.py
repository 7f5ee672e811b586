"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al., 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of a step ``x -> a x + b x^3 + c x^5`` that brings singular values near 1."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices, and for kernels of convolutions `[out, in, rows, columns]` taken as `[out, rest]`.

    An update has a root mean square of 0.2 times the learning rate, as AdamW's have, so that learning rates
    of the two compare. torch's own Muon works in bfloat16, which processors without instructions for it
    compute at a seventieth of their speed; this one works in float32, on all matrices of a shape at once, and
    iterates on the smaller of a matrix's two Gram matrices.

    Args:
        parameters: With two or more dimensions.
        lr: Learning rate.
        momentum: Decay of the averaged gradient (Nesterov's form).
        weight_decay: Decoupled, as AdamW's.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 2e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Apply the gradients."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._averaged(parameter, group["momentum"]).flatten(1)
                    by_shape[update.shape[0], update.shape[1]].append((parameter, update))
            for shape, found in by_shape.items():
                size = 0.2 * max(shape) ** 0.5 * group["lr"]
                updates = orthogonalised(torch.stack([update for _, update in found]))
                for (parameter, _), update in zip(found, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view(parameter.shape), alpha=-size)

    def _averaged(self, parameter: Tensor, momentum: float) -> Tensor:
        """Take the gradient into the average, and return Nesterov's mixture of the two."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of matrices `[n, rows, columns]` near 1 (between 0.5 and 1.5).

    Newton-Schulz steps are polynomials in the Gram matrix, and all of these commute. So the iteration runs on
    small square matrices, and their product is applied to the matrix once.
    """
    a, b, c = QUINTIC
    x = matrices.float()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    gram = x @ x.transpose(1, 2)
    identity = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    product = identity.expand_as(gram)
    for _ in range(steps):
        step = torch.baddbmm(a * identity + b * gram, gram, gram, alpha=c)
        product = step @ product
        gram = step @ gram @ step
    x = product @ x
    return x.transpose(1, 2) if tall else x
