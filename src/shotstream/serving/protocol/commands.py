"""What a browser says: version 1 of the protocol, in words in docs/protocol.md.

Shots, takes, chunks and frames count from 0. Messages have no other fields than these.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shotstream.prompts.reading import CastMember
from shotstream.story import BOTH_LENGTHS, LoraChoice, Prompt, check_points
from shotstream.story import Setting as StorySetting

UNDO_SURVIVES = (
    "delete", "move", "trim", "sound", "silence", "cast", "setting", "undo", "pause", "resume", "branch",
    "autoretake",
)  # fmt: skip
"""Commands after which what was done before can still be undone; any other leaves it as it is."""

StoryId = Annotated[str, Field(pattern=r"^[a-z0-9]{12}$")]
CommandId = Annotated[str, Field(pattern=r"^[ -~]{1,64}$")]
Count = Annotated[int, Field(ge=0, lt=2**32)]
"""A number of a shot, take, chunk or frame; what a video header has room for."""
Seed = Annotated[int, Field(ge=0, lt=2**53)]
"""A browser counts exactly no further."""
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
SoundName = Annotated[str, Field(pattern=r"^[a-f0-9]{32}$")]
UploadName = Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]
Chunks = Annotated[int, Field(ge=1, le=10_000)]


class Message(BaseModel):
    """A part of a message: nothing is converted, and unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


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


class _Length(Message):
    seconds: Seconds | None = None
    """Rounded up to whole chunks."""
    chunks: Chunks | None = None
    """Instead of `seconds`."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.seconds is not None and self.chunks is not None:
            raise ValueError(BOTH_LENGTHS)
        return self


class _Told(Message):
    written: Prompt | None = None
    """The person's own words, if the prompt was adapted from them; they are kept and not told."""


class UploadedPicture(Message):
    """A picture that was uploaded before, and what it shows."""

    upload: UploadName
    prompt: Prompt | None = None
    """What is in it; without it, the prompt of the shot that it serves."""


class _ShotFields(_Told, _Length):
    """What a shot that is still to be made is to be."""

    prompt: Prompt
    seed: Seed | None = None
    lora: Annotated[list[LoraChoice], Field(max_length=16)] | None = None
    """LoRAs that it is made with, ``NAME`` or ``NAME:SCALE``; those of the model if None, ``[]`` for none."""
    references: Annotated[list[UploadedPicture], Field(max_length=16)] | None = None
    """When it begins, it and every later shot is made from these pictures too."""
    in_frame: Count | None = None
    """The first frame that the film will show of it; 0 if None."""
    out_frame: Count | None = None
    """The last one; that of the shot if None."""

    @model_validator(mode="after")
    def _in_before_out(self) -> Self:
        check_points(self.in_frame or 0, self.out_frame)
        return self


class PlannedShot(_ShotFields):
    """A shot of a plan."""

    skipped: bool = False
    """It is passed over, and waits until a plan says otherwise."""


class Shoot(Directive, _ShotFields):
    """Begin the next shot; a running one ends: a cut."""

    type: Literal["shoot"] = "shoot"
    take: Count | None = None
    """Number of its take, as a story file names it; the next one that the shot has not if None."""
    after: bool = False
    """Wait until all that runs and waits has ended, instead of cutting."""


class Replan(Directive):
    """Let these new shots wait instead of all others; if no shot runs, the first not skipped begins."""

    type: Literal["replan"] = "replan"
    from_shot: Count
    """The number that the first of them gets; if another shot has begun in the meantime, it is refused."""
    shots: Annotated[list[PlannedShot], Field(max_length=1000)]
    """In order; none takes away all that wait."""


class Cut(Directive):
    """End the running shot with what it has; the next of those that wait begins."""

    type: Literal["cut"] = "cut"


class Stop(Directive):
    """End the running shot with what it has, and all that waits behind it; skipped shots stay."""

    type: Literal["stop"] = "stop"


class Redirect(Directive, _Told):
    """Give the running shot another prompt from its next chunk on."""

    type: Literal["redirect"] = "redirect"
    prompt: Prompt


class Hold(Directive):
    """Let the shot go on until it is cut."""

    type: Literal["hold"] = "hold"


class Extend(Directive, _Length):
    """Make the shot longer, also after its end; a held shot gets an end again."""

    type: Literal["extend"] = "extend"

    @model_validator(mode="after")
    def _some_length(self) -> Self:
        if self.seconds is None and self.chunks is None:
            raise ValueError("has neither seconds nor chunks; give one of them")
        return self


