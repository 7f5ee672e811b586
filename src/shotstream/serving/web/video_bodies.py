"""What `/v1/videos` takes and gives back: names as in OpenAI's Videos API, shots as our extension."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from shotstream.media.faults import say_no_json
from shotstream.media.story_values import read_seconds
from shotstream.serving.protocol.commands import Message, Seed, StoryId
from shotstream.serving.protocol.events import ShotCard, in_film
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.catalogue import ListedStory
from shotstream.story import Prompt, Title

MOST_SHOTS = 1000
"""Of one request; a story may have fewer."""
_MOST_FIELDS = 2 * MOST_SHOTS + 20
_SHOT_FIELD, _REFERENCE_FIELD = "shots[]", "input_reference["
_DATA_URL = "data:"


class _Given(BaseModel):
    """What is sent as a form has only texts, so numbers are read from texts too."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Length = Annotated[float, BeforeValidator(read_seconds), Field(gt=0, le=3600, allow_inf_nan=False)]
"""Seconds, as a number or a text such as "8" or "8s"."""


class VideoShot(_Given):
    """One shot of a video. A bare text is a shot with that prompt."""

    prompt: Prompt
    seconds: Length | None = None
    """Rounded up to whole chunks; as long as the model learnt without it."""
    seed: Seed | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"prompt": value} if isinstance(value, str) else value


class ReferenceImage(_Given):
    """A picture that shots are made from, named instead of sent."""

    file_id: str | None = None
    """What `POST /api/uploads` has answered."""
    image_url: str | None = None
    """The picture itself as ``data:image/png;base64,...``; nothing is fetched from other addresses."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file_id is None) == (self.image_url is None):
            raise ValueError("has to have one of file_id and image_url")
        return self

    def picture(self) -> bytes:
        """The picture that stands in `image_url`.

        Raises:
            ValueError: If it is the address of something else.
        """
        head, _, data = (self.image_url or "").partition(",")
        if not head.startswith(_DATA_URL) or not head.endswith(";base64"):
            raise ValueError(
                "image_url is no data:image/...;base64, address; nothing is fetched from elsewhere"
            )
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"image_url is no base64 ({error})") from error


def _listed(value: Any) -> Any:
    """Shots that came as a text: their JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"should be a list, or the JSON text of one; {say_no_json(value)}") from error


class NewVideo(_Given):
    """A video to be made. Without `shots` it is one shot, which shows the prompt."""

    prompt: Annotated[str, Field(min_length=1)]
    """What the shot shows; with `shots`, who the story is about and where: it goes with every shot."""
    model: str | None = None
    """The studio's model, if it is named at all."""
    seconds: Length | None = None
    """Of every shot that does not say its own; as long as the model learnt without it."""
    size: Annotated[str, Field(pattern=r"^[0-9]{1,5}x[0-9]{1,5}$")] | None = None
    """WIDTHxHEIGHT; the studio has one."""
    shots: (
        Annotated[list[VideoShot], Field(min_length=1, max_length=MOST_SHOTS), BeforeValidator(_listed)]
        | None
    ) = None
    """An extension: the shots in order, texts or objects; in a form also a JSON list as one text."""
    seed: Seed = 0
    """An extension: the same seed makes the same video."""
    title: Title = ""
    """An extension: what the library calls it."""
    input_reference: ReferenceImage | bytes | None = None
    """A picture that every shot is made from: a file in a form, or named."""


Status = Literal["queued", "in_progress", "completed", "failed"]


class VideoError(Message):
    """Why a video is not made."""

    code: str
    message: str


class ShotOfVideo(Message):
    """An extension: one shot, and how far it is."""

    prompt: str
    seconds: float
    status: Status


class Video(Message):
    """A story of the library as a video that is made, or being made."""

    id: StoryId
    """The story's: the page opens it too."""
    object: Literal["video"] = "video"
    status: Status
    progress: Annotated[int, Field(ge=0, le=100)]
    """Per cent of the planned seconds."""
    model: str
    prompt: str
    """The setting, or the first shot's prompt if there is none."""
    seconds: str
    """Of all shots together, as planned."""
    size: str
    """WIDTHxHEIGHT."""
    created_at: int
    """Seconds since 1970, like the next one."""
    completed_at: int | None
    """When it last changed, once it is completed."""
    expires_at: None = None
    """Videos stay until they are deleted."""
    error: VideoError | None
    remixed_from_video_id: StoryId | None
    """The story that it branched off."""
    title: str
    shots: list[ShotOfVideo]


