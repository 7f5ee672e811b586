"""Who has a link to watch sees that story, and can do nothing else."""

from __future__ import annotations

import httpx
import pytest

from shotstream.serving.web.access import Access
from tests.serving.conftest import Library
from tests.serving.web.conftest import serving
from tests.waiting import until

pytestmark = pytest.mark.system

TOKEN = "a-token-nobody-knows"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(model, tmp_path_factory):
    with (
        Library(tmp_path_factory.mktemp("watched")) as library,
        serving(library, model, Access(TOKEN, rates=False)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def told(guarded):
    """A story of one shot, and its links."""
    with guarded.watch(additional_headers=BEARER) as director:
        director.shoot("the fox runs", chunks=2)
        story = director.story
    links = httpx.get(f"{guarded.url}/api/stories/{story}/watch", headers=BEARER).json()
    return story, links


def test_a_link_opens_the_story_and_its_pictures(guarded, told):
    story, links = told
    read = httpx.get(guarded.url + links["story"]).json()
    assert (read["story"], read["snapshot"]["shots"][0]["prompt"]) == (story, "the fox runs")
    assert httpx.get(guarded.url + links["film"]).headers["content-type"] == "video/mp4"
    query = f"?watch={links['key']}"
    place = f"{guarded.url}/api/stories/{story}"
    assert httpx.get(f"{place}/clips/0/0.mp4{query}").status_code == 200
    assert httpx.get(f"{place}/live.mp4{query}&shot=0&take=0").status_code == 200
    with httpx.stream("GET", guarded.url + links["events"]) as events:
        lines = events.iter_lines()
        assert next(lines) == "event: welcome"
        assert httpx.get(guarded.url + links["story"]).json()["viewers"] == 1
    until(lambda: httpx.get(guarded.url + links["story"]).json()["viewers"] == 0)


def test_a_link_opens_nothing_else(guarded, told):
    story, links = told
    query = f"?watch={links['key']}"
    other = httpx.post(f"{guarded.url}/api/stories", json={"setting": "", "seed": 1}, headers=BEARER).json()
    for method, path in [
        ("GET", f"/api/stories/{other['story']}"),
        ("GET", f"/api/stories/{story}/watch"),
        ("GET", f"/api/stories/{story}/family"),
        ("GET", f"/api/stories/{story}/story.zip"),
        ("GET", "/api/stories"),
        ("GET", "/"),
        ("POST", "/api/stories"),
        ("POST", f"/api/stories/{story}/commands"),
        ("POST", f"/api/stories/{story}/playhead"),
        ("PATCH", f"/api/stories/{story}"),
        ("DELETE", f"/api/stories/{story}"),
        ("GET", "/api/live"),
    ]:
        assert httpx.request(method, guarded.url + path + query).status_code == 401, (method, path)
    for wrong in ("", "?watch=", "?watch=" + "0" * 64, f"?watch={links['key'][:-1]}"):
        assert httpx.get(f"{guarded.url}/api/stories/{story}{wrong}").status_code == 401


def test_a_studio_without_a_token_needs_no_links(server, told):
    answer = httpx.get(f"{server.url}/api/stories/{told[0]}/watch")
    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (409, "nobody needs a link")