class Retake(Directive, _Told):
    """Make one shot anew; without a prompt it is told what it was told before."""

    type: Literal["retake"] = "retake"
    shot: Count
    prompt: Prompt | None = None
    seed: Seed | None = None
    takes: Annotated[int, Field(ge=1, le=9)] | None = None
    """So many takes, one after another; then the one that goes on best with the story is chosen."""
    among: Count | None = None
    """The best of the takes from this number on is chosen when it is made."""


class AutoRetake(Directive):
    """Take shots anew by themselves when they go on badly with the story; without a number, no longer."""

    type: Literal["autoretake"] = "autoretake"
    min_continuity: Annotated[float, Field(ge=0, le=1)] | None = None
    """While no take of a shot has this score."""
    most_takes: Annotated[int, Field(ge=2, le=9)] = 3
    """So many takes of a shot at most."""


class Choose(Directive):
    """Let a former take of a shot stand for it again; the shots after it become stale."""

    type: Literal["choose"] = "choose"
    shot: Count
    take: Count


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
    upload: UploadName
    prompt: Prompt | None = None


class Edit(Directive, _Told):
    """Change the text of a shot alone; it and the shots after it become stale."""

    type: Literal["edit"] = "edit"
    shot: Count
    prompt: Prompt


class Reshoot(Directive):
    """Take every stale shot anew from here on, in order."""

    type: Literal["reshoot"] = "reshoot"
    from_shot: Count


class Delete(Directive):
    """Take a shot away, or one that still waits; one that is not the newest keeps its number and its card."""

    type: Literal["delete"] = "delete"
    shot: Count


class Move(Directive):
    """Let a told shot stand before another one in the film; from the earlier place on all is stale."""

    type: Literal["move"] = "move"
    shot: Count
    before: Count | None = None
    """The told shot before which it stands then; at the end of those told if None."""


class Trim(Directive):
    """Let the film show some frames of a shot's take alone; all are kept, later shots stay as they are."""

    type: Literal["trim"] = "trim"
    shot: Count
    in_frame: Count = 0
    """The first frame that is shown."""
    out_frame: Count | None = None
    """The last frame that is shown; that of the shot, however long it gets, if None."""

    @model_validator(mode="after")
    def _in_before_out(self) -> Self:
        check_points(self.in_frame, self.out_frame)
        return self


class Sound(Directive):
    """Let a sound file that was sent before be heard with the film, or be heard otherwise than by now."""

    type: Literal["sound"] = "sound"
    sound: SoundName
    offset_seconds: Annotated[float, Field(ge=-3600, le=36_000, allow_inf_nan=False)] = 0.0
    """When it begins in the film; below 0, its beginning is not heard."""
    gain_db: Annotated[float, Field(ge=-60, le=12, allow_inf_nan=False)] = 0.0
    """How much louder it is than its file."""


class Silence(Directive):
    """Let a sound file no longer be heard with the film; it is kept."""

    type: Literal["silence"] = "silence"
    sound: SoundName


class SheetCharacter(CastMember, Message):
    """One of a story's cast: what they are called, how they look, pictures of them."""

    pictures: list[Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]] = Field(default=[], max_length=24)
    """Pictures that were uploaded before; `reference` makes shots from them."""


class Cast(Directive):
    """Have this cast sheet; it changes no shot."""

    type: Literal["cast"] = "cast"
    cast: Annotated[list[SheetCharacter], Field(max_length=32)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [character.name.lower() for character in self.cast]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"has {twice!r} twice; give everybody a name of their own")
        return self


class Setting(Directive):
    """Say anew who and where; only while no shot has begun."""

    type: Literal["setting"] = "setting"
    setting: StorySetting


class Undo(Directive):
    """Take back the last deletion, move, trim, or change of sounds, of the cast, or of what waits."""

    type: Literal["undo"] = "undo"


class Pause(Directive):
    """Make nothing until resumed; commands are taken all the same."""

    type: Literal["pause"] = "pause"


class Resume(Directive):
    """Go on after a pause; after a failure, try again."""

    type: Literal["resume"] = "resume"


Command = Annotated[
    Shoot | Replan | Cut | Redirect | Hold | Extend | Retake | Choose | Branch | Pin | Unpin | Reference
    | Edit | Reshoot | Delete | Move | Trim | Sound | Silence | Cast | Setting | Undo | Pause | Resume | Stop
    | AutoRetake,
    Field(discriminator="type"),
]  # fmt: skip
"""What is answered by a receipt or a refusal."""

ClientMessage = Annotated[Hello | Playhead | Command, Field(discriminator="type")]
