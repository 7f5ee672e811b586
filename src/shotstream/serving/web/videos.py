"""`/v1/videos`: stories for programs that know OpenAI's Videos API, with shots as an extension field.

A video is a story of the library: what was created here can be directed on the page, and the other way round.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from shotstream.media.faults import say_faults
from shotstream.serving.delivery.viewers import Viewer
from shotstream.serving.protocol.commands import Reference
from shotstream.serving.protocol.events import in_film
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.catalogue import page_end
from shotstream.serving.storage.stored import MadeWith
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio, gives, read_body
from shotstream.serving.web.exports import keep_picture, send_film, still
from shotstream.serving.web.security import MOST_BODY_BYTES
from shotstream.serving.web.story_files import begin_script, is_told, watch
from shotstream.serving.web.video_bodies import (
    NewVideo,
    ReferenceImage,
    Video,
    VideoDeleted,
    VideoList,
    VideoShot,
    read_form,
    video_of,
)
from shotstream.story import Shot, Story

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/videos", tags=["videos"], responses=PROBLEMS)

MOST_LISTED = 100
_GOES_ON = {State.SHOOTING, State.CUTTING}
"""A held shot has no end, and is its director's."""

BODY = {
    "requestBody": {
        "required": True,
        "description": "The fields as JSON, or as a form: then `input_reference` may be a file.",
        "content": {
            "application/json": {"schema": NewVideo.model_json_schema()},
            "multipart/form-data": {"schema": {"type": "object"}},
        },
    }
}


class UnwatchedStories:
    """Stories that are told to their end though nobody watches; it lives on the event loop.

    Args:
        studio: Tells them.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def tell(self, story: str) -> None:
        """Have a story told, unless it is already."""
        if story not in self._tasks:
            task = self._tasks[story] = asyncio.create_task(self._tell(story))
            task.add_done_callback(lambda _: self._tasks.pop(story, None))

    async def close(self) -> None:
        """Watch no more; stories stay as they are and go on when somebody asks for them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, story: str) -> None:
        viewer = Viewer()
        try:
            if self._studio.engine.find(story) is None:
                await asyncio.wrap_future(self._studio.engine.open(story))
            await self._studio.join(story, viewer)
            while not is_told(self._studio, story):
                await watch(self._studio, story, viewer)
        except (ValueError, OSError) as error:  # too many are open, it was put away, another model told it
            log.debug("story %s is not told further: %s", story, error)
        finally:
            self._studio.leave(story, viewer)


def _unwatched(request: Request) -> UnwatchedStories:
    return request.app.state.unwatched


Unwatched = Annotated[UnwatchedStories, Depends(_unwatched)]


async def _new_video(studio: TheStudio, request: Request) -> NewVideo:
    """Read the body, JSON or a form."""
    data = await read_body(request, studio.limits.upload_bytes + MOST_BODY_BYTES)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return NewVideo.model_validate(await read_form(data, request.headers))
        if kind == "application/x-www-form-urlencoded":
            raise HTTPException(422, f"{kind} is not read; send JSON, or a form as multipart/form-data")
        return NewVideo.model_validate_json(data)
    except ValidationError as error:
        raise HTTPException(422, say_faults(error.errors(include_url=False))) from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


@router.post("", openapi_extra=BODY)
async def create(
    studio: TheStudio, unwatched: Unwatched, new: Annotated[NewVideo, Depends(_new_video)]
) -> Video:
    """Begin a video: a story with all its shots queued, which is told whether somebody watches or not."""
    _check_model(new, studio.model.made_with)
    shots = new.shots or [VideoShot(prompt=new.prompt)]
    script = Story(
        title=new.title or None,
        setting=new.prompt if new.shots else "",
        seed=new.seed,
        shots=[
            Shot(prompt=shot.prompt, seconds=shot.seconds or new.seconds, seed=shot.seed) for shot in shots
        ],
    )
    upload = await _uploaded(studio, new.input_reference)
    references = [Reference(id="video-reference", upload=upload)] if upload else []
    story = await begin_script(studio, script, references)
    unwatched.tell(story)
    return await _read(studio, story)


@router.get("")
async def list_videos(
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
    after: Annotated[str | None, Query(max_length=64)] = None,
    order: Literal["asc", "desc"] = "desc",
) -> VideoList:
    """List videos in the order of their last change; stories without shots are left out."""

    page = partial(studio.catalogue.page, limit, oldest_first=order == "asc")
    if after:
        start = await asyncio.to_thread(studio.catalogue.story, after)
        page = partial(page, before=page_end(start.summary))
    listed, more = await asyncio.to_thread(page)
    videos = [video for story in listed if (video := video_of(story))]
    return VideoList(
        data=videos,
        first_id=listed[0].summary.id if listed else None,
        last_id=listed[-1].summary.id if listed else None,
        has_more=more is not None,
    )


@router.get("/{video}")
async def retrieve(studio: TheStudio, unwatched: Unwatched, video: StoryPath) -> Video:
    """Read how far a video is; one that a restart has interrupted goes on."""
    said = await _read(studio, video)
    interrupted = said.status in ("queued", "in_progress") and not studio.engine.find(video)
    if interrupted and (await studio.snapshot(video)).state in _GOES_ON:
        unwatched.tell(video)
    return said


@router.get("/{video}/content", response_class=Response, responses=gives("video/mp4"))
async def content(
    studio: TheStudio, video: StoryPath, variant: Literal["video", "thumbnail"] = "video"
) -> Response:
    """The video as MP4, or the frame in the middle of its first shot as JPEG."""
    said = await _read(studio, video)
    if said.status != "completed":
        raise Refusal("not_now", f"the video is {said.status} ({said.progress} %); ask when it is completed")
    if variant == "video":
        return await send_film(studio, video)
    card = next(card for card in in_film((await studio.snapshot(video)).shots) if card.frames)
    return await still(studio, video, card.number, card.take, card.frames // 2)


@router.delete("/{video}")
async def delete(studio: TheStudio, video: StoryPath) -> VideoDeleted:
    """Put a video away; on the page it can be brought back, or removed for good."""
    await studio.move_to_trash(video)
    return VideoDeleted(id=video)


async def _read(studio: Studio, video: str) -> Video:
    said = video_of(await asyncio.to_thread(studio.catalogue.story, video))
    if said is None:
        raise HTTPException(
            404, f"the story {video} has no shots yet, so it is no video; shoot something first"
        )
    return said


def _check_model(new: NewVideo, model: MadeWith) -> None:
    """See whether the studio makes what is asked for: it has one model and one size."""
    if new.model is not None and new.model not in (model.model, model.model.partition(" ")[0]):
        raise HTTPException(
            404, f"the studio has the model {model.model!r}, not {new.model!r}; leave model out"
        )
    size = f"{model.width}x{model.height}"
    if new.size not in (None, size):
        raise HTTPException(422, f"size is {new.size}, the studio makes {size}; leave size out")


async def _uploaded(studio: Studio, reference: ReferenceImage | bytes | None) -> str | None:
    """The name that the library has for a picture."""
    if reference is None:
        return None
    if isinstance(reference, bytes):
        return await keep_picture(studio, reference)
    if reference.file_id is None:
        try:
            return await keep_picture(studio, reference.picture())
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
    return reference.file_id
