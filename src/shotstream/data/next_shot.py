"""Batches for the next-shot generator: remembered stills, the shot to make, and everybody's captions.

Legend: B batch, K context frames, F latent frames of the shot, S captions, L caption length in tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from shotstream.data.drawn import captions_of
from shotstream.data.shards import Shards
from shotstream.data.share import WHOLE, Share
from shotstream.streaming.memory import select_frames

Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class NextShot:
    """A batch of shots with what they are made from; all have the same number of earlier shots."""

    context: Tensor
    """Stills of earlier shots [B, K, C, h, w]; zeros for the first shot of a story."""
    target: Tensor
    """The shot's latents [B, F, C, h, w]."""
    shot_index: Tensor
    """For the rotary shift, of context and shot together [K + F]."""
    caption_index: Tensor
    """Which caption each of them attends to [K + F]."""
    ids: Tensor
    """Tokens of the captions [B, S, L]; the shot's own is the last."""
    mask: Tensor
    """1 for tokens, 0 for padding [B, S, L]."""
    stories: Tensor
    """Which stories they are [B]."""

    @property
    def context_frames(self) -> int:
        """K."""
        return self.context.shape[1]

    def to(self, device: torch.device) -> NextShot:
        """Move everything to a device."""
        return NextShot(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class NextShots:
    """All encoded stories in memory, and the batches that can be made of them."""

    def __init__(self, latents: Shards, tokenize: Tokenize, template: str, budget: int):
        """Load the stories.

        Args:
            latents: From ``write_latents``.
            tokenize: Captions to tokens and mask, ``CaptionEncoder.tokenize``.
            template: How setting and prompt make a caption.
            budget: Context frames K.
        """
        self.budget, self.records = budget, latents.records
        self.made_with = {"latents": latents.made_with, "template": template, "budget": budget}
        self.clips = torch.stack([latents.tensor(i, "clips") for i in range(len(latents))])
        self.stills = torch.stack([latents.tensor(i, "stills") for i in range(len(latents))])
        self.positions: list[int] = self.records[0]["positions"]
        self.shot_frames = self.positions[-1] + 1
        captions = [caption for record in self.records for caption in captions_of(record, template)]
        ids, mask = tokenize(captions)
        self.ids, self.mask = (part.unflatten(0, self.clips.shape[:2]) for part in (ids, mask))

    def draw(
        self,
        batch: int,
        generator: torch.Generator,
        first_shot_share: float,
        drop_context: float,
        share: Share = WHOLE,
    ) -> NextShot:
        """Draw a random batch: a first shot, or a later one that now and then has lost its context.

        Args:
            batch: Size of the whole batch.
            generator: On the CPU.
            first_shot_share: How often it is first shots.
            drop_context: How often later ones have lost their context.
            share: Which part of the batch is returned.
        """
        stories = share.of(torch.randint(len(self.records), (batch,), generator=generator))
        chance, forgotten = torch.rand(2, generator=generator).tolist()
        if chance < first_shot_share:
            return self.pick(stories, 0)
        shot = int(torch.randint(1, self.clips.shape[1], (), generator=generator))
        return self.pick(stories, shot, remember=forgotten >= drop_context)

    def pick(
        self, stories: Tensor, shot: int, remember: bool = True, stills: Tensor | None = None
    ) -> NextShot:
        """Make the batch of one shot (from 0) of some stories.

        Args:
            stories: Which stories [B].
            shot: Which shot of them.
            remember: Without memory a later shot looks like a first one: zero context of shot 0, itself shot
                1, and its own caption for all.
            stills: What is remembered of earlier shots [B, shots, P, C, h, w], a frame for each of
                `positions`; the true ones if None.
        """
        target = self.clips[stories, shot].float()
        frames, budget = target.shape[1], self.budget
        if shot == 0 or not remember:
            context = torch.zeros(len(stories), budget, *target.shape[2:])
            shot_index = torch.tensor([0] * budget + [1] * frames)
            caption_index, captions = torch.zeros_like(shot_index), slice(shot, shot + 1)
        else:
            chosen = select_frames([self.shot_frames] * shot, budget)
            stills = self.stills[stories] if stills is None else stills
            context = stills[:, [s for s, _ in chosen], [self.positions.index(f) for _, f in chosen]].float()
            shot_index = torch.tensor([s for s, _ in chosen] + [shot] * frames)
            caption_index, captions = shot_index, slice(0, shot + 1)
        ids, mask = self.ids[stories, captions], self.mask[stories, captions]
        return NextShot(context, target, shot_index, caption_index, ids, mask, stories)
