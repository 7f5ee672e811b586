"""Batches for the next-shot generator: remembered stills, the shot to make, and everybody's captions.

Legend: B batch, K context frames, F latent frames of what is made, S captions, L caption length in tokens,
P positions in a shot whose frames can be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.caption_table import CaptionTable, EmbeddedCaptions, TokenCaptions, Tokenize
from shotstream.data.latent_table import LatentTable
from shotstream.data.mixture import Mixture
from shotstream.data.shards import Shards
from shotstream.data.shot_pool import ShotLengths, ShotPool, remembered_positions

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
    """Tokens of the captions [B, S, L], or their embeddings [B, S, L, D] where the stories bring those; the
    shot's own is the last, unused ones before it are empty."""
    mask: Tensor
    """1 for tokens, 0 for padding [B, S, L]."""

    @property
    def context_frames(self) -> int:
        """K."""
        return self.context.shape[1]

    def without_context(self, padded: bool) -> NextShot:
        """Return the same shots made from no memory, as first shots are: by their own captions alone.

        Args:
            padded: Whether zero frames of shot 0 stand in the place of the context; else nothing does.
        """
        frames, (rows, length) = self.context_frames if padded else 0, self.target.shape[:2]
        index = self.shot_index.new_zeros(rows, frames + length)
        shot_index = index.clone()
        shot_index[:, frames:] = 1
        context = torch.zeros_like(self.context[:, :frames])
        return NextShot(context, self.target, shot_index, index, self.ids[:, -1:], self.mask[:, -1:])

    def to(self, device: torch.device) -> NextShot:
        """Move everything to a device."""
        return NextShot(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class NextShots:
    """Encoded stories, and the batches that can be made of them. Stories and shots may differ in length."""

    def __init__(
        self,
        latents: Shards,
        tokenize: Tokenize,
        template: str,
        budget: int,
        *,
        shot_frames: int,
        temporal_ratio: int = 4,
        pad_context: bool = False,
        device: torch.device | str = "cpu",
    ):
        """Open the stories.

        Args:
            latents: From ``write_latents``, or of films.
            tokenize: Captions to tokens and mask, ``CaptionEncoder.tokenize``.
            template: How setting and prompt make a caption.
            budget: Most context frames.
            shot_frames: Pixel frames of a shot that the model makes; shots of the stories may be shorter or
                longer, what is to be made of them is not longer.
            temporal_ratio: Pixel frames of a latent frame.
            pad_context: Whether a shot without memory has `budget` zero frames as context, as Wan's released
                weights were trained; else it has none.
            device: Where latents are kept and batches are made.
        """
        self.budget, self.pad_context, self.records = budget, pad_context, latents.records
        self.device = torch.device(device)
        self.made_with = {"latents": latents.made_with, "template": template, "budget": budget}
        self.latent_frames = 1 + (shot_frames - 1) // temporal_ratio
        """Of a shot that the model makes."""
        self.positions = remembered_positions([shot_frames], budget)[0]
        """P positions of a shot that the model made; its frames there can be remembered."""
        self._lengths = [ShotLengths.of(record, shot_frames, self.latent_frames) for record in self.records]
        self.shots = max(len(lengths.frames) for lengths in self._lengths)
        """Of the longest story."""
        self.clips = LatentTable(latents, "clips", [own.latent_frames for own in self._lengths], self.device)
        counts = [[len(positions) for positions in own.positions] for own in self._lengths]
        self.stills = LatentTable(latents, "stills", counts, self.device)
        self.portraits: LatentTable | None = None
        if latents.has(0, "portraits"):
            pairs = [[MOST_PORTRAITS]] * len(latents)
            self.portraits = LatentTable(latents, "portraits", pairs, self.device)
        self._pools = {remembered: self._pool(int(remembered)) for remembered in (False, True)}
        self.captions: CaptionTable = (
            EmbeddedCaptions(latents, self.device)
            if latents.has(0, "captions")
            else TokenCaptions(self.records, template, tokenize, self.device)
        )

    def shots_of(self, story: int) -> int:
        """Shots of a story."""
        return len(self._lengths[story].frames)

    def choose(self, batch: int, generator: torch.Generator, mixture: Mixture) -> BatchChoice:
        """Choose a random batch; every shot is chosen equally often, and those of a batch are equally long.

        Args:
            batch: Size of the whole batch.
            generator: On the CPU.
            mixture: What batches are made of.

        Raises:
            ValueError: If the stories have nothing of that kind.
        """
        remembers, pictured = torch.rand(2, generator=generator).tolist()
        portraits = int(torch.randint(1, min(MOST_PORTRAITS, self.budget) + 1, (), generator=generator))
        with_context = remembers < mixture.remembered
        alone = pictured < mixture.portraits / 2
        remembered = with_context and not alone
        chosen = self._pools[remembered].draw(batch, generator, alike=mixture.target == "shot")
        frames = None
        if mixture.target == "still":
            counts = [len(self._lengths[story].positions[shot]) for story, shot in chosen]
            places = torch.rand(batch, generator=generator) * torch.tensor(counts)
            frames = places.long().tolist()
        return BatchChoice(
            stories=[story for story, _ in chosen],
            shots=[shot for _, shot in chosen],
            frames=frames,
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
            choice: Which shots. Those that remember may be of different numbers; all are cut to the shortest.
            stills: What is remembered of shots that the model itself made before [B, shots, P, C, h, w], a
                frame for each of `positions`. Then the shots to be made are as long as the model makes them,
                and zeros stand in their place. None: the true ones are remembered.

        Raises:
            ValueError: If a story's first shot is to remember.
        """
        if choice.remembered and min(choice.shots) < 1:
            raise ValueError("a story's first shot has nothing to remember; choose remembered=False")
        stories, own = torch.tensor(choice.stories), torch.tensor(choice.shots)[:, None]
        target = self._target(choice, stories, own, stills is not None)
        context, shot_of, caption_of = self._context(choice, stories, own, stills)
        captions = max(choice.shots) + 1 if choice.remembered else 1
        first = own - (captions - 1)  # the shot whose caption stands at 0; negative where there is none
        length = target.shape[1]
        number = own.clamp_min(1)
        if self.pad_context and not (choice.remembered or choice.portraits):
            number = torch.ones_like(own)  # as the first shot of a story is told
        told = torch.arange(captions) + first  # [B, S]
        ids, mask = self.captions.take(stories, told)
        return NextShot(
            context,
            target,
            torch.cat([shot_of, number.expand(-1, length)], dim=1).to(self.device),
            torch.cat([caption_of - first, torch.full((len(own), length), captions - 1)], dim=1).to(
                self.device
            ),
            ids,
            mask,
        )

    def _target(self, choice: BatchChoice, stories: Tensor, own: Tensor, own_stories: bool) -> Tensor:
        """What is to be made [B, F, C, h, w]."""
        if choice.frames is not None:
            return self.stills.take(stories, own, torch.tensor(choice.frames)[:, None])
        if own_stories:
            return torch.zeros(len(own), self.latent_frames, *self.clips.shape, device=self.device)
        pairs = zip(choice.stories, choice.shots, strict=True)
        shortest = min(self._lengths[story].latent_frames[shot] for story, shot in pairs)
        return self.clips.take(stories, own.expand(-1, shortest), torch.arange(shortest).expand(len(own), -1))

    def _context(
        self, choice: BatchChoice, stories: Tensor, own: Tensor, stills: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Context [B, K, C, h, w], the shot of each of its frames [B, K] and that of its caption.

        Portraits, and zeros that stand for nothing, are of shot 0 and go by the caption of the shot that is
        made, as a person's references do.
        """
        parts, rows = [], len(stories)
        if choice.portraits:
            if self.portraits is None:
                raise ValueError("these stories have no portraits; set portraits=0 in the stage's mixture")
            places = (stories[:, None] + torch.arange(choice.portraits)) % MOST_PORTRAITS
            parts.append(self.portraits.take(stories, torch.zeros_like(places), places))
        elif not choice.remembered:
            frames = self.budget if self.pad_context else 0
            parts.append(torch.zeros(rows, frames, *self.stills.shape, device=self.device))
        brought = sum(part.shape[1] for part in parts)
        shot_of, caption_of = torch.zeros(rows, brought, dtype=torch.long), own.expand(-1, brought)
        if choice.remembered:
            shots, places = self._remembered(choice, self.budget - brought, stills is not None)
            if stills is None:
                parts.append(self.stills.take(stories, shots, places))
            else:
                parts.append(stills[torch.arange(rows)[:, None], shots, places].to(self.device))
            shot_of, caption_of = (torch.cat([part, shots], dim=1) for part in (shot_of, caption_of))
        return torch.cat(parts, dim=1), shot_of, caption_of

    def _remembered(self, choice: BatchChoice, budget: int, own_stories: bool) -> tuple[Tensor, Tensor]:
        """Earlier shot, and number of the position in it, of each context frame: [B, budget] each."""
        made = ShotLengths.alike(self.shots, self.positions, self.latent_frames)
        numbers = []
        for story, shot in zip(choice.stories, choice.shots, strict=True):
            lengths = made if own_stories else self._lengths[story]
            numbers.append(lengths.remembered(shot, budget))
        chosen = torch.tensor(numbers, dtype=torch.long).view(len(numbers), budget, 2)
        return chosen[..., 0], chosen[..., 1]

    def _pool(self, first_shot: int) -> ShotPool:
        """The shots from `first_shot` of their story on."""
        return ShotPool(
            [
                (story, shot, frames)
                for story, lengths in enumerate(self._lengths)
                for shot, frames in enumerate(lengths.latent_frames)
                if shot >= first_shot
            ]
        )
