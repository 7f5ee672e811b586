"""What the store takes and gives back."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from shotstream.serving.protocol.commands import Command
from shotstream.serving.protocol.events import Change, Receipt

_LETTERS = string.ascii_lowercase + string.digits


class StoreError(ValueError):
    """Something is not, or no longer, in the library; the message says what and what to do."""


class NoStory(StoreError, LookupError):
    """There is no such story."""


class StoredParent(NamedTuple):
    """Where a story branched off another one."""

    story: str
    """The other story."""
    shot: int
    """The last shot that both share."""
    entries: int
    """How many entries the other's journal had: tell those again, then branch."""


class NewBranch(NamedTuple):
    """A story that a command begins."""

    id: str
    """See `new_id`."""
    seed: int
    shot: int
    """The last shot that both share."""
    changes: Sequence[Change]
    """What its storyboard begins with."""


def new_id() -> str:
    """Make up an id for a story: 12 random characters of [a-z0-9]."""
    return "".join(secrets.choice(_LETTERS) for _ in range(12))


class MadeWith(NamedTuple):
    """What a story was told by: no other model goes on with it."""

    model: str
    """Its name, and the hash of its weights."""
    height: int
    """Of the picture, in pixels."""
    width: int
    fps: float
    """Frames per second."""


@dataclass(frozen=True)
class StoredCommand:
    """A command that was taken."""

    command: Command
    receipt: Receipt


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that was made."""

    shot: int
    take: int
    chunk: int
    seed: int
    """Seed of the take's noise."""
    prompt: str
    """The shot's prompt while it was made."""
    first_frame: int
    """Number of its first frame in the shot."""
    frames: int
    """How many frames it shows."""
    last: bool
    """Whether its shot ended with it."""
    path: Path
    """The file of its latents."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"chunk {self.chunk + 1} of shot {self.shot + 1}, take {self.take + 1}"

    @property
    def clip(self) -> Path:
        """The file of its video; made after its latents, and again where it is missing."""
        return self.path.parents[1] / "clips" / f"{self.path.stem}.packets"

    def still(self, frame: int) -> Path:
        """The file of a frame of its take, if it is kept."""
        return self.path.parents[1] / "stills" / f"{self.shot}-{self.take}-{frame}.png"

    def latents(self) -> Tensor:
        """Read its clean latents, float32 ``[1, F, C, h, w]``.

        Raises:
            StoreError: If the file is gone or damaged.
        """
        try:
            return load_file(self.path)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise StoreError(
                f"the latents of {self.name} cannot be read ({self.path}: "
                f"{error}); put the file back from a copy of the library, or take the shot again"
            ) from error


@dataclass(frozen=True)
class StorySummary:
    """A story as the library lists it."""

    id: str
    title: str
    """What people call it; may be empty."""
    setting: str
    seed: int
    made_with: MadeWith
    state: str
    reason: str | None
    """Why it failed, a sentence."""
    parent: StoredParent | None
    created_seconds: float
    """When, in seconds since 1970; the next two likewise."""
    changed_seconds: float
    deleted_seconds: float | None


@dataclass(frozen=True)
class StoredStory(StorySummary):
    """A story with all it takes to tell it again."""

    entries: list[StoredCommand | StoredChunk]
    """Commands and chunks in the order in which they took effect."""

    @property
    def commands(self) -> list[StoredCommand]:
        """The commands alone, in order."""
        return [entry for entry in self.entries if isinstance(entry, StoredCommand)]

    @property
    def chunks(self) -> list[StoredChunk]:
        """The chunks alone, in order."""
        return [entry for entry in self.entries if isinstance(entry, StoredChunk)]


@dataclass(frozen=True)
class Swept:
    """What `Store.sweep` found."""

    removed: list[Path]
    """Files that no row speaks of, and halves of files."""
    missing: list[Path]
    """Files that a row speaks of and that are gone."""
    unknown_folders: list[Path]
    """Folders of stories that this database does not know; left alone, it may be the wrong database."""
