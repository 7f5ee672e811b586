"""Batches for the next-shot generator: remembered stills, the shot to make, and everybody's captions.

Legend: B batch, K context frames, F latent frames of what is made, S captions, L caption length in tokens,
P positions in a shot whose frames can be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.drawn import captions_of
from shotstream.data.mixture import Mixture
from shotstream.data.shards import Shards
from shotstream.streaming.context_frames import select_frames

Tokenize = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
MOST_PORTRAITS = 2
"""Of a batch, and of a story on disk, where one hero alone has both."""


@dataclass(frozen=True)
class BatchChoice:
    """Which shots a batch is made of, in values that JSON takes."""

    stories: list[int]
    shots: list[int]
    """Number of the shot to make, from 0, for each story."""
    frames: list[int] | None = None
    """Which of a shot's P positions is made, as a still; None for whole shots."""
    remembered: bool = True
    """Whether earlier shots are context; a story's first shot has none."""
    portraits: int = 0
    """How many context frames are portraits of the cast, as references that a person brought."""

    def rows(self, rows: slice) -> BatchChoice:
        """Choose a part of the batch."""
        frames = None if self.frames is None else self.frames[rows]
        return BatchChoice(self.stories[rows], self.shots[rows], frames, self.remembered, self.portraits)


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


class LatentTable:
    """One tensor of every story: read by memory map on a CPU, held whole on any other device."""

    def __init__(self, latents: Shards, name: str, device: torch.device):
        self._rows = [latents.tensor(number, name) for number in range(len(latents))]
        self._whole: Tensor | None = None
        if device.type != "cpu":
            self._whole = torch.stack(self._rows).to(device)
            self._rows = [self._whole[0]]

    @property
    def shape(self) -> torch.Size:
        """Shape of a story's tensor."""
        return self._rows[0].shape

    def take(self, stories: Tensor, *places: Tensor) -> Tensor:
        """Return what stories ``[B]`` have at places of their first dimensions, ``[B, ...]`` each."""
        if self._whole is not None:
            stories = stories.to(self._whole.device)
            shape = (-1, *[1] * (places[0].ndim - 1))
            return self._whole[stories.view(shape), *(place.to(stories.device) for place in places)]
        rows = zip(stories.tolist(), *places, strict=True)
        return torch.stack([self._rows[story][tuple(where)] for story, *where in rows])