class VideoList(Message):
    """Videos, the newest change first."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    """Ask for those after it."""
    has_more: bool


class VideoDeleted(Message):
    """A video was put away."""

    id: StoryId
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


def video_of(listed: ListedStory) -> Video | None:
    """A story as a video; None if it has no shots, so that there is nothing to wait for."""
    story, made_with = listed.summary, listed.summary.made_with
    cards = in_film([ShotCard.model_validate_json(json.dumps(card)) for card in listed.cards])
    if not cards:
        return None
    shots = [_shot(card, made_with.fps) for card in cards]
    planned = sum(shot.seconds for shot in shots)
    made = sum(
        min(card.frames / made_with.fps, shot.seconds) for card, shot in zip(cards, shots, strict=True)
    )
    status = _status(State(story.state), [shot.status for shot in shots])
    failed = VideoError(code="stands_still", message=story.reason or "the story stands still")
    return Video(
        id=story.id,
        status=status,
        progress=100 if status == "completed" else min(99, int(100 * made / planned)) if planned else 0,
        model=made_with.model,
        prompt=story.setting or cards[0].prompt,
        seconds=f"{planned:.6g}",
        size=f"{made_with.width}x{made_with.height}",
        created_at=int(story.created_seconds),
        completed_at=int(story.changed_seconds) if status == "completed" else None,
        error=failed if status == "failed" else None,
        remixed_from_video_id=story.parent.story if story.parent else None,
        title=story.title,
        shots=shots,
    )


def _shot(card: ShotCard, fps: float) -> ShotOfVideo:
    status: Status = {"queued": "queued", "live": "in_progress"}.get(card.state, "completed")  # pyright: ignore[reportAssignmentType]
    seconds = card.frames / fps if status == "completed" else card.length_seconds
    return ShotOfVideo(prompt=card.prompt, seconds=seconds, status=status)


def _status(state: State, shots: list[Status]) -> Status:
    if state is State.FAILED:
        return "failed"
    if all(shot == "queued" for shot in shots):
        return "queued"
    done = state is State.IDLE and all(shot == "completed" for shot in shots)
    return "completed" if done else "in_progress"


async def read_form(data: bytes, headers: Headers) -> dict[str, Any]:
    """Read a multipart form into the fields of `NewVideo`.

    Shots come as ``shots[]`` (prompts), as ``shots[][prompt]``, ``shots[][seconds]``, ``shots[][seed]`` (as
    the openai package sends objects: every field for all shots or for none), or as ``shots`` (JSON).

    Raises:
        ValueError: If it is no such form.
    """

    async def body() -> AsyncGenerator[bytes, None]:
        yield data

    parser = MultiPartParser(
        headers, body(), max_files=1, max_fields=_MOST_FIELDS, max_part_size=len(data) + 1
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise ValueError(
            f"the form cannot be read ({getattr(error, 'message', 'it has no boundary')})"
        ) from error
    try:
        fields: dict[str, Any] = {}
        columns: dict[str, list[str]] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                fields[name] = await value.read()
            elif name.startswith(_SHOT_FIELD):
                columns.setdefault(name.removeprefix(_SHOT_FIELD).strip("[]") or "prompt", []).append(value)
            elif name.startswith(_REFERENCE_FIELD):
                fields.setdefault("input_reference", {})[name.removeprefix(_REFERENCE_FIELD).strip("]")] = (
                    value
                )
            elif name in fields:
                raise ValueError(f"{name} is there twice; send it once")
            else:
                fields[name] = value
    finally:
        await form.close()
    return fields | ({"shots": _rows(columns)} if columns else {})


def _rows(columns: Mapping[str, list[str]]) -> list[dict[str, str]]:
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(
            "some shots have fields that others lack, and a form does not say which; send all shots the same "
            "fields, or shots as the text of a JSON list"
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
