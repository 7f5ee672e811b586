"""The takes that were made of every shot of a story."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from shotstream.serving.protocol.commands import Shoot
from shotstream.serving.protocol.refusal import Refusal
from shotstream.streaming.take import TakeRecord

FindTake = Callable[[int, int], Callable[[int], np.ndarray]]
"""(shot, take) -> what gives a frame of it by its number, uint8 ``[H, W, 3]``."""


def no_take(shot: int, take: int) -> Callable[[int], np.ndarray]:
    """Find no take: where nobody keeps any."""
    raise Refusal("not_found", f"take {take + 1} of that shot is not kept")


class TakesMade:
    """The takes of every shot by number, those of deleted shots too, as their chunks are kept."""

    def __init__(self) -> None:
        self._takes: dict[int, dict[int, TakeRecord]] = {}
        self._shared: frozenset[tuple[int, int]] = frozenset()

    def branch(self, shot: int) -> TakesMade:
        """The takes of a story that shares this one up to and including a shot."""
        branch = TakesMade()
        branch._takes = {number: deepcopy(takes) for number, takes in self._takes.items() if number <= shot}
        branch._shared = frozenset(
            (number, take) for number, takes in branch._takes.items() for take in takes
        )
        return branch

    def is_shared(self, shot: int, take: int) -> bool:
        """Whether a take is of the story that this one branched off."""
        return (shot, take) in self._shared

    def note(self, record: TakeRecord) -> None:
        """Take in a take that has a chunk."""
        self._takes.setdefault(record.shot, {})[record.take] = record

    def find(self, shot: int, take: int, name: str) -> TakeRecord:
        """A take of a shot that has one at least; `name` is what people call the shot.

        Raises:
            Refusal: If there is no such take.
        """
        takes = self._takes[shot]
        if take not in takes:
            known = ", ".join(str(number + 1) for number in sorted(takes))
            raise Refusal("not_found", f"{name} has no take {take + 1}; it has {known}")
        return takes[take]

    def has(self, shot: int, take: int) -> bool:
        """Whether this take was made."""
        return take in self._takes.get(shot, ())

    def next_take(self, shot: int) -> int:
        """Number of the next take of a shot, after a deletion too: no two share a number."""
        return max(self._takes.get(shot, ()), default=-1) + 1

    def number_of(self, command: Shoot, shot: int) -> int:
        """Number of the take that a new shot begins with."""
        return self.next_take(shot) if command.take is None else command.take

    def made(self, shot: int) -> list[tuple[int, int]]:
        """(take, seed) of every take of a shot that was made, in order."""
        return [(number, record.seed) for number, record in sorted(self._takes.get(shot, {}).items())]
