"""Where a chunk looked, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.serving.web.asking import begin
from tests.serving.web.conftest import Server

pytestmark = pytest.mark.system


def test_where_a_chunk_looked_is_measured_when_it_is_asked_for(server: Server, client: httpx.Client) -> None:
    with server.watch() as viewer:
        viewer.shoot("a fox runs", chunks=1)
        viewer.shoot("the fox sleeps", chunks=2)
        read = client.get(f"/api/stories/{viewer.story}/attention").raise_for_status().json()
        assert (read["shot"], read["take"], read["chunk"]) == (1, 0, 1)
        assert {frame["shot"] for frame in read["frames"]} == {0}
        shares = [*(frame["share"] for frame in read["frames"]), read["own_share"]]
        assert sum(shares) == pytest.approx(1)
        assert all(len(frame["layers"]) == len(read["own_layers"]) for frame in read["frames"])
        first = client.get(f"/api/stories/{viewer.story}/attention", params={"chunk": 0})
        assert first.raise_for_status().json()["chunk"] == 0
        late = client.get(f"/api/stories/{viewer.story}/attention", params={"chunk": 9})
        assert late.status_code == 409
        assert "of this shot chunks 0 to 1 are in the window" in late.json()["detail"]


def test_a_story_without_a_shot_looks_nowhere(client: httpx.Client) -> None:
    story = begin(client)
    said = client.get(f"/api/stories/{story}/attention")
    assert (said.status_code, "no shot is running" in said.json()["detail"]) == (409, True)
    assert client.get("/api/stories/nothingthere/attention").status_code == 404
