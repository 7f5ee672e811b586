"""Captions of encoded stories, as tokens or as embeddings that the stories bring.

Legend: B batch, S captions, L caption length in tokens, D caption width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from shotstream.data.shards import Shards, captions_of

Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


class CaptionTable(Protocol):
    """Captions by story and shot."""

    def take(self, stories: Tensor, shots: Tensor) -> tuple[Tensor, Tensor]:
        """Return captions of shots [B, S] of stories [B]; those of negative shots are empty.

        Returns:
            Tokens [B, S, L] or embeddings [B, S, L, D], and the mask [B, S, L]: 1 for tokens, 0 for padding.
        """
        ...


class TokenCaptions:
    """Captions as tokens, all made at the beginning.

    Args:
        records: Of the stories.
        template: How setting and prompt make a caption.
        tokenize: Captions to tokens and mask, ``CaptionEncoder.tokenize``.
        device: Where they are kept.
    """

    def __init__(
        self, records: Sequence[dict[str, Any]], template: str, tokenize: Tokenize, device: torch.device
    ):
        told = [captions_of(record, template) for record in records]
        self._first = torch.tensor([0, *map(len, told)]).cumsum(0)
        captions = [caption for own in told for caption in own]
        self.ids, self.mask = (part.to(device) for part in tokenize([*captions, ""]))

    def take(self, stories: Tensor, shots: Tensor) -> tuple[Tensor, Tensor]:
        """See `CaptionTable`."""
        rows = (self._first[stories][:, None] + shots).masked_fill(shots < 0, -1)
        return self.ids[rows], self.mask[rows]


class EmbeddedCaptions:
    """Captions as embeddings, read when they are needed.

    Args:
        latents: Stories with a tensor ``captions``, the embeddings of their shots one after the other.
        device: Where they go.
    """

    def __init__(self, latents: Shards, device: torch.device):
        self._latents, self._device = latents, device

    def take(self, stories: Tensor, shots: Tensor) -> tuple[Tensor, Tensor]:
        """See `CaptionTable`."""
        parts = [
            self._one(story, shot)
            for story, own in zip(stories.tolist(), shots.tolist(), strict=True)
            for shot in own
        ]
        mask = [torch.ones(len(part), dtype=torch.long) for part in parts]
        padded, kept = (nn.utils.rnn.pad_sequence(one, batch_first=True) for one in (parts, mask))
        shape = tuple(shots.shape)
        return padded.unflatten(0, shape).to(self._device), kept.unflatten(0, shape).to(self._device)

    def _one(self, story: int, shot: int) -> Tensor:
        lengths, captions = (
            self._latents.records[story]["caption_tokens"],
            self._latents.tensor(story, "captions"),
        )
        start = sum(lengths[: max(shot, 0)])
        return captions[start : start + (lengths[shot] if shot >= 0 else 0)].float()
