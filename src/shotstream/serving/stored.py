"""What the store takes and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

ShotState = Literal["queued", "live", "done", "stale", "deleted"]


class StoreError(ValueError):
    """Something is not, or no longer, in the library; the message says what and what to do."""


class Parent(NamedTuple):
    """Where a story branched off another one."""

    story: str
    """The other story."""
    shot: int
    """The last shot that both share."""
    entries: int
    """How many entries the other's journal had: tell those again, then branch."""


@dataclass(frozen=True)
class StoredCommand:
    """A command that was taken."""

    id: str
    """As its sender chose it; once in a story."""
    body: dict[str, Any]
    """The message, as it came."""
    applies_from: tuple[int, int] | None = None
    """(shot, frame) from which it shows, as its receipt said."""
    note: str | None = None
    """What else its receipt said."""


@dataclass(frozen=True)
class ChunkMeta:
    """What is to be kept of a chunk beside its latents."""

    seed: int
    """Seed of the take's noise."""
    length_chunks: int
    """How many chunks the take is to have, as is known now."""
    prompt: str
    """The shot's prompt while this chunk was made."""
    first_frame: int
    """Number of its first frame in the shot."""
    frames: int
    """How many frames it shows."""


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that was made."""

    shot: int
    take: int
    chunk: int
    prompt: str
    first_frame: int
    frames: int
    path: Path
    """The file of its latents."""

    def latents(self) -> Tensor:
        """Read its clean latents, float32 ``[1, F, C, h, w]``.

        Raises:
            StoreError: If the file is gone or damaged.
        """
        try:
            return load_file(self.path)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise StoreError(
                f"the latents of shot {self.shot + 1}, chunk {self.chunk + 1} cannot be read ({self.path}: "
                f"{error}); put the file back from a copy of the library, or take the shot again"
            ) from error


@dataclass(frozen=True)
class StoredShot:
    """A card of the storyboard."""

    shot: int
    prompt: str
    """What is to be seen, as it was last written."""
    state: ShotState
    take: int | None = None
    """The take that is shown; none yet while it is queued."""


@dataclass(frozen=True)
class StoredTake:
    """One attempt at a shot."""

    shot: int
    take: int
    seed: int
    length_chunks: int


@dataclass(frozen=True)
class StorySummary:
    """A story as the library lists it."""

    id: str
    setting: str
    seed: int
    model: str
    size: tuple[int, int]
    """Height and width in pixels."""
    state: str
    reason: str | None
    """Why it failed, a sentence."""
    entries_count: int
    """How many entries its journal has."""
    parent: Parent | None
    created_seconds: float
    """When, in seconds since 1970; the next two likewise."""
    changed_seconds: float
    deleted_seconds: float | None


@dataclass(frozen=True)
class StoredStory(StorySummary):
    """A story with all it takes to tell it again."""

    entries: list[StoredCommand | StoredChunk]
    """Commands and chunks in the order in which they took effect."""
    shots: list[StoredShot]
    takes: list[StoredTake]

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
    strangers: list[Path]
    """Folders of stories that this database does not know; left alone, it may be the wrong database."""
