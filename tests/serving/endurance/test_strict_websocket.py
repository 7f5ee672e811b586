"""Who is let go is gone soon, though it goes on talking or never listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from benchmarks.studio_process import free_port
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from shotstream.serving.web.strict_websocket import GOODBYE_SECONDS, StrictWebSocket

pytestmark = pytest.mark.system

SOON_SECONDS = GOODBYE_SECONDS + 4


@asynccontextmanager
async def serving(app: Callable) -> AsyncIterator[str]:
    """Serve an ASGI app at the address that is given."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            ws=StrictWebSocket,
            lifespan="off",
            log_level="critical",
            ws_ping_interval=0.2,
            ws_ping_timeout=0.2,
        )
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    await running


async def accept(receive: Callable, send: Callable) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


async def flood() -> int:
    """How many messages went out, of a client that does not listen, until the connection was gone."""

    async def app(scope, receive, send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.close", "code": 4009})

    sent = 0
    async with serving(app) as address, connect(address, ping_interval=None, compression=None) as socket:
        socket.transport.pause_reading()
        with suppress(ConnectionClosed):
            while True:
                await socket.send(bytes(100_000))
                sent += 1
    return sent


async def never_read() -> float:
    """Seconds until the app was rid of a client that takes nothing."""
    gone = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await accept(receive, send)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
        except Exception:
            gone.set()

    async with serving(app) as address, connect(address, ping_interval=None, compression=None) as socket:
        socket.transport.pause_reading()
        began = time.monotonic()
        await asyncio.wait_for(gone.wait(), 3 * SOON_SECONDS)
        taken = time.monotonic() - began
        socket.transport.abort()
    return taken


def test_a_flood_is_not_read_once_it_was_cut_off():
    began = time.monotonic()
    assert asyncio.run(flood()) < 500, "more than the system's buffers hold"
    assert time.monotonic() - began < SOON_SECONDS


def test_a_client_that_takes_nothing_is_let_go():
    assert asyncio.run(never_read()) < SOON_SECONDS
