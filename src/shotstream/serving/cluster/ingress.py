"""The ingress: takes requests and sockets of everybody, and hands each to the replica that tells its story.

It keeps nothing, so any number of them may run, and one may end at any time. Where a replica ends, sockets
are closed with "starts again" (1012): pages connect again at once, and are told by another replica what they
missed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from shotstream.serving.cluster.placement import LOOK_SECONDS, PATIENCE_SECONDS, Placement
from shotstream.serving.prometheus import Metrics
from shotstream.serving.protocol.events import ErrorMessage
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.leases import Leases, ReplicaEntry
from shotstream.serving.web.access import Access
from shotstream.serving.web.answers import problem
from shotstream.serving.web.head import HeadAsGet
from shotstream.serving.web.security import Guard
from shotstream.serving.web.sockets import HELLO_SECONDS, Close
from shotstream.serving.web.watching import watch_links

from websockets.asyncio.client import ClientConnection, connect  # isort: skip
from websockets.exceptions import ConnectionClosed, InvalidHandshake  # isort: skip

log = logging.getLogger(__name__)

_STORY = re.compile(r"[a-z0-9]{12}")
_OF_STORY = re.compile(r"/(?:api/stories|v1/videos)/([a-z0-9]{12})(?:/.*)?")
_NEW_STORY = {"/api/stories", "/api/stories/import", "/api/films", "/v1/videos"}
"""A POST there begins a story."""
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
_NOT_ASKED_ON = {*_HOP_BY_HOP, "authorization", "cookie", "origin", "referer"}
"""What is checked here, and means nothing to a replica."""
_GONE = (httpx.ConnectError, httpx.ConnectTimeout)


class Ingress:
    """Hands requests and sockets on.

    Args:
        leases: The replicas and their stories.
        secret: What replicas ask for.
        patience_seconds: How long a request waits for a replica or a place.
    """

    def __init__(self, leases: Leases, secret: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.leases, self.placement = leases, Placement(leases, patience_seconds)
        self._patience = patience_seconds
        self._bearer = {"authorization": f"Bearer {secret}"}
        timeout = httpx.Timeout(None, connect=5.0)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)

    async def close(self) -> None:
        """End all connections to replicas."""
        await self._http.aclose()

    # ---- HTTP ----

    async def answer(self, request: Request) -> Response:
        """Answer a request by the answer of a replica."""
        path = request.scope["path"]
        body: bytes | AsyncIterator[bytes] = b""
        if request.method not in ("GET", "HEAD", "DELETE"):
            body = request.stream()
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                replica = await self._replica_for(request.method, path)
                return await self._ask(replica, request, body)
            except Refusal as refusal:
                answer = problem(503, str(refusal), refusal.code, path=path)
                answer.headers["Retry-After"] = "5"
                return answer
            except _GONE:  # it took in nothing, so that another one may be asked
                if asyncio.get_running_loop().time() > until:
                    return problem(503, "the replica of the story does not answer; try again", path=path)
                await asyncio.sleep(LOOK_SECONDS)
            except httpx.TransportError:
                return problem(502, "the replica ended while it answered; ask again", path=path)

    async def _replica_for(self, method: str, path: str) -> ReplicaEntry:
        if found := _OF_STORY.fullmatch(path):
            return await self.placement.of_story(found[1])
        if method == "POST" and path in _NEW_STORY:
            return await self.placement.new_place()
        return await self.placement.any_replica()

    async def _ask(
        self, replica: ReplicaEntry, request: Request, body: bytes | AsyncIterator[bytes]
    ) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        address = f"http://{replica.address}{request.scope['path']}{'?' if query else ''}{query}"
        headers = [(name, value) for name, value in request.headers.items() if _is_asked_on(name)]
        asked = self._http.build_request(
            request.method, address, headers=[*headers, *self._bearer.items()], content=body
        )
        answer = await self._http.send(asked, stream=True)

        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            finally:
                await answer.aclose()

        response = StreamingResponse(parts(), answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode("latin-1").lower() not in _HOP_BY_HOP
        ]
        return response

    # ---- sockets ----

    async def live(self, socket: WebSocket) -> None:
        """Serve one viewer until either side goes."""
        await socket.accept()
        try:
            hello = await asyncio.wait_for(_receive(socket), HELLO_SECONDS)
            async with self._connected(hello) as replica:
                await replica.send(hello)
                await _both_ways(socket, replica)
        except TimeoutError:
            await _close(socket, Close.NOT_UNDERSTOOD, "nothing was said; begin with hello")
        except WebSocketDisconnect:
            pass
        except Refusal as refusal:
            await _close(socket, Close.COME_LATER, str(refusal))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else Close.RESTART
            reason = closed.rcvd.reason if closed.rcvd else "the story goes on elsewhere; connect again"
            await _close(socket, code, reason, told=closed.rcvd is not None)

    async def _replica_of(self, hello: str | bytes) -> ReplicaEntry:
        """The one that tells the story; for a new one, one with a place; for what is neither, any."""
        try:
            story = json.loads(hello).get("story")
        except (ValueError, AttributeError):
            return await self.placement.any_replica()
        if story is None:
            return await self.placement.new_place()
        if isinstance(story, str) and _STORY.fullmatch(story):
            return await self.placement.of_story(story)
        return await self.placement.any_replica()

    @asynccontextmanager
    async def _connected(self, hello: str | bytes) -> AsyncIterator[ClientConnection]:
        """A socket to the replica that a first message is for."""
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            replica = await self._replica_of(hello)
            try:
                socket = await connect(
                    f"ws://{replica.address}/api/live",
                    additional_headers=self._bearer,
                    max_size=None,
                    compression=None,
                    proxy=None,
                    open_timeout=5,
                )
                break
            except (OSError, InvalidHandshake, TimeoutError):
                if asyncio.get_running_loop().time() > until:
                    raise Refusal("busy", "the replica of the story does not answer; try again") from None
                await asyncio.sleep(LOOK_SECONDS)
        try:
            yield socket
        finally:
            await socket.close()


def create_ingress(ingress: Ingress, access: Access) -> Starlette:
    """The ingress as an ASGI app.

    Args:
        ingress: Closed with the app.
        access: Who may ask.
    """
    metrics = Metrics()

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        known = await asyncio.to_thread(ingress.leases.replicas)
        if not any(not one.draining for one in known):
            return problem(503, "no replica is ready yet")
        return PlainTextResponse("ready\n")

    async def figures(_: Request) -> Response:
        known = await asyncio.to_thread(ingress.leases.replicas)
        page = metrics.page().decode() + replica_figures(known, ingress.placement.waiting)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await ingress.close()

    async def links(request: Request) -> Response:
        try:
            return JSONResponse(watch_links(access, request.path_params["story"]).model_dump())
        except HTTPException as error:
            return problem(error.status_code, error.detail)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", figures),
        Route("/api/stories/{story}/watch", links),
        WebSocketRoute("/api/live", ingress.live),
        Route("/{path:path}", ingress.answer, methods=_METHODS),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Guard, access=access, metrics=metrics)
    return app


def replica_figures(replicas: list[ReplicaEntry], waiting: int) -> str:
    """Figures of all replicas in Prometheus' format."""
    lines = ["# TYPE shotstream_waiting_for_a_place gauge", f"shotstream_waiting_for_a_place {waiting}"]
    shown = {
        "stories": lambda one: one.stories,
        "places": lambda one: one.figures.places,
        "viewers": lambda one: one.figures.viewers,
        "real_time_factor": lambda one: one.figures.real_time_factor,
    }
    for name, value in shown.items():
        lines.append(f"# TYPE shotstream_replica_{name} gauge")
        lines += [f'shotstream_replica_{name}{{replica="{one.name}"}} {value(one)}' for one in replicas]
    return "\n".join(lines) + "\n"


async def _both_ways(socket: WebSocket, replica: ClientConnection) -> None:
    """Hand messages on until one side ends, and raise what ended it."""

    async def up() -> None:
        while True:
            await replica.send(await _receive(socket))

    async def down() -> None:
        while True:
            said = await replica.recv()
            await (socket.send_text(said) if isinstance(said, str) else socket.send_bytes(said))

    tasks = asyncio.create_task(up()), asyncio.create_task(down())
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_asked_on(name: str) -> bool:
    return name not in _NOT_ASKED_ON and not name.startswith("sec-")


async def _receive(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    return message.get("text") or message.get("bytes") or b""


async def _close(socket: WebSocket, code: int, sentence: str, told: bool = False) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # it is gone already
        if not told and code != Close.RESTART:
            await socket.send_text(ErrorMessage(message=sentence).model_dump_json())
        await socket.close(code, sentence[:120])
