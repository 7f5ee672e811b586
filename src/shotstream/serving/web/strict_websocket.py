"""WebSockets as uvicorn speaks them, without its patience."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from shotstream.serving.web.rates import Allowance

GOODBYE_SECONDS = 1.0
"""What a client has to take the reason why it is let go."""
MOST_GOODBYE_BYTES = 4096
FRAMES_PER_SECOND, FRAMES_AT_ONCE = 60.0, 240
"""Pings, pongs and parts of messages; whole messages are counted where they are read."""
_TOO_MUCH = 4009


class StrictWebSocket(WebSocketsSansIOProtocol):
    """A connection on which every frame counts, and that ends soon after goodbye was said.

    uvicorn answers every ping, whether or not its answers are read, and counts none. After goodbye it goes on
    reading for ten seconds, so that a flood costs as much after it was cut off as before, and keeps what it
    has to send until it is taken, so that a client who takes nothing never goes.
    """

    _read_since_goodbye = 0
    _said_something = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._frames_left = Allowance(FRAMES_PER_SECOND, FRAMES_AT_ONCE)
        self.silent_since = self.loop.time()

    @property
    def may_go(self) -> bool:
        """Whether nobody misses it: it said nothing yet, or goodbye was said."""
        return self.close_sent or not self._said_something

    def connection_lost(self, exc: Exception | None) -> None:
        """End; it may have made room for another one already."""
        self.connections.add(self)  # pyright: ignore[reportArgumentType]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; after goodbye there is only the client's own to come."""
        super().data_received(data)
        if self.close_sent:
            self._read_since_goodbye += len(data)
            if self._read_since_goodbye > MOST_GOODBYE_BYTES:
                self.transport.pause_reading()

    def handle_ping(self) -> None:
        """Answer a ping, if it is not one too many."""
        if self._is_allowed():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take an answer to a ping."""
        if self._is_allowed():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a further part of a message."""
        if self._is_allowed():
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        """Take a text, or the beginning of one."""
        self._said_something = True
        if event.fin or self._is_allowed():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Take bytes, or the beginning of some."""
        self._said_something = True
        if event.fin or self._is_allowed():
            super().handle_bytes(event)

    def handle_close(self, event: Frame) -> None:
        """End, and soon, though the client may take nothing of what it is still to be sent."""
        super().handle_close(event)
        self._end_soon()

    async def send(self, message: Any) -> None:
        """Pass a message of the app on."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self._end_soon()

    def keepalive_timeout(self) -> None:
        """End with a client that did not answer a ping."""
        super().keepalive_timeout()
        self._end_soon()

    def _is_allowed(self) -> bool:
        """Count a frame; with one too many, say goodbye."""
        if self.close_sent:
            return False
        if self._frames_left.take():
            return True
        self.conn.send_close(_TOO_MUCH, f"more than {FRAMES_PER_SECOND:g} frames a second; slow down")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _TOO_MUCH})
        self._end_soon()
        return False

    def _end_soon(self) -> None:
        self.loop.call_later(GOODBYE_SECONDS, self.transport.abort)
