"""What the store takes and gives back."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from shotstream.serving.protocol.commands import Command
from shotstream.serving.protocol.events import Change, Receipt
from shotstream.streaming.adapters import AdapterUse

_LETTERS = string.ascii_lowercase + string.digits
_MODEL = re.compile(
    r"(?P<folder>.+?)(?P<numbers>( float16| bfloat16| fast| float8 attention| float8| [^ =]+=[^ =]+)*)"
    r" (?P<weights>[0-9a-f]{12})(?P<loras>( \S+ [0-9a-f]{12} x\S+)*)(?P<decoder> tiny)?"
)
"""A model's name as `ServedModel` makes it."""


class StoreError(ValueError):
    """Something is not, or no longer, in the library; the message says what and what to do."""


class LibraryInUse(StoreError):
    """Another process has the library open."""


class NoStory(StoreError, LookupError):
    """There is no such story."""


class DamagedChunk(StoreError):
    """The latents of a chunk are gone or are not those that were journalled."""

    def __init__(self, chunk: StoredChunk, reason: str) -> None:
        super().__init__(
            f"the latents of {chunk.name} cannot be read ({chunk.path}: {reason}); put the file back from a "
            "copy of the library, or take the shot again"
        )
        self.chunk = chunk


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
    shots: int | None = None
    """How many numbers both share; those up to that shot's if None. There are more once shots were moved."""


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

    @property
    def identity(self) -> tuple[object, ...]:
        """What no other model has: the name of its folder is left out, as the weights' hash says more."""
        if named := _MODEL.fullmatch(self.model):
            return named["weights"], named["numbers"], named["decoder"], named["loras"], *self[1:]
        return tuple(self)

    @property
    def without_loras(self) -> MadeWith:
        """The same model without any LoRA."""
        named = _MODEL.fullmatch(self.model)
        return self._replace(model=self.model.replace(named["loras"], "")) if named else self

    @property
    def loras(self) -> dict[str, tuple[str, str]]:
        """Its LoRAs by name: the beginning of the hash, and the scale that shots have which name none."""
        named = _MODEL.fullmatch(self.model)
        words = named["loras"].split() if named else []
        return {
            name: (sha256, scale.removeprefix("x"))
            for name, sha256, scale in zip(words[::3], words[1::3], words[2::3], strict=True)
        }


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
    sha256: str | None = None
    """SHA-256 of that file, in hexadecimal; None where an older ShotStream has kept it."""
    clip_sha256: str | None = field(default=None, compare=False)
    """SHA-256 of its clip; None as long as none is known to be kept."""
    put_aside: int | None = None
    """Position of the command that put it aside; None if it is part of its story."""
    adapters: tuple[AdapterUse, ...] = ()
    """LoRAs that its take was made with; none where an older ShotStream has kept it."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"chunk {self.chunk + 1} of shot {self.shot + 1}, take {self.take + 1}"

    @property
    def story(self) -> str:
        """The story whose chunk it is; a branch has its parent's, too."""
        return self.path.parents[1].name

    @property
    def position(self) -> int:
        """Its place in the journal."""
        return int(self.path.stem.rpartition("-")[2])

    @property
    def clip(self) -> Path:
        """The file of its video; made after its latents, and again where it is missing."""
        return self.path.parents[1] / "clips" / f"{self.path.stem}.packets"

    def latents(self) -> Tensor:
        """Read its clean latents, float32 ``[1, F, C, h, w]``.

        Raises:
            DamagedChunk: If the file is gone or damaged, or is that of another chunk.
        """
        try:
            data = self.path.read_bytes()
            if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
                raise DamagedChunk(self, "its checksum is another one")
            return load(data)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise DamagedChunk(self, str(error)) from error


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
    """Commands and chunks in the order in which they were journalled, those put aside too."""

    def until(self, entries: int) -> StoredStory:
        """The story as it stood when its journal had so many entries."""
        kept = [
            replace(entry, put_aside=None) if _is_put_aside(entry, after=entries) else entry
            for entry in self.entries[:entries]
        ]
        return replace(self, entries=kept)

    @property
    def told(self) -> list[StoredCommand | StoredChunk]:
        """The entries without chunks that were put aside: what gives the story again."""
        return [entry for entry in self.entries if not _is_put_aside(entry)]

    @property
    def commands(self) -> list[StoredCommand]:
        """The commands alone, in order."""
        return [entry for entry in self.entries if isinstance(entry, StoredCommand)]

    @property
    def chunks(self) -> list[StoredChunk]:
        """The chunks alone, in order, without those that were put aside."""
        return [entry for entry in self.told if isinstance(entry, StoredChunk)]


def _is_put_aside(entry: StoredCommand | StoredChunk, after: int = 0) -> bool:
    """Whether an entry is a chunk that a command from position `after` on put aside."""
    if isinstance(entry, StoredCommand) or entry.put_aside is None:
        return False
    return entry.put_aside >= after


@dataclass
class StoryFiles:
    """The files that the database knows of one story: their names, each with its SHA-256 if that is known."""

    entries: int
    """How many the journal has."""
    chunks: dict[str, str | None] = field(default_factory=dict)
    clips: dict[str, str | None] = field(default_factory=dict)
    """Some of them may not be made yet."""
    stills: dict[str, str | None] = field(default_factory=dict)
    sounds: dict[str, str | None] = field(default_factory=dict)

    def paths(self, folder: Path) -> list[tuple[Path, str | None]]:
        """All of them in the story's folder, each with its SHA-256; without clips that are not made yet."""
        kinds = {"chunks": self.chunks, "clips": self.clips, "stills": self.stills, "sounds": self.sounds}
        return [
            (folder / kind / name, sha)
            for kind, names in kinds.items()
            for name, sha in names.items()
            if sha or kind != "clips"
        ]


@dataclass(frozen=True)
class Swept:
    """What `Store.sweep` found. Files are named from the library's folder on."""

    halves: int = 0
    """How many files were being written when their process was killed; they are removed."""
    lost: list[Path] = field(default_factory=list)
    """Files that the database does not know, by their former places."""
    missing: list[Path] = field(default_factory=list)
    """Chunks that the database knows and that are gone."""
    unknown_folders: list[Path] = field(default_factory=list)
    """Folders of stories that the database does not know; left alone, it may be the wrong database."""
    links: list[Path] = field(default_factory=list)
    """Links in the place of folders; left alone, and nothing behind them was looked at."""
    lost_to: Path | None = None
    """The folder that the files in `lost` are in now."""

    @property
    def sentences(self) -> list[str]:
        """What a person should know of it; halves of files are of no interest."""
        said = [
            f"{folder} is of a story that library.db does not know (is it the right one?): left alone; "
            "`shotstream library check --adopt` takes it in, or says why not"
            for folder in self.unknown_folders
        ]
        said += [f"{link} is a link: it was left alone, and is not followed" for link in self.links]
        for story in sorted({Path(*path.parts[:2]) for path in self.lost}):
            names = [path.name for path in self.lost if path.is_relative_to(story)]
            said.append(
                f"{len(names)} files in {story} that library.db does not know, such as {names[0]}, are in "
                f"{self.lost_to} now: a kill leaves one, a library.db older than the files leaves more"
            )
        if self.missing:
            said.append(
                f"{len(self.missing)} chunks are missing, such as {self.missing[0]}: they are made again as "
                "they are needed"
            )
        return said
