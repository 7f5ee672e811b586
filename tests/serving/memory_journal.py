"""A journal in memory, which may be told that its disk is full."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass

import numpy as np
import torch

from shotstream.serving.commands import Command
from shotstream.serving.events import Receipt
from shotstream.serving.journal import Origin, StoredCommand, StoredStory
from shotstream.serving.protocol import read_message
from shotstream.streaming.chunk import Chunk


@dataclass(frozen=True)
class KeptChunk:
    place: tuple[int, int, int]
    last: bool
    kept: torch.Tensor

    def latents(self) -> torch.Tensor:
        return self.kept.clone()


class MemoryJournal:
    def __init__(self) -> None:
        self.stories: dict[str, tuple[str, int, Origin | None]] = {}
        self.commands: dict[str, list[StoredCommand]] = {}
        self.chunks: dict[str, list[KeptChunk]] = {}
        self.pictures: dict[str, np.ndarray] = {}
        self.full = False
        self._names = random.Random(0)

    def begin_story(self, setting: str, seed: int, origin: Origin | None = None) -> str:
        self._write()
        story = "".join(self._names.choices("abcdefghij0123456789", k=12))
        self.stories[story] = (setting, seed, origin)
        self.commands[story], self.chunks[story] = [], []
        return story

    def append_command(self, story: str, stored: StoredCommand) -> None:
        self._write()
        command: Command = read_message(stored.command.model_dump_json())  # type: ignore[assignment]
        receipt = Receipt.model_validate_json(stored.receipt.model_dump_json())
        self.commands[story].append(StoredCommand(command, receipt, stored.chunks_before))

    def append_chunk(self, story: str, chunk: Chunk) -> None:
        self._write()
        place = (chunk.shot, chunk.take, chunk.index)
        assert place not in [kept.place for kept in self.chunks[story]], "a chunk is made once"
        self.chunks[story].append(KeptChunk(place, chunk.last, chunk.latents.clone()))

    def load(self, story: str) -> StoredStory:
        setting, seed, origin = self.stories[story]
        return StoredStory(setting, seed, origin, tuple(self.commands[story]), tuple(self.chunks[story]))

    def picture(self, upload: str) -> np.ndarray:
        return self.pictures[upload]

    def _write(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "the disk is full; free some space")
