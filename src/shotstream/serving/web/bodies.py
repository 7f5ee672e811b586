"""What HTTP takes and gives back, beside the messages of the protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shotstream.prompts.adapter import By
from shotstream.prompts.checking import PromptMarkCode
from shotstream.prompts.reading import CastMember
from shotstream.serving.protocol.commands import (
    Message,
    PlannedShot,
    Seed,
    SheetCharacter,
    SoundName,
    StoryId,
)
from shotstream.serving.protocol.events import (
    FramePlace,
    Limits,
    Parent,
    RefusalCode,
    Welcome,
)
from shotstream.serving.storage.catalogue import ListedStory
from shotstream.story import Setting, Title, shown_frames


class FrameAttention(Message):
    """How much attention a remembered frame got."""

    shot: int
    take: int
    frame: int
    """Negative for a picture that somebody brought."""
    share: float
    """Of all, 0 to 1: the mean over the layers."""
    layers: list[float]
    """Of each layer's, in their order."""


class AttentionRead(Message):
    """Where a chunk looked; the shares of all frames and its own shot are 1 together."""

    shot: int
    take: int
    chunk: int
    frames: list[FrameAttention]
    """What its shot was made from, in the order of the film."""
    own_share: float
    """What its own shot got."""
    own_layers: list[float]


class NewStory(Message):
    """A story to be begun."""

    title: Title = ""
    """What people call it."""
    setting: Setting = ""
    """Who and where: goes with every shot."""
    seed: Seed = 0


class Titled(Message):
    """What a story is called."""

    title: Title
    """May be empty. Line breaks, control characters and runs of blanks are one blank."""


class StoryRead(Welcome):
    """A story as it stands."""

    title: str
    viewers: int
    """How many watch it now."""


class WatchLinks(Message):
    """Paths with which others watch a story and can do nothing else."""

    key: str
    """The secret in them, which opens this story alone; it holds as long as the studio's token does."""
    story: str
    """The story as it stands."""
    events: str
    """What happens in it, as server-sent events."""
    film: str
    """The film by now."""


class Began(Message):
    """A story was begun."""

    story: StoryId
    notes: list[str] = Field(default=[])
    """What of its story file may be meant otherwise than it was read, in sentences."""


class ScriptRead(Message):
    """What a story file or script tells."""

    title: str
    setting: str
    cast: list[SheetCharacter]
    shots: list[PlannedShot]


class Uploaded(Message):
    """A picture was taken in."""

    upload: Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]


class SoundRead(Message):
    """A sound file of a story."""

    sound: SoundName
    """Its name in the library."""
    name: str
    """What the person's file was called."""
    seconds: float


class OpenAIError(Message):
    """Why not, in the words of OpenAI's API."""

    message: str
    type: Literal["invalid_request_error"]
    code: RefusalCode | None


class Problem(Message):
    """Why not, in a sentence."""

    detail: str
    code: RefusalCode | None = None
    """What kind of reason a command was refused for."""
    error: OpenAIError | None = None
    """The same once more, below `/v1` alone."""


class ModelFacts(Message):
    """What tells the stories."""

    model: str
    size: tuple[int, int]
    """Width and height in pixels."""
    fps: float
    chunk_seconds: float
    limits: Limits
    version: str
    loras: list[str] = Field(default=[])
    """Names of the LoRAs that shots can be made with."""


class Vocabulary(Message):
    """What the model can be told."""

    words: list[str] | None
    """Every word that it knows; null if it can read any."""
    prompts: list[str]
    """Phrases worth trying; whole prompts about the hero, if the setting names one."""
    settings: list[str]
    names: list[str]
    """Words for who a story can be about; none where the model reads any word."""
    adapter: By | None
    """Who brings prompts into the model's form; null where it reads plain text and nobody else does."""
    hero: str | None
    """Who the setting is about, such as "the robot"; a prompt that names nobody may show somebody else."""


