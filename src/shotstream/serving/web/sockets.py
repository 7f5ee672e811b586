"""`/api/live`: one viewer of one story over a WebSocket, see docs/protocol.md."""

from __future__ import annotations

import asyncio
import logging
from enum import IntEnum

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from shotstream.serving.delivery.viewers import TooSlow, Viewer
from shotstream.serving.protocol.commands import Command, Hello, Playhead
from shotstream.serving.protocol.events import ErrorMessage, Event, Snapshot, Welcome
from shotstream.serving.protocol.messages import ProtocolError, read_message
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.stored import StoreError
from shotstream.serving.studio import Studio
from shotstream.serving.web.rates import Allowance

log = logging.getLogger(__name__)
router = APIRouter()

HELLO_SECONDS = 10.0
MESSAGES_PER_SECOND, MESSAGES_AT_ONCE = 60.0, 240


class Close(IntEnum):
    """Why a socket was closed."""

    NOT_UNDERSTOOD = 4001
    """The first message was no `hello` of this version."""
    NO_SUCH_STORY = 4004
    TOO_SLOW = 4008
    """Connect again at once: what was missed is sent from the library."""
    TOO_MUCH = 4009
    """Too many messages."""
    COME_LATER = 4010
    """Too many viewers are here, or too many sockets were opened just now: wait, then try again."""
    NOT_ALLOWED = 4403
    """A page of another origin, or no token."""
    RESTART = 1012


class _Closed(Exception):
    """The socket is to be closed."""

    def __init__(self, code: Close, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@router.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Serve one viewer until either side goes."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    viewer = Viewer(lambda frames: studio.metrics.dropped_frames.inc(frames))
    story = None
    try:
        hello = await _read_hello(socket)
        story = hello.story or await _begin(studio)
        snapshot = await _join(studio, story, viewer)
        await _send(socket, await welcome(studio, story, snapshot))
        viewer.replay(await studio.missed(story, hello.after))
        await _both_ways(socket, studio, story, viewer)
    except _Closed as closed:
        await _close(socket, closed)
    except WebSocketDisconnect:
        pass
    except StoreError as error:  # it was removed for good meanwhile
        await _close(socket, _Closed(Close.NO_SUCH_STORY, str(error)))
    finally:
        if story:
            studio.leave(story, viewer)


async def welcome(studio: Studio, story: str, snapshot: Snapshot) -> Welcome:
    """What a viewer is told first: of the model that told the story, which may be another one.

    Raises:
        NoStory: If there is no such story.
    """
    made_with = await studio.made_with(story)
    return Welcome(
        story=story,
        model=made_with.model,
        size=(made_with.width, made_with.height),
        fps=made_with.fps,
        chunk_seconds=studio.model.chunk_seconds,
        limits=studio.limits,
        snapshot=snapshot,
    )


async def _read_hello(socket: WebSocket) -> Hello:
    try:
        message = read_message(await asyncio.wait_for(_receive(socket), HELLO_SECONDS))
    except TimeoutError:
        raise _Closed(Close.NOT_UNDERSTOOD, "nothing was said; begin with hello") from None
    except ProtocolError as error:
        raise _Closed(Close.NOT_UNDERSTOOD, str(error)) from None
    if not isinstance(message, Hello):
        raise _Closed(Close.NOT_UNDERSTOOD, f"{message.type} came first; begin with hello")
    return message


async def _begin(studio: Studio) -> str:
    try:
        return await studio.begin("", 0)
    except (Refusal, OSError, StoreError) as error:
        raise _Closed(Close.NO_SUCH_STORY, str(error)) from None


async def _join(studio: Studio, story: str, viewer: Viewer) -> Snapshot:
    try:
        return await studio.join(story, viewer)
    except Refusal as refusal:
        raise _Closed(Close.COME_LATER, str(refusal)) from None
    except StoreError as error:
        raise _Closed(Close.NO_SUCH_STORY, str(error)) from None


async def _both_ways(socket: WebSocket, studio: Studio, story: str, viewer: Viewer) -> None:
    """Listen and speak until one of them ends, and raise what ended it."""
    listening = asyncio.create_task(_listen(socket, studio, story, viewer))
    speaking = asyncio.create_task(_speak(socket, viewer))
    try:
        done, _ = await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (listening, speaking):
            task.cancel()
        await asyncio.gather(listening, speaking, return_exceptions=True)


async def _listen(socket: WebSocket, studio: Studio, story: str, viewer: Viewer) -> None:
    allowance = Allowance(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
    while True:
        text = await _receive(socket)
        if not allowance.take():
            studio.metrics.refused.labels("messages").inc()
            raise _Closed(Close.TOO_MUCH, f"more than {MESSAGES_PER_SECOND:g} messages a second; slow down")
        try:
            message = read_message(text)
        except ProtocolError as error:
            viewer.tell(ErrorMessage(message=str(error)).model_dump_json())
            continue
        if isinstance(message, Playhead):
            studio.playhead(story, message)
        elif isinstance(message, Hello):
            viewer.tell(ErrorMessage(message="hello was said already").model_dump_json())
        else:
            await _offer(studio, story, message, viewer)


async def _offer(studio: Studio, story: str, command: Command, viewer: Viewer) -> None:
    try:
        await studio.offer(story, command, lambda answer: viewer.tell(answer.model_dump_json()))
    except StoreError as error:
        raise _Closed(Close.NO_SUCH_STORY, str(error)) from None


async def _speak(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        try:
            said = await viewer.next()
        except TooSlow:
            raise _Closed(Close.TOO_SLOW, "this viewer is too slow; connect again") from None
        if isinstance(said, str):
            await socket.send_text(said)
        else:
            for message in said:
                await socket.send_bytes(message)


async def _receive(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    return message.get("text") or message.get("bytes") or b""


async def _send(socket: WebSocket, event: Event) -> None:
    await socket.send_text(event.model_dump_json())


async def _close(socket: WebSocket, closed: _Closed) -> None:
    try:
        if closed.code is not Close.TOO_SLOW:
            await _send(socket, ErrorMessage(message=str(closed)))
        await socket.close(closed.code, str(closed)[:120])
    except (WebSocketDisconnect, RuntimeError):  # it is gone already
        pass
