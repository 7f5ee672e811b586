from __future__ import annotations

import json
import socket
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from shotstream.media.live import decode_chunk
from shotstream.serving.protocol.events import Limits
from shotstream.serving.web.sockets import MESSAGES_AT_ONCE
from tests.serving.web.conftest import Server, serving
from tests.waiting import until

pytestmark = pytest.mark.system


def clips(frames: list) -> list[list]:
    """Frames, split where the clips of their chunks begin."""
    starts = [place for place, (header, _) in enumerate(frames) if header.flags & 1]
    return [frames[start:end] for start, end in pairwise([*starts, len(frames)])]


def test_a_shot_is_answered_watched_and_shown(server: Server) -> None:
    with server.watch() as viewer:
        assert viewer.welcome["snapshot"]["state"] == "idle"
        assert viewer.welcome["size"] == [32, 16]
        receipt = viewer.direct("shoot", id="first", prompt="a fox runs", chunks=3)
        assert receipt["applies_from"] == {"shot": 0, "frame": 0}
        frames = viewer.watch_shot(0)
        shown = viewer.until("shown", id="first")
        assert 0 < shown["prompt_to_glass_seconds"] < 10
        viewer.until("state", state="idle")
    assert [header.frame for header, _ in frames] == list(range(len(frames)))
    assert [header.microseconds for header, _ in frames] == [round(n / 8 * 1e6) for n in range(len(frames))]
    assert len(clips(frames)) == 3
    for clip in clips(frames):
        pictures = decode_chunk([payload for _, payload in clip])
        assert pictures.shape == (len(clip), 16, 32, 3)
        assert pictures.std() > 1
    cards = [event for event in viewer.events if event["type"] == "shot"]
    assert (cards[-1]["state"], cards[-1]["frames"]) == ("done", len(frames))


def test_what_is_watched_is_what_was_made(server: Server) -> None:
    """Noise loses its colours on the way, but not its light."""
    with server.watch() as viewer:
        frames = viewer.shoot("a cat sleeps", chunks=1)
    chunk = server.store.take_chunks(viewer.story, 0, 0)[0]
    session = server.studio.model.open("", 0)
    session.cut("a cat sleeps", chunks=1)
    made = session.next_chunk(chunk.latents())
    assert made is not None
    seen = decode_chunk([payload for _, payload in frames])
    assert np.corrcoef(seen.mean(-1).ravel(), made.frames.mean(-1).ravel())[0, 1] > 0.6


def test_who_comes_late_is_shown_the_newest_take_without_the_engine(server: Server, told: str) -> None:
    server.studio.engine.let_go(told).result(10)
    before = server.metric("shotstream_chunk_seconds_count")
    with server.watch(told) as viewer:
        assert len(viewer.welcome["snapshot"]["shots"]) == 2
        viewer.watch_shot(1)
        assert set(viewer.clips) == {(1, 1)}
    assert server.metric("shotstream_chunk_seconds_count") == before
    assert server.studio.engine.find(told) is None


def test_who_comes_back_is_shown_what_was_missed(server: Server, told: str) -> None:
    with server.watch(told, after={"shot": 0, "take": 0, "chunk": 0}) as viewer:
        while (1, 1) not in viewer.clips or not viewer.newest(1)[-1][0].flags & 2:
            viewer.hear()
    first = viewer.clips[0, 0][0][0]
    assert (first.frame, first.flags) == (server.store.take_chunks(told, 0, 0)[1].first_frame, 1)
    assert set(viewer.clips) == {(0, 0), (1, 0), (1, 1)}


def test_a_command_that_is_sent_again_does_nothing(server: Server) -> None:
    with server.watch() as viewer:
        receipt = viewer.direct("shoot", id="same", prompt="a fox runs", chunks=1)
        viewer.watch_shot(0)
        assert viewer.direct("shoot", id="same", prompt="a cat sleeps") == receipt
        viewer.until("figures")
    with server.watch(viewer.story) as again:
        assert again.direct("shoot", id="same", prompt="a cat sleeps") == receipt
        assert len(again.welcome["snapshot"]["shots"]) == 1


def test_all_viewers_see_the_same_and_only_the_sender_is_answered(server: Server) -> None:
    with server.watch() as one, server.watch(one.story) as other:
        frames = one.shoot("a fox runs", chunks=2)
        assert other.watch_shot(0) == frames
        other.until("state", state="idle")
        assert not [event for event in other.events if event["type"] == "receipt"]


def test_what_cannot_be_read_is_said_and_the_socket_lives(server: Server) -> None:
    with server.watch() as viewer:
        for bad in ("{", "[]", '{"type": "shoot", "id": "1"}', '{"type": "pause", "id": "1", "more": 1}'):
            viewer.socket.send(bad)
            assert "docs/protocol.md" in viewer.until("error")["message"]
        viewer.say(type="hello", protocol=1)
        assert "already" in viewer.until("error")["message"]
        assert viewer.direct("pause")["type"] == "receipt"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type": "hello", "protocol": 2}', 4001),
        ('{"type": "pause", "id": "1"}', 4001),
        ("nonsense", 4001),
        (b"\xff\x00", 4001),
        ('{"type": "hello", "protocol": 1, "story": "aaaaaaaaaaaa"}', 4004),
    ],
)
def test_a_bad_beginning_is_said_and_ends_the_socket(server: Server, first: str | bytes, code: int) -> None:
    with connect(server.live) as live:
        live.send(first)
        assert json.loads(live.recv(10))["type"] == "error"
        with pytest.raises(ConnectionClosed):
            live.recv(10)
        assert live.close_code == code
        assert live.close_reason