class PromptsWritten(Message):
    """What a person wrote, to be looked at."""

    setting: Setting = ""
    cast: list[CastMember] = Field(default=[], max_length=32)
    prompts: list[Annotated[str, Field(max_length=2_000)]] = Field(default=[], max_length=200)
    adapt: bool = True
    """Whether they are brought into the model's form, too."""


class PromptMarkRead(Message):
    """One thing that does not fit the story or the model."""

    code: PromptMarkCode
    words: str
    """What is said, as it stands there; empty for a shot that names nobody."""
    sentence: str
    near: list[str]
    """What to say instead, the nearest first."""


class PromptAdapted(Message):
    """A text in the model's form."""

    prompt: str
    notes: list[str]
    """What was left out or put in, in sentences."""
    marks: list[PromptMarkRead]
    """What of it does not fit."""


class PromptRead(Message):
    """What a person wrote, and what the model gets."""

    written: str
    marks: list[PromptMarkRead]
    """What of it does not fit."""
    adapted: PromptAdapted | None = None
    """Null if it has the model's form already, or nobody asked."""


class PromptsRead(Message):
    """Prompts that were looked at."""

    setting: PromptRead
    prompts: list[PromptRead]
    """As many as were sent, in order."""
    by: By
    """Who adapted the prompts; settings are always adapted by rules."""
    problem: str | None = None
    """Why the endpoint did not, in a sentence."""


class Still(FramePlace):
    """A frame of a certain take."""

    take: int


class ClipMade(Message):
    """Frames of a take that can be watched now; a server-sent event, where a socket has the video itself."""

    type: Literal["clip"] = "clip"
    shot: int
    take: int
    first_frame: int
    frames: int
    last: bool
    """Whether its shot ends with it; a shot that is cut ends without."""


class StoryEntry(Message):
    """A story as the library lists it."""

    story: StoryId
    title: str
    setting: str
    seed: int
    model: str
    state: str
    shots: int
    frames: int
    seconds: float
    prompt: str
    """Of its first shot; empty without one."""
    newest_prompt: str
    """Of its last shot: by that one knows branches apart."""
    still: Still | None
    """A frame of its last shot."""
    cover: Still | None
    """The first frame that the film shows."""
    parent: Parent | None
    created_seconds: float
    """Since 1970, like the next two."""
    changed_seconds: float
    deleted_seconds: float | None


def _shown(card: dict[str, Any]) -> range:
    """The frames of a shot that the film shows."""
    return shown_frames(card["frames"], card.get("in_frame", 0), card.get("out_frame"))


def entry(listed: ListedStory) -> StoryEntry:
    """What the library lists of a story."""
    story, origin = listed.summary, listed.summary.parent
    shots = [card for card in listed.cards if card["state"] != "deleted"]
    shots.sort(key=lambda card: card["number"] if card.get("place") is None else card["place"])
    made = [card for card in shots if card["frames"]]
    frames = sum(len(_shown(card)) for card in made)
    newest = made[-1] if made else None
    still = cover = None
    if newest:
        cover = Still(shot=made[0]["number"], take=made[0]["take"], frame=_shown(made[0]).start)
        still = Still(
            shot=newest["number"], take=newest["take"], frame=_shown(newest)[len(_shown(newest)) // 2]
        )
    return StoryEntry(
        story=story.id,
        title=story.title,
        setting=story.setting,
        seed=story.seed,
        model=story.made_with.model,
        state=story.state,
        shots=len(shots),
        frames=frames,
        seconds=frames / story.made_with.fps,
        prompt=shots[0]["prompt"] if shots else "",
        newest_prompt=shots[-1]["prompt"] if shots else "",
        still=still,
        cover=cover,
        parent=Parent(story=origin.story, shot=origin.shot) if origin else None,
        created_seconds=story.created_seconds,
        changed_seconds=story.changed_seconds,
        deleted_seconds=story.deleted_seconds,
    )
