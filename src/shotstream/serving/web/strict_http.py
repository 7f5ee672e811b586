"""HTTP as uvicorn speaks it, with limits on how many connections there are and how long they may idle."""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol

from shotstream.serving.web.strict_websocket import StrictWebSocket

MOST_CONNECTIONS = 256
"""Sockets count, too."""
ASKING_SECONDS = 10.0
"""What a client has for the head of a request."""
BODY_SECONDS = 120.0
"""What it has for the whole request: 10 MiB at 90 KiB a second."""
UNREAD_SECONDS = 60.0
"""How long nothing of an answer may be taken; a download goes on where it stopped, see ``Range``."""

_FILES_PER_CONNECTION = 4
"""So many of the files that the process may have open are there for each connection: most are for stories."""
LOOK_EVERY_SECONDS = 1.0


def most_connections() -> int:
    """How many connections there may be: fewer where the process may open few files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else min(MOST_CONNECTIONS, files // _FILES_PER_CONNECTION)


class StrictHttp(H11Protocol):
    """A connection that is ended when its client is silent for too long, or takes nothing of an answer.

    Where there are too many, the one that may go and is silent for longest makes room for the newest: so no
    number of silent connections keeps others out, or takes all files that the process may open.
    """

    silent_since: float
    """When it began to wait for a request, or for the rest of one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin, and make room for it."""
        super().connection_made(transport)
        self.silent_since = self._taken_at = self.loop.time()
        self._unread = 0
        self._make_room()
        self._look_again()

    @property
    def may_go(self) -> bool:
        """Whether nobody misses it: no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self.silent_since = self.loop.time()

    def handle_events(self) -> None:
        """Take what came in."""
        former = self.cycle
        super().handle_events()
        if self.cycle is not former:
            self.silent_since = self.loop.time()

    def _make_room(self) -> None:
        if len(self.connections) <= most_connections():
            return
        mine = [other for other in self.connections if isinstance(other, StrictHttp | StrictWebSocket)]
        may_go = (other for other in mine if other.may_go)
        goes = min(may_go, key=lambda other: other.silent_since, default=self)
        self.connections.discard(goes)
        goes.transport.abort()

    def _look_again(self) -> None:
        self.loop.call_later(LOOK_EVERY_SECONDS, self._look)

    def _look(self) -> None:
        """End it if it is too slow; what became a WebSocket is no longer here."""
        if self not in self.connections:
            return
        if self._is_too_slow(self.loop.time()):
            return self.transport.abort()
        self._look_again()

    def _is_too_slow(self, now: float) -> bool:
        unread = self.transport.get_write_buffer_size()
        if not unread or unread != self._unread:
            self._unread, self._taken_at = unread, now
        if now - self._taken_at > UNREAD_SECONDS:
            return True
        if self.may_go:
            return not unread and now - self.silent_since > ASKING_SECONDS
        return self.cycle.more_body and now - self.silent_since > BODY_SECONDS
