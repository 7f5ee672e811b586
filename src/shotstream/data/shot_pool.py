"""Shots of encoded stories: how long each is, what of it can be remembered, and how one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch

from shotstream.streaming.context_frames import select_frames


def remembered_positions(shot_frames: Sequence[int], budget: int) -> list[list[int]]:
    """Frames of each shot of a story that context selection can ask for, for any shot after it.

    Args:
        shot_frames: Frames of the shots. The rule rounds in the whole story, so all of them count.
        budget: Most context frames; portraits and pins leave fewer.

    Returns:
        For each shot the numbers of its frames, rising. Also the last shot has some, as if another followed.
    """
    asked: list[set[int]] = [set() for _ in shot_frames]
    for told in range(1, len(shot_frames) + 1):
        for count in range(1, budget + 1):
            for shot, frame in _select(tuple(shot_frames[:told]), count):
                asked[shot].add(frame)
    return [sorted(frames) or [0] for frames in asked]


@lru_cache(maxsize=4096)
def _select(shot_frames: tuple[int, ...], budget: int) -> tuple[tuple[int, int], ...]:
    return tuple(select_frames(shot_frames, budget))


@dataclass(frozen=True)
class ShotLengths:
    """How long the shots of a story are."""

    frames: list[int]
    """Pixel frames of each shot."""
    latent_frames: list[int]
    """Latent frames of the clip of each shot: its beginning, as far as the model makes shots."""
    positions: list[list[int]]
    """Frames of each shot of which there are stills."""

    @classmethod
    def alike(cls, shots: int, positions: list[int], latent_frames: int) -> Self:
        """Shots of the same length, whose last frame is the last position."""
        return cls([positions[-1] + 1] * shots, [latent_frames] * shots, [positions] * shots)

    @classmethod
    def of(cls, record: dict[str, Any], shot_frames: int, latent_frames: int) -> Self:
        """Read the record of a story.

        Args:
            record: Of a drawn story, whose shots are all alike, or of one cut from films.
            shot_frames: Frames of a drawn shot.
            latent_frames: Latent frames of a drawn shot.
        """
        if "frames" in record:
            return cls(record["frames"], record["latent_frames"], record["positions"])
        shots, positions = len(record["prompts"]), record["positions"]
        return cls([shot_frames] * shots, [latent_frames] * shots, [positions] * shots)

    def remembered(self, shot: int, budget: int) -> list[tuple[int, int]]:
        """Shot and number of the position of each context frame of a shot, by the rule."""
        chosen = _select(tuple(self.frames[:shot]), budget)
        return [(earlier, self.positions[earlier].index(frame)) for earlier, frame in chosen]


class ShotPool:
    """Shots that batches are drawn from, sorted by length.

    Args:
        shots: (story, shot, latent frames) of each.
    """

    def __init__(self, shots: Sequence[tuple[int, int, int]]):
        by_length: dict[int, list[tuple[int, int]]] = {}
        for story, shot, frames in shots:
            by_length.setdefault(frames, []).append((story, shot))
        self._pairs = torch.tensor(
            [pair for _, pairs in sorted(by_length.items()) for pair in pairs], dtype=torch.long
        )
        sizes = [len(pairs) for _, pairs in sorted(by_length.items())]
        self._ends = torch.tensor(sizes, dtype=torch.long).cumsum(0)

    def draw(self, batch: int, generator: torch.Generator, *, alike: bool) -> list[tuple[int, int]]:
        """Draw (story, shot) pairs, each shot as likely as any other.

        Args:
            batch: How many.
            generator: On the CPU.
            alike: Whether all are as long as the first that is drawn.

        Raises:
            ValueError: If there are no shots.
        """
        if not len(self._pairs):
            raise ValueError(
                "no story has a second shot, so nothing can be remembered; set remembered=0 in the stage's "
                "mixture, or prepare films with more shots"
            )
        low, high = 0, len(self._pairs)
        if alike:
            length = int(torch.searchsorted(self._ends, self._one_below(high, generator), right=True))
            low, high = int(self._ends[length - 1]) if length else 0, int(self._ends[length])
        rows = torch.randint(low, high, (batch,), generator=generator)
        return [(story, shot) for story, shot in self._pairs[rows].tolist()]

    @staticmethod
    def _one_below(limit: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randint(limit, (), generator=generator)