def test_who_says_nothing_is_let_go(server: Server, monkeypatch) -> None:
    monkeypatch.setattr("shotstream.serving.web.sockets.HELLO_SECONDS", 0.05)
    with connect(server.live) as live:
        assert "begin with hello" in json.loads(live.recv(10))["message"]
        with pytest.raises(ConnectionClosed):
            live.recv(10)
        assert live.close_code == 4001


def test_who_says_too_much_is_let_go_and_holds_up_nobody(server: Server) -> None:
    with server.watch() as other, server.watch() as flooding:
        with suppress(ConnectionClosed):  # before all of it is said
            for _ in range(10 * MESSAGES_AT_ONCE):
                flooding.say(type="playhead", shot=0, take=0, frame=0)
        assert other.shoot("a fox runs", chunks=1)
        assert flooding.closed() == 4009
        assert "slow down" in flooding.events[-1]["message"]


def test_one_viewer_too_many_is_told_so(library, model) -> None:
    with serving(library, model, limits=Limits(viewers=1)) as server:
        first = server.watch()
        with pytest.raises(ConnectionClosed) as closed:
            server.watch()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4010
        assert "come later" in closed.value.rcvd.reason
        first.__exit__()
        until(lambda: server.studio.viewers == 0)
        with server.watch():
            assert server.studio.viewers == 1


def test_a_message_that_is_too_long_ends_the_socket(server: Server) -> None:
    with server.watch() as viewer:
        viewer.say(type="shoot", id="1", prompt="x" * 70_000)
        assert viewer.closed() == 1009


def test_a_refusal_says_why(server: Server) -> None:
    with server.watch() as viewer:
        answers = [
            viewer.direct("shoot", prompt="x" * 2001),
            viewer.direct("shoot", prompt="a fox", seconds=61.0),
            viewer.direct("redirect", prompt="a fox"),
            viewer.direct("retake", shot=3),
            viewer.direct("reference", upload="nothing"),
        ]
    assert [answer["code"] for answer in answers] == [
        "too_long",
        "limit",
        "not_now",
        "not_found",
        "not_found",
    ]
    assert all(len(answer["message"].split()) > 3 for answer in answers)


def test_who_vanishes_is_forgotten(server: Server) -> None:
    viewer = server.watch()
    until(lambda: viewer.story in server.studio._channels)
    viewer.socket.socket.close()
    until(lambda: viewer.story not in server.studio._channels)


def test_who_falls_silent_is_let_go(library, model) -> None:
    """An open connection that answers nothing, not even the pings that browsers answer by themselves."""
    hello = b'{"type": "hello", "protocol": 1}'
    lines = ["GET /api/live HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""]
    with (
        serving(library, model, ws_ping_interval=0.5, ws_ping_timeout=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as connection,
    ):
        connection.sendall("\r\n".join(lines).encode())
        assert b" 101 " in connection.recv(1000)
        connection.sendall(bytes([0x81, 0x80 | len(hello)]) + bytes(4) + hello)
        until(lambda: server.studio._channels)
        until(lambda: not server.studio._channels)


def test_a_shot_that_was_left_goes_on_when_somebody_watches(library, model) -> None:
    """Also after a restart: what was made, then the rest."""
    with serving(library, model) as server, server.watch(shows=False) as viewer:
        viewer.direct("shoot", prompt="a fox runs", chunks=6)
        while not viewer.newest(0):
            viewer.hear()
        story = viewer.story
    with serving(library, model) as server, server.watch(story) as viewer:
        frames = viewer.watch_shot(0)
        viewer.until("state", state="idle")
    assert [header.frame for header, _ in frames] == list(range(len(frames)))
    assert len(clips(frames)) == 6


def test_a_server_that_ends_says_so(library, model) -> None:
    with serving(library, model) as server:
        viewer = server.watch()
    assert viewer.closed() == 1012


def test_reconnecting_does_not_lose_or_double_anything(server: Server) -> None:
    """Whatever a viewer has when its connection breaks, the next one brings the rest."""
    with server.watch() as viewer:
        viewer.direct("shoot", prompt="a fox runs", chunks=5)
        while len(clips(viewer.newest(0))) < 3:
            viewer.hear()
        had = clips(viewer.newest(0))[:2]  # the third may lack its end
    with server.watch(viewer.story, after={"shot": 0, "take": 0, "chunk": 1}) as again:
        rest = again.watch_shot(0)
    frames = [header.frame for clip in had for header, _ in clip] + [header.frame for header, _ in rest]
    assert frames == list(range(len(frames)))


def test_another_page_may_not_listen(server: Server) -> None:
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
        with connect(server.live, origin=origin) as live:  # type: ignore[arg-type]
            with pytest.raises(ConnectionClosed):
                live.recv(10)
            assert live.close_code == 4403
    with server.watch(origin=f"http://127.0.0.1:{server.port}") as own:
        assert own.welcome["type"] == "welcome"