class NextShots:
    """Encoded stories, and the batches that can be made of them."""

    def __init__(
        self,
        latents: Shards,
        tokenize: Tokenize,
        template: str,
        budget: int,
        *,
        pad_context: bool = False,
        device: torch.device | str = "cpu",
    ):
        """Open the stories.

        Args:
            latents: From ``write_latents``.
            tokenize: Captions to tokens and mask, ``CaptionEncoder.tokenize``.
            template: How setting and prompt make a caption.
            budget: Most context frames.
            pad_context: Whether a shot without memory has `budget` zero frames as context, as Wan's released
                weights were trained; else it has none.
            device: Where latents are kept and batches are made.
        """
        self.budget, self.pad_context, self.records = budget, pad_context, latents.records
        self.device = torch.device(device)
        self.made_with = {"latents": latents.made_with, "template": template, "budget": budget}
        self.clips, self.stills, self.portraits = (
            LatentTable(latents, name, self.device) for name in ("clips", "stills", "portraits")
        )
        self.positions: list[int] = self.records[0]["positions"]
        self.shots = self.clips.shape[0]
        self.shot_frames = self.positions[-1] + 1
        captions = [caption for record in self.records for caption in captions_of(record, template)]
        ids, mask = (part.to(self.device) for part in tokenize([*captions, ""]))
        self._no_ids, self._no_mask = ids[-1], mask[-1]
        self.ids, self.mask = (part[:-1].unflatten(0, (-1, self.shots)) for part in (ids, mask))

    def choose(self, batch: int, generator: torch.Generator, mixture: Mixture) -> BatchChoice:
        """Choose a random batch.

        Args:
            batch: Size of the whole batch.
            generator: On the CPU.
            mixture: What batches are made of.
        """

        def draw(low: int, high: int) -> list[int]:
            return torch.randint(low, high, (batch,), generator=generator).tolist()

        remembers, pictured = torch.rand(2, generator=generator).tolist()
        portraits = int(torch.randint(1, min(MOST_PORTRAITS, self.budget) + 1, (), generator=generator))
        with_context = remembers < mixture.remembered
        alone = pictured < mixture.portraits / 2
        remembered = with_context and not alone
        return BatchChoice(
            stories=draw(0, len(self.records)),
            shots=draw(int(remembered), self.shots),
            frames=draw(0, len(self.positions)) if mixture.target == "still" else None,
            remembered=remembered,
            portraits=portraits if with_context and pictured < mixture.portraits else 0,
        )

    def draw(
        self, batch: int, generator: torch.Generator, mixture: Mixture, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> NextShot:
        """Draw a random batch and return a part of it."""
        return self.make(self.choose(batch, generator, mixture).rows(batch_slice.rows(batch)))

    def make(self, choice: BatchChoice, stills: Tensor | None = None) -> NextShot:
        """Make a batch.

        Args:
            choice: Which shots. Those that remember may be of different numbers.
            stills: What is remembered of earlier shots [B, shots, P, C, h, w], a frame for each of
                `positions`; the true ones if None.

        Raises:
            ValueError: If a story's first shot is to remember.
        """
        if choice.remembered and min(choice.shots) < 1:
            raise ValueError("a story's first shot has nothing to remember; choose remembered=False")
        stories, own = torch.tensor(choice.stories), torch.tensor(choice.shots)[:, None]
        if choice.frames is None:
            target = self.clips.take(stories, own[:, 0])
        else:
            target = self.stills.take(stories, own, torch.tensor(choice.frames)[:, None])
        context, shot_of, caption_of = self._context(choice, stories, own, stills)
        captions = max(choice.shots) + 1 if choice.remembered else 1
        first = own - (captions - 1)  # the shot whose caption stands at 0; negative where there is none
        length = target.shape[1]
        told = torch.arange(captions) + first  # [B, S]
        ids, mask = (part[stories[:, None], told.clamp_min(0)] for part in (self.ids, self.mask))
        missing = (told < 0)[:, :, None].to(self.device)
        return NextShot(
            context.float(),
            target.float(),
            torch.cat([shot_of, own.clamp_min(1).expand(-1, length)], dim=1).to(self.device),
            torch.cat([caption_of - first, torch.full((len(own), length), captions - 1)], dim=1).to(
                self.device
            ),
            torch.where(missing, self._no_ids, ids),
            torch.where(missing, self._no_mask, mask),
        )

    def _context(
        self, choice: BatchChoice, stories: Tensor, own: Tensor, stills: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Context [B, K, C, h, w], the shot of each of its frames [B, K] and that of its caption.

        Portraits, and zeros that stand for nothing, are of shot 0 and go by the caption of the shot that is
        made, as a person's references do.
        """
        parts, rows = [], len(stories)
        if choice.portraits:
            places = torch.arange(choice.portraits)
            parts.append(self.portraits.take(stories, (stories[:, None] + places) % MOST_PORTRAITS))
        elif not choice.remembered:
            frames = self.budget if self.pad_context else 0
            parts.append(torch.zeros(rows, frames, *self.stills.shape[2:], device=self.device))
        brought = sum(part.shape[1] for part in parts)
        shot_of, caption_of = torch.zeros(rows, brought, dtype=torch.long), own.expand(-1, brought)
        if choice.remembered:
            shots, places = self._remembered(own[:, 0], self.budget - brought)
            if stills is None:
                parts.append(self.stills.take(stories, shots, places))
            else:
                parts.append(stills[torch.arange(rows)[:, None], shots, places].to(self.device))
            shot_of, caption_of = (torch.cat([part, shots], dim=1) for part in (shot_of, caption_of))
        return torch.cat(parts, dim=1), shot_of, caption_of

    def _remembered(self, shots: Tensor, budget: int) -> tuple[Tensor, Tensor]:
        """Earlier shot, and number of the position in it, of each context frame of shots [B]: [B, budget]."""
        ruled = {shot: select_frames([self.shot_frames] * shot, budget) for shot in set(shots.tolist())}
        numbers = [
            [(shot, self.positions.index(frame)) for shot, frame in ruled[shot]] for shot in shots.tolist()
        ]
        chosen = torch.tensor(numbers, dtype=torch.long).view(len(shots), budget, 2)
        return chosen[..., 0], chosen[..., 1]
