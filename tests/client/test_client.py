"""A story told in a studio by our own client: as arrays, waiting or not; and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from shotstream.client import AsyncClient, Client, StudioError
from shotstream.client.address import Address
from shotstream.serving.protocol.events import Limits
from shotstream.serving.protocol.messages import ProtocolError
from shotstream.serving.web.access import Access
from tests.serving.conftest import Library
from tests.serving.web.conftest import Server, frames_of, library, model, server, serving  # noqa: F401
from tests.waiting import until

pytestmark = pytest.mark.system


def test_the_frames_of_a_shot_are_those_of_its_film(server: Server) -> None:  # noqa: F811
    with Client(server.url) as studio, studio.begin("a red fox in the snow", seed=7) as story:
        clips = list(story.shoot("the fox runs", seconds=2))
        frames = np.concatenate([clip.frames for clip in clips])
        assert (frames.dtype, frames.shape[1:], story.fps) == (np.uint8, (16, 32, 3), 8.0)
        assert [clip.first_frame for clip in clips[1:]] == [clip.end_frame for clip in clips[:-1]]
        assert [clip.last for clip in clips] == [False] * (len(clips) - 1) + [True]
        assert [(card.state, card.frames) for card in story.shots] == [("done", len(frames))]
        assert np.array_equal(frames, frames_of(story.film()))
        assert story.id in [entry["story"] for entry in studio.stories()]


def test_a_shot_is_redirected_and_cut_while_it_is_watched(server: Server) -> None:  # noqa: F811
    with Client(server.url) as studio, studio.begin("a fox") as story:
        for number, _ in enumerate(story.shoot("the fox runs", seconds=30)):
            if number == 0:
                story.redirect("the fox sleeps")
            if number == 2:
                story.cut()
        (card,) = story.shots
        assert [prompt for _, prompt in card.prompts] == ["the fox runs", "the fox sleeps"]
        assert 3 <= card.chunks < 20
        assert sum(len(clip.units) for clip in story.retake(0, seed=9)) == card.frames
        assert story.shots[0].take == 1


def test_the_same_with_asyncio_and_into_a_file(server: Server, tmp_path) -> None:  # noqa: F811
    async def tell() -> tuple[list, bytes, str]:
        async with AsyncClient(server.url) as studio, studio.begin("a fox", seed=1) as story:
            frames = [clip.frames async for clip in story.shoot("the fox runs", seconds=1)]
            frames += [clip.frames async for clip in story.shoot("the fox sleeps", seconds=1)]
            return frames, await story.film(), story.id

    frames, film, story = asyncio.run(tell())
    assert np.array_equal(np.concatenate(frames), frames_of(film))
    with Client(server.url) as studio, studio.open(story) as opened:
        opened.save_film(tmp_path / "film.mp4")
        assert [card.prompt for card in opened.shots] == ["the fox runs", "the fox sleeps"]
    assert (tmp_path / "film.mp4").read_bytes() == film


def test_what_is_refused_is_an_error_with_its_sentence(server: Server) -> None:  # noqa: F811
    with Client(server.url) as studio, studio.begin("a fox") as story:
        with pytest.raises(StudioError, match="no shot") as refused:
            story.cut()
        assert refused.value.code == "not_now"
        with pytest.raises(StudioError) as nothing:
            story.film()
        assert nothing.value.code == 409
        with pytest.raises(ProtocolError, match="fly"):
            story.direct("fly")
        with pytest.raises(StudioError) as closed, studio.open("000000000000"):
            pass
        assert "no story" in str(closed.value)
    with pytest.raises(ValueError, match="begin it with http"):
        Client("127.0.0.1:8000")


def test_the_token_goes_with_every_request(library: Library, model) -> None:  # noqa: F811
    with serving(library, model, Access("a-token", rates=False)) as guarded:
        with Client(guarded.url, "a-token") as studio, studio.begin("a fox") as story:
            assert len(list(story.shoot("the fox runs", seconds=1)))
        with Client(guarded.url, "guessed") as studio:
            with pytest.raises(StudioError, match="a token is needed"):
                studio.stories()
            with pytest.raises(StudioError), studio.open(story.id):
                pass


def test_the_address_of_the_socket() -> None:
    assert Address("https://studio.example.org/film/").live == "wss://studio.example.org/film/api/live"


def test_it_loads_neither_torch_nor_the_server() -> None:
    code = "import sys, shotstream.client; print({'torch', 'fastapi', 'sqlalchemy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_events_come_without_a_socket(server: Server) -> None:  # noqa: F811
    """Said over HTTP, heard as server-sent events, and the clip that was told of is fetched."""
    with server.client() as client:
        story = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
        told, clips = [], []
        with client.stream("GET", f"/api/stories/{story}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    told.append(line.removeprefix("event: "))
                if not line.startswith("data: "):
                    continue
                said = json.loads(line.removeprefix("data: "))
                assert said["type"] == told[-1]
                if said["type"] == "welcome":
                    shoot = {"type": "shoot", "id": "1", "prompt": "a fox runs", "chunks": 2}
                    httpx.post(f"{server.url}/api/stories/{story}/commands", json=shoot).raise_for_status()
                if said["type"] == "clip":
                    clips.append(said)
                    if said["last"]:
                        break
        assert told[0] == "welcome"
        assert {"shot", "state"} <= set(told)
        film = client.get(f"/api/stories/{story}/clips/0/0.mp4").content
        assert len(frames_of(film)) == sum(clip["frames"] for clip in clips)
        assert client.get("/api/stories/000000000000/events").status_code == 404
        assert client.head(f"/api/stories/{story}/events").status_code == 200
    until(lambda: server.metric("shotstream_viewers") == 0)


def test_who_listens_to_events_counts_as_a_viewer(library: Library, model) -> None:  # noqa: F811
    with serving(library, model, limits=Limits(viewers=1)) as server, server.client() as client:  # noqa: F811
        story = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
        with client.stream("GET", f"/api/stories/{story}/events") as stream:
            lines = stream.iter_lines()  # kept: a generator that goes ends the connection
            assert next(lines) == "event: welcome"
            refused = httpx.get(f"{server.url}/api/stories/{story}/events")
            assert (refused.status_code, refused.json()["code"]) == (409, "limit")


PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore:The Sora API")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_page_runs(server: Server, number: int, capsys) -> None:  # noqa: F811
    assert "http://127.0.0.1:8000" in EXAMPLES[number]
    names: dict = {}
    exec(EXAMPLES[number].replace("http://127.0.0.1:8000", server.url), names)
    assert capsys.readouterr().out
    assert "film" not in names or len(frames_of(names["film"])) > 8


def test_the_page_has_an_example_of_every_client() -> None:
    said = ("shotstream.client import Client", "shotstream.client import AsyncClient", "openai import OpenAI")
    assert [sum(words in code for code in EXAMPLES) for words in said] == [1, 1, 1]
