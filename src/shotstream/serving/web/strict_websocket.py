"""WebSockets as uvicorn speaks them, without its patience."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

GOODBYE_SECONDS = 1.0
"""What a client has to take the reason why it is let go."""
MOST_GOODBYE_BYTES = 4096


class StrictWebSocket(WebSocketsSansIOProtocol):
    """A connection that ends soon after goodbye was said, whatever the client does.

    uvicorn goes on reading for ten seconds, so that a flood costs as much after it was cut off as before, and
    keeps what it has to send until it is taken, so that a client who takes nothing never goes.
    """

    _read_since_goodbye = 0

    def data_received(self, data: bytes) -> None:
        """Read; after goodbye there is only the client's own to come."""
        super().data_received(data)
        if self.close_sent:
            self._read_since_goodbye += len(data)
            if self._read_since_goodbye > MOST_GOODBYE_BYTES:
                self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        """Pass a message of the app on."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self._end_soon()

    def keepalive_timeout(self) -> None:
        """End with a client that did not answer a ping."""
        super().keepalive_timeout()
        self._end_soon()

    def _end_soon(self) -> None:
        self.loop.call_later(GOODBYE_SECONDS, self.transport.abort)
