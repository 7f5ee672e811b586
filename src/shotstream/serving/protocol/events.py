"""What a browser is told: version 1 of the protocol, in words in docs/protocol.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from shotstream.serving.protocol.commands import (
    CommandId,
    FramePlace,
    Message,
    SheetCharacter,
    StoryId,
    UploadedPicture,
)
from shotstream.serving.protocol.states import State

RefusalCode = Literal["invalid", "busy", "too_long", "not_now", "not_found", "limit"]


class Limits(Message):
    """What is refused when there is more of it."""

    prompt_characters: int = 2_000
    setting_characters: int = 2_000
    shot_seconds: float = 60.0
    shots: int = 200
    """Of one story."""
    open_stories: int = 8
    queued_commands: int = 32
    """Of one story."""
    upload_bytes: int = 10 * 2**20
    sound_bytes: int = 64 * 2**20
    sound_seconds: float = 1800.0
    sounds: int = 16
    """Sound files of one story."""
    viewers: int = 64
    """Sockets of all stories."""
    lookahead_seconds: float = 2.0
    """Chunks are made while less than this is made and not yet shown."""


class TakeContinuity(Message):
    """How well a take goes on with the story before it."""

    take: int
    score: float
    """0 to 1."""
    reasons: list[str]
    """What takes from it, as sentences, the weightiest first."""
    not_measured: list[str] = Field(default=[])
    """What was not measured, and why."""


class AutoRetakeRule(Message):
    """When shots are taken anew by themselves."""

    min_continuity: float
    """While no take of a shot that is over goes on so well, 0 to 1."""
    most_takes: int
    """So many takes of it at most."""


class ShotCard(Message):
    """One shot of the storyboard."""

    number: int
    prompt: str
    """What the shot is to show; an edited one is not told before the shot is taken anew."""
    prompts: list[tuple[int, str]]
    """(first chunk, prompt) of all that its take was told; nothing while it is queued."""
    length_seconds: float
    seed: int
    take: int
    takes: int
    state: Literal["queued", "skipped", "live", "done", "stale", "deleted"]
    chunks: int
    frames: int
    made: list[tuple[int, int]] = Field(default=[])
    """(take, seed) of all its takes that were made, in order; any of them can be chosen."""
    in_frame: int = Field(default=0)
    """The first frame of its take that the film shows."""
    out_frame: int | None = Field(default=None)
    """The last one; that of the take if None."""
    written: str | None = Field(default=None)
    """The person's own words, if the prompt was adapted from them."""
    continuity: list[TakeContinuity] = Field(default=[])
    """Of its takes that were measured; that is done when a take is over."""
    lora: list[str] | None = Field(default=None)
    """LoRAs of its take, ``NAME:SCALE``, if others than those of the model; while it waits, as asked for."""
    references: list[UploadedPicture] = Field(default=[])
    """While it waits: pictures that it and later shots will be made from, too."""
    place: int | None = Field(default=None)
    """Its place in the story, from 0, deleted shots counted; its number if None: no shot was moved."""


def in_film(cards: Sequence[ShotCard]) -> list[ShotCard]:
    """The cards of the film, in its order: deleted ones are left out."""
    kept = [card for card in cards if card.state != "deleted"]
    return sorted(kept, key=lambda card: card.number if card.place is None else card.place)


def number_in_film(cards: Sequence[ShotCard], shot: int) -> int | None:
    """The number that people see of a shot: its place in the film, from 1; None if it has none there.

    Args:
        cards: Those of the story.
        shot: The number of its card.
    """
    shown = [card.number for card in in_film(cards) if card.state != "skipped"]
    return shown.index(shot) + 1 if shot in shown else None


class MemoryFrame(Message):
    """A frame that the running shot, or else the next one, is made from."""

    shot: int
    take: int
    frame: int
    """Negative for a reference."""
    source: Literal["rule", "pin", "reference"]
    upload: str | None = None
    """The picture that a reference is."""
    why: str | None = None
    """Why a rule that reads words remembers it, such as "shows the rabbit, close up"."""


class Memory(Message):
    """What is remembered, and how full the caches are, in latent frames."""

    frames: list[MemoryFrame]
    global_used: int
    global_size: int
    local_used: int
    local_size: int


class PlacedSound(Message):
    """A sound file that is heard with the film."""

    sound: str
    offset_seconds: float
    """When it begins in the film."""
    gain_db: float


class Parent(Message):
    """The shot up to which a branch is another story."""

    story: StoryId
    shot: int


class Snapshot(Message):
    """All that a page needs to draw a story."""

    setting: str
    seed: int
    state: State
    reason: str | None = None
    shots: list[ShotCard]
    memory: Memory
    parent: Parent | None = None
    sounds: list[PlacedSound] = Field(default=[])
    """What is heard with the film."""
    cast: list[SheetCharacter] = Field(default=[])
    """Who is called by name in it."""
    auto_retake: AutoRetakeRule | None = None
    """When shots are taken anew by themselves; never if there is none."""


class Welcome(Message):
    """The answer to `Hello`."""

    type: Literal["welcome"] = "welcome"
    protocol: Literal[1] = 1
    story: StoryId
    model: str
    size: tuple[int, int]
    """Width and height in pixels."""
    fps: float
    chunk_seconds: float
    limits: Limits
    snapshot: Snapshot


class Receipt(Message):
    """A command was taken and will not be lost."""

    type: Literal["receipt"] = "receipt"
    id: CommandId
    applies_from: FramePlace | None
    """The first frame that shows it, if any does."""
    note: str | None = None
    """What the director should know, such as words that the model does not."""
    story: StoryId | None = None
    """The story that `Branch` began."""
    put_aside: int | None = None
    """How many chunks nobody had seen and are no longer part of the story, if any."""


class Refused(Message):
    """A command did nothing; the same id may be sent again."""

    type: Literal["refused"] = "refused"
    id: CommandId
    code: RefusalCode
    message: str


class StateChanged(Message):
    """The story is in another state."""

    type: Literal["state"] = "state"
    state: State
    reason: str | None = None
    """Why it failed, in a sentence."""


class ShotChanged(ShotCard):
    """A shot is new or not what it was."""

    type: Literal["shot"] = "shot"


class Deleted(Message):
    """The newest shot is gone."""

    type: Literal["deleted"] = "deleted"
    shot: int


class MemoryChanged(Memory):
    """Something else is remembered, or the caches are fuller or emptier."""

    type: Literal["memory"] = "memory"


class SoundsChanged(Message):
    """Something else is heard with the film."""

    type: Literal["sounds"] = "sounds"
    sounds: list[PlacedSound]


class CastChanged(Message):
    """The cast sheet is another one."""

    type: Literal["cast"] = "cast"
    cast: list[SheetCharacter]


class SettingChanged(Message):
    """The setting is another one; no shot has begun."""

    type: Literal["setting"] = "setting"
    setting: str


class AutoRetakeChanged(Message):
    """Shots are taken anew by themselves from now on, or no longer."""

    type: Literal["retakes"] = "retakes"
    rule: AutoRetakeRule | None = None


class Figures(Message):
    """How fast it goes; at most twice a second."""

    type: Literal["figures"] = "figures"
    frames_per_second: float
    """Made per second of work on the newest chunk."""
    first_frame_seconds: float
    """From the command that opened the newest shot to its first chunk."""
    prompt_to_glass_seconds: float | None = None
    """The newest of `Shown`."""
    lookahead_seconds: float
    """Made and not yet shown."""
    waiting: bool
    """Nothing is made because enough is."""
    queue: int
    """Commands that wait."""


class Shown(Message):
    """A playhead reached the first frame that shows a command."""

    type: Literal["shown"] = "shown"
    id: CommandId
    prompt_to_glass_seconds: float


class Turned(Message):
    """What was made of a take from this frame on is put aside; what comes next is shown instead."""

    type: Literal["turned"] = "turned"
    shot: int
    take: int
    frame: int
    """The first that is no longer part of the story; nobody has shown it."""


class Dropped(Message):
    """This viewer was too slow for so many frames."""

    type: Literal["dropped"] = "dropped"
    frames: int


class ErrorMessage(Message):
    """What was sent cannot be read."""

    type: Literal["error"] = "error"
    message: str


Change = (
    ShotChanged | Deleted | StateChanged | MemoryChanged | SoundsChanged | CastChanged | SettingChanged
    | AutoRetakeChanged
)  # fmt: skip
"""What makes another snapshot of one."""

Event = Annotated[
    Welcome | Receipt | Refused | StateChanged | ShotChanged | Deleted | MemoryChanged | SoundsChanged
    | CastChanged | SettingChanged | AutoRetakeChanged | Figures | Shown | Turned | Dropped | ErrorMessage,
    Field(discriminator="type"),
]  # fmt: skip
