"""Latents of encoded stories by story, shot and place, wherever they are kept.

Legend: B batch, K places asked for, C latent channels, h and w latent height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shotstream.data.shards import Shards
from shotstream.machine.free_space import free_memory

WHOLE_FRACTION = 0.5
"""Most of a device's free memory that latents may take there; what is larger is read from disk."""


class LatentTable:
    """One tensor of every story: frames of clips, stills, or portraits.

    On a CPU it is read by memory map. Another device holds all of it if there is space.

    Args:
        latents: The stories.
        name: Of the tensor, ``[shots, n, C, h, w]`` or, where shots differ, ``[rows of all shots, C, h, w]``.
        counts: How many rows each shot of each story has.
        device: Where what is asked for goes.
    """

    def __init__(
        self, latents: Shards, name: str, counts: Sequence[Sequence[int]], device: torch.device | str
    ):
        self._latents, self._name, self.device = latents, name, torch.device(device)
        self._starts = torch.zeros(len(counts), max(map(len, counts)), dtype=torch.long)
        for story, shots in enumerate(counts):
            self._starts[story, 1 : len(shots)] = torch.tensor(shots[:-1], dtype=torch.long).cumsum(0)
        self.shape = self._rows(0).shape[1:]
        """Of a row, [C, h, w]."""
        self._whole: Tensor | None = None
        sizes = [sum(shots) for shots in counts]
        if self.device.type != "cpu" and self._fits(sum(sizes)):
            self._whole = torch.cat([self._rows(story) for story in range(len(latents))]).to(self.device)
            self._starts += torch.tensor([0, *sizes[:-1]]).cumsum(0)[:, None]

    def take(self, stories: Tensor, shots: Tensor, places: Tensor) -> Tensor:
        """Return rows ``[B, K, C, h, w]``, float32, of stories [B], at places [B, K] of shots [B, K].

        They are float32 before anything is done with them: where training computes in bfloat16, a CPU refuses
        to join float16.
        """
        rows = self._starts[stories[:, None], shots] + places
        if self._whole is not None:
            return self._whole[rows.to(self.device)].float()
        taken = [self._rows(story)[own].float() for story, own in zip(stories.tolist(), rows, strict=True)]
        return torch.stack(taken).to(self.device)

    def _rows(self, story: int) -> Tensor:
        return self._latents.tensor(story, self._name).flatten(0, -4)

    def _fits(self, rows: int) -> bool:
        one, free = self._rows(0)[0], free_memory(self.device)
        return free is None or rows * one.nbytes <= WHOLE_FRACTION * free
