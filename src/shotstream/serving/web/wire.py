"""WebSockets as uvicorn speaks them, without its patience."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

GOODBYE_SECONDS = 1.0
"""What a client has to take the reason why it is let go."""


class Wire(WebSocketsSansIOProtocol):
    """A connection that ends soon after goodbye was said, whatever the client does.

    uvicorn goes on reading for ten seconds, so that a flood costs as much after it was cut off as before, and
    keeps what it has to send until it is taken, so that a client who takes nothing never goes.
    """

    async def send(self, message: Any) -> None:
        """Pass a message of the app on; after a close nothing more is read."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self._end_soon()

    def keepalive_timeout(self) -> None:
        """End with a client that did not answer a ping."""
        super().keepalive_timeout()
        self._end_soon()

    def _end_soon(self) -> None:
        self.transport.pause_reading()
        self.loop.call_later(GOODBYE_SECONDS, self.transport.abort)
