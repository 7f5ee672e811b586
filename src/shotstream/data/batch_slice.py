"""Which part of a batch one pass is about: batches are shared by processes and by accumulated passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchSlice:
    """One of several equal parts of a batch.

    Whoever takes a slice draws the random numbers of the *whole* batch, in the same order, and keeps its own
    rows. So the parts together are exactly the batch that one process would have had at once.
    """

    part: int = 0
    """Which part, from 0."""
    parts: int = 1

    def rows(self, batch: int) -> slice:
        """Return the rows of this part in a batch, whose size is a multiple of `parts`."""
        assert batch % self.parts == 0, f"a batch of {batch} has no {self.parts} equal parts"
        size = batch // self.parts
        return slice(self.part * size, (self.part + 1) * size)

    def of(self, whole: Tensor) -> Tensor:
        """Return this part of something drawn for the whole batch [B, ...]: [B / parts, ...]."""
        return whole[self.rows(len(whole))]

    def randn(self, shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
        """Draw standard normal noise for the whole batch and return this part of it.

        On a GPU it is drawn there, with a seed that `generator` gives: for batches of hundreds a CPU takes
        longer to draw noise than the GPU takes to learn from it.

        Args:
            shape: Of this part [B / parts, ...].
            generator: On the CPU.
            device: Where the noise is drawn.
        """
        whole = (shape[0] * self.parts, *shape[1:])
        if device.type == "cpu":
            return self.of(torch.randn(whole, generator=generator))
        there = torch.Generator(device)
        there.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return self.of(torch.randn(whole, generator=there, device=device))


WHOLE_BATCH = BatchSlice()
"""All of a batch at once."""
