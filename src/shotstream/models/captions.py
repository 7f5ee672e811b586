"""Captions as the transformer reads them: keys and values of every layer, made once per caption.

Legend: B batch, S captions given together, L caption length in tokens, H heads, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Captions:
    """Cross-attention keys and values of S captions, one pair per layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of each layer, [B, S, L, H, d]."""

    @property
    def batch(self) -> int:
        """Batch B."""
        return self.layers[0][0].shape[0]

    @property
    def count(self) -> int:
        """Number S of captions."""
        return self.layers[0][0].shape[1]

    @staticmethod
    def join(parts: Sequence[Captions]) -> Captions:
        """Put captions beside one another: S is the sum of the parts' S."""
        layers = zip(*(part.layers for part in parts), strict=True)
        return Captions(
            tuple(
                (torch.cat([k for k, _ in pairs], 1), torch.cat([v for _, v in pairs], 1)) for pairs in layers
            )
        )
