from __future__ import annotations

import threading

import httpx
import pytest

from shotstream import __version__
from shotstream.serving.served_model import ServedModel
from tests.serving.web.conftest import Server, serving
from tests.waiting import until

pytestmark = pytest.mark.system


def test_it_is_ready_when_the_model_is_warm(library, pipeline, monkeypatch) -> None:
    go = threading.Event()
    warm_up = ServedModel.warm_up
    monkeypatch.setattr(ServedModel, "warm_up", lambda model: (go.wait(10), warm_up(model)))
    with serving(library, ServedModel(pipeline, "tiny", "0" * 64), wait=False) as server:
        until(lambda: _alive(server))
        with server.client() as client:
            assert client.get("/healthz").text == "ok\n"
            early = client.get("/readyz")
            assert (early.status_code, "warmed up" in early.json()["detail"]) == (503, True)
            assert client.get("/api/stories").json() == [], "the library can be looked at already"
            go.set()
            until(lambda: client.get("/readyz").status_code == 200)


def test_a_model_that_is_broken_leaves_nobody_waiting(library, pipeline, monkeypatch, caplog) -> None:
    def broken(model: ServedModel) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(ServedModel, "warm_up", broken)
    with serving(library, ServedModel(pipeline, "tiny", "0" * 64), wait=False) as server:
        until(lambda: _alive(server))
        with server.client() as client:
            assert client.get("/readyz").status_code == 503
            answer = client.post("/api/stories", json={"setting": "a fox"}, timeout=5)
            assert (answer.status_code, answer.json()["code"]) == (409, "not_now")
    assert "cannot start" in caplog.text


def _alive(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_what_the_studio_is(client: httpx.Client) -> None:
    facts = client.get("/api/model").raise_for_status().json()
    assert facts["model"].startswith("tiny 0000")
    assert (facts["size"], facts["fps"], facts["chunk_seconds"]) == ([32, 16], 8.0, 1.0)
    assert facts["version"] == __version__
    assert facts["limits"]["open_stories"] == 64


def test_what_it_can_be_told(client: httpx.Client) -> None:
    known = client.get("/api/vocabulary").raise_for_status().json()
    assert "fox" in known["words"]
    assert known["prompts"]
    assert "fox" in known["names"]
    assert known["hero"] is None
    assert client.get("/api/vocabulary?setting=A red fox").json()["hero"] == "the fox"


def test_figures(server: Server, client: httpx.Client) -> None:
    before = server.metric("shotstream_chunk_seconds_count")
    with server.watch() as viewer:
        viewer.shoot(chunks=3)
        assert server.metric("shotstream_viewers") >= 1
        assert server.metric("shotstream_open_stories") >= 1
        viewer.until("shown")
    assert server.metric("shotstream_chunk_seconds_count") == before + 3
    assert server.metric("shotstream_prompt_to_glass_seconds_count") >= 1
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
