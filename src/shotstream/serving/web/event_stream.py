"""Server-sent events: what a story tells its viewers, for programs without WebSockets.

Commands and playheads go over HTTP then (`serving/web/stories.py`), and so does the video: an event ``clip``
says that some can be fetched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from shotstream.serving.delivery.clips import LAST_OF_SHOT
from shotstream.serving.delivery.viewers import TooSlow, Viewer
from shotstream.serving.protocol.events import ErrorMessage
from shotstream.serving.protocol.messages import VideoHeader
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.stored import StoreError
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio, gives
from shotstream.serving.web.bodies import ClipMade
from shotstream.serving.web.sockets import welcome

router = APIRouter(prefix="/api/stories", tags=["stories"], responses=PROBLEMS)

HEARTBEAT_SECONDS = 15.0
"""A comment comes when nothing else did for so long, so that proxies keep the connection."""


@router.get("/{story}/events", response_class=StreamingResponse, responses=gives("text/event-stream"))
async def events(studio: TheStudio, story: StoryPath) -> StreamingResponse:
    """Tell what happens in a story as server-sent events, `welcome` first.

    The data of an event is a message of docs/protocol.md, and its name the message's type. `clip` says which
    frames can be watched now: as `clips/{shot}/{take}.mp4`, as `live.mp4`, or as stills. It ends with
    `error` where the viewer is too slow; connect again then.
    """
    await studio.snapshot(story)  # before the answer begins: whether there is such a story
    studio.check_viewers()
    return StreamingResponse(_stream(studio, story), media_type="text/event-stream")


async def _stream(studio: Studio, story: str) -> AsyncIterator[str]:
    viewer = Viewer(lambda frames: studio.metrics.dropped_frames.inc(frames))
    try:
        first = await welcome(studio, story, await studio.join(story, viewer))
        yield _event("welcome", first.model_dump_json())
        viewer.replay(await studio.missed(story, None))
        while True:
            try:
                said = await asyncio.wait_for(viewer.next(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield _clip(said) if isinstance(said, list) else _event(_kind(said), said)
    except (TooSlow, StoreError, Refusal) as error:
        sentence = "this viewer is too slow; connect again" if isinstance(error, TooSlow) else str(error)
        yield _event("error", ErrorMessage(message=sentence).model_dump_json())
    finally:
        studio.leave(story, viewer)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"  # JSON has no line breaks


def _kind(message: str) -> str:
    return json.loads(message)["type"]


def _clip(messages: list[bytes]) -> str:
    first, last = VideoHeader.unpack(messages[0]), VideoHeader.unpack(messages[-1])
    clip = ClipMade(
        shot=first.shot,
        take=first.take,
        first_frame=first.frame,
        frames=len(messages),
        last=bool(last.flags & LAST_OF_SHOT),
    )
    return _event("clip", clip.model_dump_json())
