"""Batches for the next-shot generator: remembered stills, the shot to make, and everybody's captions.

Legend: B batch, K context frames, F latent frames of what is made, S captions, L caption length in tokens,
P positions in a shot whose frames can be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from shotstream.data.drawn import captions_of
from shotstream.data.mixture import Mixture
from shotstream.data.shards import Shards
from shotstream.data.share import WHOLE, Share
from shotstream.streaming.memory import select_frames

Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Choice:
    """Which shots a batch is made of; JSON-able by `record`."""

    stories: list[int]
    shots: list[int]
    """Number of the shot to make, from 0, for each story."""
    frames: list[int] | None = None
    """Which of a shot's P positions is made, as a still; None for whole shots."""
    remembered: bool = True
    """Whether earlier shots are context; a story's first shot has none."""
    portraits: int = 0
    """How many context frames are portraits of the cast, as references that a person brought."""

    def rows(self, rows: slice) -> Choice:
        """Choose a part of the batch."""
        frames = None if self.frames is None else self.frames[rows]
        return Choice(self.stories[rows], self.shots[rows], frames, self.remembered, self.portraits)

    def record(self) -> dict[str, Any]:
        """All of it, as JSON takes it; ``Choice(**record)`` gives it back."""
        return asdict(self)


@dataclass(frozen=True)
class NextShot:
    """A batch of shots with what they are made from; all have as many context frames."""

    context: Tensor
    """Stills of earlier shots and portraits [B, K, C, h, w]; K may be 0."""
    target: Tensor
    """What is to be made [B, F, C, h, w]."""
    shot_index: Tensor
    """For the rotary shift, of context and target together [B, K + F]."""
    caption_index: Tensor
    """Which caption each of them attends to [B, K + F]."""
    ids: Tensor
    """Tokens of the captions [B, S, L]; the shot's own is the last, unused ones before it are empty."""
    mask: Tensor
    """1 for tokens, 0 for padding [B, S, L]."""

    @property
    def context_frames(self) -> int:
        """K."""
        return self.context.shape[1]

    def to(self, device: torch.device) -> NextShot:
        """Move everything to a device."""
        return NextShot(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class NextShots:
    """Encoded stories, read by memory map, and the batches that can be made of them."""

    def __init__(
        self, latents: Shards, tokenize: Tokenize, template: str, budget: int, pad_context: bool = False
    ):
        """Open the stories.

        Args:
            latents: From ``write_latents``.
            tokenize: Captions to tokens and mask, ``CaptionEncoder.tokenize``.
            template: How setting and prompt make a caption.
            budget: Most context frames.
            pad_context: Whether a shot without memory has `budget` zero frames as context, as Wan's released
                weights were trained; else it has none.
        """
        self.budget, self.pad_context, self.records = budget, pad_context, latents.records
        self.made_with = {"latents": latents.made_with, "template": template, "budget": budget}
        self.clips, self.stills, self.portraits = (
            [latents.tensor(number, name) for number in range(len(latents))]
            for name in ("clips", "stills", "portraits")
        )
        self.positions: list[int] = self.records[0]["positions"]
        self.shots = len(self.clips[0])
        self.shot_frames = self.positions[-1] + 1
        captions = [caption for record in self.records for caption in captions_of(record, template)]
        ids, mask = tokenize([*captions, ""])
        self._no_ids, self._no_mask = ids[-1], mask[-1]
        self.ids, self.mask = (part[:-1].unflatten(0, (-1, self.shots)) for part in (ids, mask))

    def choose(self, batch: int, generator: torch.Generator, mixture: Mixture) -> Choice:
        """Choose a random batch.

        Args:
            batch: Size of the whole batch.
            generator: On the CPU.
            mixture: What batches are made of.
        """

        def draw(low: int, high: int) -> list[int]:
            return torch.randint(low, high, (batch,), generator=generator).tolist()

        remembers, has_portraits = torch.rand(2, generator=generator).tolist()
        remembered = remembers < mixture.remembered
        portraits = int(torch.randint(1, 3, (), generator=generator))
        alone = remembered and self.budget > 1 and has_portraits < mixture.portraits / 2
        return Choice(
            stories=draw(0, len(self.records)),
            shots=draw(int(remembered and not alone), self.shots),
            frames=draw(0, len(self.positions)) if mixture.target == "still" else None,
            remembered=remembered and not alone,
            portraits=portraits if remembered and has_portraits < mixture.portraits else 0,
        )

    def draw(
        self, batch: int, generator: torch.Generator, mixture: Mixture, share: Share = WHOLE
    ) -> NextShot:
        """Draw a random batch and return a part of it."""
        return self.make(self.choose(batch, generator, mixture).rows(share.rows(batch)))

    def make(self, choice: Choice, stills: Tensor | None = None) -> NextShot:
        """Make a batch.

        Args:
            choice: Which shots. Shots with memory may be of different numbers, but none is a story's first.
            stills: What is remembered of earlier shots [B, shots, P, C, h, w], a frame for each of
                `positions`; the true ones if None.
        """
        chosen = list(zip(choice.stories, choice.shots, strict=True))
        if choice.frames is None:
            target = torch.stack([self.clips[story][shot] for story, shot in chosen])
        else:
            frames = zip(chosen, choice.frames, strict=True)
            target = torch.stack([self.stills[story][shot, frame][None] for (story, shot), frame in frames])
        rows = [
            self._context(story, shot, choice, self.stills[story] if stills is None else stills[row])
            for row, (story, shot) in enumerate(chosen)
        ]
        context, shot_index, caption_of = (torch.stack(part) for part in zip(*rows, strict=True))
        own, length = torch.tensor(choice.shots)[:, None], target.shape[1]
        remembers = choice.remembered and min(choice.shots) > 0
        numbers = own.clamp_min(1).expand(-1, length)
        most = max(choice.shots) + 1 if remembers else 1  # captions of a row, its own the last
        first = own - (most - 1)  # the caption that stands at index 0, negative where there is none
        caption_index = torch.cat([caption_of - first, torch.full_like(numbers, most - 1)], dim=1)
        return NextShot(
            context.float(),
            target.float(),
            torch.cat([shot_index, numbers], dim=1),
            caption_index,
            *self._captions(choice, most),
        )

    def _context(
        self, story: int, shot: int, choice: Choice, stills: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Context of one shot: its stills [K, C, h, w], the shot of each [K] and its caption's [K].

        Portraits are of shot 0 and go by the caption of the shot that is made, as references do.
        """
        cast = self.portraits[story]
        portraits = [cast[(story + place) % len(cast)] for place in range(choice.portraits)]
        budget = self.budget - len(portraits)
        remembers = choice.remembered and shot > 0
        ruled = select_frames([self.shot_frames] * shot, budget) if remembers and budget else []
        frames = portraits + [stills[s, self.positions.index(frame)] for s, frame in ruled]
        if not frames and self.pad_context:
            frames = [torch.zeros_like(stills[0, 0])] * self.budget
        context = torch.stack(frames) if frames else stills[0, :0]
        shots = [0] * (len(frames) - len(ruled)) + [s for s, _ in ruled]
        captions = [shot] * (len(frames) - len(ruled)) + [s for s, _ in ruled]
        return context, torch.tensor(shots, dtype=torch.long), torch.tensor(captions, dtype=torch.long)

    def _captions(self, choice: Choice, most: int) -> tuple[Tensor, Tensor]:
        """Tokens and mask of the last `most` captions up to each shot's own [B, most, L]."""
        ids, mask = [], []
        for story, shot in zip(choice.stories, choice.shots, strict=True):
            told = range(max(0, shot + 1 - most), shot + 1)
            missing = most - len(told)
            ids.append(torch.cat([self._no_ids.expand(missing, -1), self.ids[story, list(told)]]))
            mask.append(torch.cat([self._no_mask.expand(missing, -1), self.mask[story, list(told)]]))
        return torch.stack(ids), torch.stack(mask)
