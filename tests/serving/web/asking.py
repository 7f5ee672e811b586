"""What a client asks of a story over HTTP."""

from __future__ import annotations

import httpx


def begin(client: httpx.Client, setting: str = "a fox") -> str:
    return client.post("/api/stories", json={"setting": setting}).raise_for_status().json()["story"]


def cards(client: httpx.Client, story: str) -> list[dict]:
    return client.get(f"/api/stories/{story}").json()["snapshot"]["shots"]


def fetch(client: httpx.Client, told: str, path: str) -> httpx.Response:
    answer = client.get(f"/api/stories/{told}/{path}").raise_for_status()
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer
