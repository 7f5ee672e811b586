"""What a browser and a telling say to one another: version 1, in words in docs/protocol.md.

Shots, takes, chunks and frames count from 0. Messages are JSON and have no other fields than these; pictures
are binary behind a `VideoHeader`.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shotstream.serving.states import State
from shotstream.story import Prompt

VERSION = 1

StoryId = Annotated[str, Field(pattern=r"^[a-z0-9]{12}$")]
CommandId = Annotated[str, Field(pattern=r"^[ -~]{1,64}$")]
Count = Annotated[int, Field(ge=0, lt=2**32)]
"""A number of a shot, take, chunk or frame; what a video header has room for."""
Seed = Annotated[int, Field(ge=0, lt=2**53)]
"""A browser counts exactly no further."""
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Chunks = Annotated[int, Field(ge=1, le=10_000)]
RefusalCode = Literal["invalid", "busy", "too_long", "not_now", "not_found", "limit"]


class Message(BaseModel):
    """A part of a message: nothing is converted, and unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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
    lookahead_seconds: float = 2.0
    """Chunks are made while less than this is made and not yet shown."""


# ---- from the browser ----


class ChunkPlace(Message):
    """One chunk of a story."""

    shot: Count
    take: Count
    chunk: Count


class FramePlace(Message):
    """One frame of a shot."""

    shot: Count
    frame: Count


class Hello(Message):
    """The first message of a socket."""

    type: Literal["hello"] = "hello"
    protocol: Literal[1]
    story: StoryId | None = None
    """The story to be watched; a new one without it."""
    after: ChunkPlace | None = None
    """The newest chunk that the browser has: what came after it is sent again."""


class Playhead(Message):
    """What is shown now; it is never answered."""

    type: Literal["playhead"] = "playhead"
    shot: Count
    take: Count
    frame: Count


class Directive(Message):
    """What every command has."""

    id: CommandId
    """Chosen by the browser. The same id again is answered by the same receipt and does nothing."""


class _Length(Directive):
    seconds: Seconds | None = None
    """Rounded up to whole chunks."""
    chunks: Chunks | None = None
    """Instead of `seconds`."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.seconds is not None and self.chunks is not None:
            raise ValueError("has both seconds and chunks; keep one of them")
        return self


class Shoot(_Length):
    """Begin the next shot; a running one ends: a cut."""

    type: Literal["shoot"] = "shoot"
    prompt: Prompt
    seed: Seed | None = None


class Cut(Directive):
    """End the running shot with what it has; stale shots that wait to be shot again go on."""

    type: Literal["cut"] = "cut"


class Stop(Directive):
    """End the running shot with what it has, and all that waits behind it."""

    type: Literal["stop"] = "stop"


class Redirect(Directive):
    """Give the running shot another prompt from its next chunk on."""

    type: Literal["redirect"] = "redirect"
    prompt: Prompt


class Hold(Directive):
    """Let the shot go on until it is cut."""

    type: Literal["hold"] = "hold"


class Extend(_Length):
    """Make the shot longer, also after its end; a held shot gets an end again."""

    type: Literal["extend"] = "extend"

    @model_validator(mode="after")
    def _some_length(self) -> Self:
        if self.seconds is None and self.chunks is None:
            raise ValueError("has neither seconds nor chunks; give one of them")
        return self


class Retake(Directive):
    """Make one shot anew; without a prompt it is told what it was told before."""

    type: Literal["retake"] = "retake"
    shot: Count
    prompt: Prompt | None = None
    seed: Seed | None = None


class Branch(Directive):
    """Begin another story that shares this one up to and including a shot; the receipt names it."""

    type: Literal["branch"] = "branch"
    shot: Count
    seed: Seed | None = None


class Pin(Directive):
    """Make every later shot from this frame too."""

    type: Literal["pin"] = "pin"
    shot: Count
    frame: Count


class Unpin(Directive):
    """Leave a pinned frame to the rule again; references have negative frame numbers."""

    type: Literal["unpin"] = "unpin"
    shot: Count
    frame: Annotated[int, Field(ge=-(2**31), lt=2**32)]


class Reference(Directive):
    """Make every later shot from a picture that was uploaded before."""

    type: Literal["reference"] = "reference"
    upload: Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]
    prompt: Prompt | None = None


class Edit(Directive):
    """Change the text of a shot alone; it and the shots after it become stale."""

    type: Literal["edit"] = "edit"
    shot: Count
    prompt: Prompt


class Reshoot(Directive):
    """Take every stale shot anew from here on, in order."""

    type: Literal["reshoot"] = "reshoot"
    from_shot: Count


class Delete(Directive):
    """Take the newest shot away."""

    type: Literal["delete"] = "delete"
    shot: Count


class Undo(Directive):
    """Bring back what was deleted last."""

    type: Literal["undo"] = "undo"


class Pause(Directive):
    """Make nothing until resumed; commands are taken all the same."""

    type: Literal["pause"] = "pause"


class Resume(Directive):
    """Go on after a pause; after a failure, try again."""

    type: Literal["resume"] = "resume"


Command = Annotated[
    Shoot | Cut | Redirect | Hold | Extend | Retake | Branch | Pin | Unpin | Reference | Edit | Reshoot
    | Delete | Undo | Pause | Resume | Stop,
    Field(discriminator="type"),
]  # fmt: skip
"""What is answered by a receipt or a refusal."""

ClientMessage = Annotated[Hello | Playhead | Command, Field(discriminator="type")]


# ---- to the browser ----


class ShotCard(Message):
    """One shot of the storyboard."""

    number: int
    prompt: str
    """What the shot is to show; an edited one is not told before the shot is taken anew."""
    prompts: list[tuple[int, str]]
    """(first chunk, prompt) of all that its newest take was told."""
    length_seconds: float
    seed: int
    take: int
    takes: int
    state: Literal["queued", "live", "done", "stale"]
    chunks: int
    frames: int
    thumbnail: str | None = None


class MemoryFrame(Message):
    """A frame that the running shot, or else the next one, is made from."""

    shot: int
    frame: int
    """Negative for a reference."""
    source: Literal["rule", "pin", "reference"]
    thumbnail: str | None = None


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
    memory: list[MemoryFrame]
    parent: Parent | None = None


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


class Refused(Message):
    """A command did nothing; the same id may be sent again."""

    type: Literal["refused"] = "refused"
    id: CommandId
    code: RefusalCode
    message: str


class StateChanged(Message):
    """The telling is in another state."""

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


class MemoryChanged(Message):
    """What is remembered, and how full the caches are, in latent frames."""

    type: Literal["memory"] = "memory"
    frames: list[MemoryFrame]
    global_used: int
    global_size: int
    local_used: int
    local_size: int


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


class Dropped(Message):
    """This viewer was too slow for so many frames."""

    type: Literal["dropped"] = "dropped"
    frames: int


class ErrorMessage(Message):
    """What was sent cannot be read."""

    type: Literal["error"] = "error"
    message: str


Event = Annotated[
    Welcome | Receipt | Refused | StateChanged | ShotChanged | Deleted | MemoryChanged | Figures | Shown
    | Dropped | ErrorMessage,
    Field(discriminator="type"),
]  # fmt: skip

_CLIENT: TypeAdapter[Hello | Playhead | Command] = TypeAdapter(ClientMessage)
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class ProtocolError(ValueError):
    """A message cannot be read; the sentence says which field and why."""


def read_message(text: str | bytes) -> Hello | Playhead | Command:
    """Read what a browser sent.

    Raises:
        ProtocolError: If it is no message of this version.
    """
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        raise ProtocolError(f"{where}: {first['msg']}; see docs/protocol.md, version {VERSION}") from None


def json_schema() -> dict[str, Any]:
    """The JSON schema of all messages: ``{"$defs": ..., "client": ..., "event": ...}``."""
    kinds = [("client", "validation", _CLIENT), ("event", "serialization", _EVENT)]
    roots, definitions = TypeAdapter.json_schemas(kinds)  # pyright: ignore[reportArgumentType]
    return {**definitions, **{kind: schema for (kind, _), schema in roots.items()}}


class VideoHeader(NamedTuple):
    """What stands before the payload of a binary message, little-endian, 22 bytes."""

    kind: int
    """1: H.264 access unit (Annex B); 2: JPEG thumbnail."""
    shot: int
    take: int
    frame: int
    flags: int
    """1: keyframe; 2: last of its shot."""
    microseconds: int
    """When it is to be shown, from the start of its shot."""

    def pack(self) -> bytes:
        """The header as bytes."""
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Read the header of a binary message."""
        return cls(*_HEADER.unpack_from(message))


_HEADER = struct.Struct("<BIIIBQ")
