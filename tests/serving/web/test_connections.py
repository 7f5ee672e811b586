"""Many connections, silent ones, slow ones, and those that take nothing: others are served all the same."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import ExitStack, closing, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from shotstream.serving.web import strict_http, strict_websocket
from tests.serving.web.conftest import Server
from tests.waiting import until

pytestmark = pytest.mark.unit

MOST = 12


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    """Limits that a test can reach."""
    monkeypatch.setattr(strict_http, "MOST_CONNECTIONS", MOST)
    monkeypatch.setattr(strict_http, "LOOK_EVERY_SECONDS", 0.05)


def silent(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 20)


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_silent_connections_make_room_for_whoever_asks(server: Server, caplog) -> None:
    """Whatever their number: none of them holds a file of the process for long, and no log tells of them."""
    caplog.set_level(logging.WARNING)
    with ExitStack() as open_ones, server.watch() as viewer:
        connections = [open_ones.enter_context(closing(silent(server))) for _ in range(10 * MOST)]
        with server.client() as client:
            assert client.get("/api/model").status_code == 200
        viewer.shoot("a fox runs", chunks=2)
        until(lambda: is_ended(connections[0]))
        held = len(server.studio.metrics.page())  # it still answers
        assert held
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_files_that_are_few_are_left_to_stories(monkeypatch) -> None:
    monkeypatch.setattr(strict_http, "MOST_CONNECTIONS", 256)
    for files, connections in ((1024, 256), (256, 64), (-1, 256)):
        monkeypatch.setattr(strict_http.resource, "getrlimit", lambda kind, files=files: (files, files))
        assert strict_http.most_connections() == connections


@pytest.mark.parametrize("begun", [b"", b"GET /api/model HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_who_does_not_end_a_request_is_let_go(server: Server, begun: bytes, monkeypatch) -> None:
    monkeypatch.setattr(strict_http, "ASKING_SECONDS", 0.2)
    with closing(silent(server)) as connection:
        connection.sendall(begun)
        began = time.monotonic()
        assert is_ended(connection)
        assert time.monotonic() - began < 15


def test_a_body_that_never_ends_is_let_go(server: Server, monkeypatch) -> None:
    monkeypatch.setattr(strict_http, "BODY_SECONDS", 0.2)
    with closing(silent(server)) as connection:
        head = ["POST /api/uploads HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 99", "", "x"]
        connection.sendall("\r\n".join(head).encode())
        assert is_ended(connection)


def test_who_takes_nothing_of_an_answer_is_let_go(server: Server, monkeypatch) -> None:
    monkeypatch.setattr(strict_http, "UNREAD_SECONDS", 0.2)
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.1)
        connection.connect(("127.0.0.1", server.port))
        ask = b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        deadline = time.monotonic() + 30
        with suppress(ConnectionError):
            while time.monotonic() < deadline:
                with suppress(TimeoutError):
                    connection.sendall(200 * ask)  # and take none of the answers
            pytest.fail("it went on for ever")


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.PING, b"x" * 125),
        Frame(Opcode.PONG, b"x" * 125),
        Frame(Opcode.CONT, b"", fin=False),
    ],
    ids=["pings", "pongs", "parts"],
)
def test_every_frame_counts(server: Server, frame: Frame) -> None:
    """Answers to pings that nobody reads are few, so that they need no memory."""
    with server.watch() as viewer:
        raw = viewer.socket.socket
        if frame.opcode is Opcode.CONT:
            raw.sendall(Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True, extensions=[]))
        with suppress(OSError):
            for _ in range(10 * strict_websocket.FRAMES_AT_ONCE):
                raw.sendall(frame.serialize(mask=True, extensions=[]))
        with suppress(ConnectionClosed):
            assert viewer.closed() in (4009, 1006)
    with server.watch() as another:
        assert another.welcome
