"""What a telling needs of the store: every command and chunk, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from shotstream.serving.commands import Command
from shotstream.serving.events import Receipt
from shotstream.streaming.chunk import Chunk


@dataclass(frozen=True)
class Origin:
    """Where a branch left its parent."""

    story: str
    """The parent."""
    shot: int
    """The last shared shot."""
    commands: int
    """How many of the parent's commands had been taken."""
    chunks: int
    """How many of the parent's chunks had been made."""


@dataclass(frozen=True)
class StoredCommand:
    """A command that was taken."""

    command: Command
    receipt: Receipt
    chunks_before: int
    """How many chunks of the story were made before it."""


class StoredChunk(Protocol):
    """A chunk that was made."""

    @property
    def last(self) -> bool:
        """Whether its shot ended with it."""
        ...

    def latents(self) -> Tensor:
        """Its clean latents ``[1, F, C, h, w]``, read when they are needed."""
        ...


@dataclass(frozen=True)
class StoredStory:
    """All it takes to tell a story again."""

    setting: str
    seed: int
    origin: Origin | None
    commands: Sequence[StoredCommand]
    """In the order in which they were taken."""
    chunks: Sequence[StoredChunk]
    """In the order in which they were made."""


class Journal(Protocol):
    """The store, as far as one writer needs it. What a call returned from is not lost by a crash.

    An ``OSError`` of any call says that nothing of it was kept.
    """

    def begin_story(self, setting: str, seed: int, origin: Origin | None = None) -> str:
        """Begin a story and return its id."""
        ...

    def append_command(self, story: str, stored: StoredCommand) -> None:
        """Keep a command that was taken."""
        ...

    def append_chunk(self, story: str, chunk: Chunk) -> None:
        """Keep a chunk: its latents, and (shot, take, index, last)."""
        ...

    def load(self, story: str) -> StoredStory:
        """Everything of a story.

        Raises:
            LookupError: If there is no such story.
        """
        ...

    def picture(self, upload: str) -> np.ndarray:
        """An uploaded picture, uint8 ``[H, W, 3]``.

        Raises:
            LookupError: If there is no such picture.
        """
        ...
