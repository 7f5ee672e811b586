"""`/v1/videos`: the openai package makes a film here, and what it may not do is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from shotstream.media.pictures import encode_png
from shotstream.serving.protocol.commands import Shoot
from shotstream.serving.protocol.events import Limits
from shotstream.serving.quotas import Quotas
from shotstream.serving.studio import Studio
from shotstream.serving.web import security
from shotstream.serving.web.access import Access
from tests.serving.conftest import Library
from tests.serving.web.conftest import Server, frames_of, serving
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore:The Sora API")]

TOKEN = "a-token-nobody-knows"
SHOTS = [{"prompt": "the fox runs", "seconds": 0.5}, {"prompt": "the fox sleeps", "seconds": 0.5}]


@pytest.fixture(scope="module")
def guarded(model, tmp_path_factory) -> Iterator[Server]:
    """A studio with a token, as at an address that others can reach."""
    with (
        Library(tmp_path_factory.mktemp("videos")) as library,
        serving(library, model, Access(TOKEN, rates=False), Limits(open_stories=64)) as server,
    ):
        yield server


def openai_client(server: Server, token: str = TOKEN) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=token, max_retries=0)


@pytest.fixture(scope="module")
def api(guarded: Server) -> Iterator[openai.OpenAI]:
    with openai_client(guarded) as client:
        yield client


def test_the_openai_package_makes_a_film_of_two_shots(api: openai.OpenAI) -> None:
    extension = {"shots": SHOTS, "seed": 7, "title": "The fox"}
    video = api.videos.create(prompt="a red fox in the snow", extra_body=extension)
    assert (video.object, video.model, video.size) == ("video", "tiny 000000000000", "32x16")
    video = api.videos.poll(video.id, poll_interval_ms=20)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert (video.prompt, video.model_extra["title"]) == ("a red fox in the snow", "The fox")
    assert [shot["prompt"] for shot in video.model_extra["shots"]] == ["the fox runs", "the fox sleeps"]
    assert video.completed_at >= video.created_at
    film = frames_of(api.videos.download_content(video.id).read())
    assert len(film) == float(video.seconds) * 8 >= 8
    thumbnail = api.videos.download_content(video.id, variant="thumbnail").read()
    assert Image.open(BytesIO(thumbnail)).size == (32, 16)


def test_the_same_seed_makes_the_same_film_as_a_story_file(api: openai.OpenAI, guarded: Server) -> None:
    shots = json.dumps(SHOTS)
    video = api.videos.create(prompt="a red fox", extra_body={"shots": shots, "seed": 3})
    assert api.videos.poll(video.id, poll_interval_ms=20).status == "completed"
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        script = {"setting": "a red fox", "seed": 3, "shots": SHOTS}
        told = client.post("/api/films", json=script).raise_for_status().content
    assert np.array_equal(frames_of(told), frames_of(api.videos.download_content(video.id).read()))


def test_a_bare_prompt_is_one_shot_and_an_async_client_makes_it(guarded: Server) -> None:
    async def make() -> tuple[openai.types.Video, openai.types.VideoDeleteResponse]:
        async with openai.AsyncOpenAI(base_url=f"{guarded.url}/v1", api_key=TOKEN) as client:
            video = await client.videos.create_and_poll(
                prompt="a cat runs", seconds="4", model="tiny", poll_interval_ms=20
            )
            return video, await client.videos.delete(video.id)

    video, deleted = asyncio.run(make())
    assert (video.status, video.prompt) == ("completed", "a cat runs")
    assert float(video.seconds) >= 4
    assert (deleted.id, deleted.deleted) == (video.id, True)
    with openai_client(guarded) as client, pytest.raises(openai.NotFoundError, match="put away"):
        client.videos.retrieve(video.id)


def test_videos_are_listed_in_pages_both_ways(api: openai.OpenAI) -> None:
    made = [api.videos.create(prompt="a cat", seconds="1").id for _ in range(3)]
    for video in made:
        api.videos.poll(video, poll_interval_ms=20)
    newest = [video.id for video in api.videos.list(limit=2)]  # it asks for all pages
    oldest = [video.id for video in api.videos.list(limit=2, order="asc")]
    assert set(made) <= set(newest)
    assert newest == oldest[::-1]
    assert len(newest) == len(set(newest))


@pytest.mark.parametrize("how", ["file", "file_id", "data"])
def test_a_picture_is_what_shots_are_made_from(api: openai.OpenAI, guarded: Server, how: str) -> None:
    picture = encode_png(np.full((16, 32, 3), 90, np.uint8))
    given = {"file": ("cat.png", picture, "image/png")}
    if how == "file_id":
        with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
            given[how] = {"file_id": client.post("/api/uploads", content=picture).json()["upload"]}
    given["data"] = {"image_url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}
    sent = (
        {"input_reference": given[how]} if how == "file" else {"extra_body": {"input_reference": given[how]}}
    )
    video = api.videos.create(prompt="a cat", seconds="1", **sent)
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        memory = client.get(f"/api/stories/{video.id}").json()["snapshot"]["memory"]["frames"]
    assert [frame["source"] for frame in memory].count("reference") == 1


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"size": "1280x720"}, 422, "the studio makes 32x16"),
        ({"model": "sora-2"}, 404, "the studio has the model 'tiny 000000000000'"),
        (
            {"shots": [{"prompt": "a"}, {"prompt": "b", "seconds": 1}]},
            422,
            "some shots have fields that others",
        ),
        ({"shots": "[1"}, 422, "shots should be a list, or the JSON text of one; this is no JSON"),
        ({"shots": [{"prompt": "a", "chunks": 1}]}, 422, "shots.0.chunks"),
        ({"seconds": "1e9"}, 422, "seconds"),
        ({"other": 1}, 422, "other is unknown; leave it out"),
        ({"input_reference": {"image_url": "http://127.0.0.1:1/cat.png"}}, 422, "nothing is fetched"),
        ({"input_reference": {"file_id": "nothing"}}, 404, "there is no picture"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    api: openai.OpenAI, fields: dict, status: int, said: str
) -> None:
    before = {video.id for video in api.videos.list()}
    with pytest.raises(openai.APIStatusError) as refused:
        api.videos.create(prompt="a cat", extra_body=fields)
    assert refused.value.status_code == status, refused.value
    assert said in refused.value.message
    assert {video.id for video in api.videos.list()} == before, "what was refused leaves nothing"


def test_a_form_that_is_none_is_refused(guarded: Server) -> None:
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for kind in ("multipart/form-data", "multipart/form-data; boundary=a", "application/json"):
            answer = client.post("/v1/videos", content=b"prompt", headers={"content-type": kind})
            assert (answer.status_code, len(answer.json()["detail"]) > 10) == (422, True)
        twice = {"prompt": ["a cat", "a fox"]}
        answer = client.post("/v1/videos", data=twice, files={"input_reference": b""})
        assert (answer.status_code, answer.json()["detail"]) == (422, "prompt is there twice; send it once")


def test_without_the_token_there_are_no_videos(guarded: Server) -> None:
    with openai_client(guarded, "guessed") as client:
        for ask in (
            lambda: client.videos.list(),
            lambda: client.videos.create(prompt="a cat"),
            lambda: client.videos.delete("abcdefghijkl"),
        ):
            with pytest.raises(openai.AuthenticationError, match="a token is needed"):
                ask()


def test_a_page_elsewhere_makes_no_videos(guarded: Server) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "https://evil.example"}
    assert (
        httpx.post(f"{guarded.url}/v1/videos", json={"prompt": "a cat"}, headers=headers).status_code == 403
    )


def test_rates_bodies_and_quotas_are_those_of_the_studio(model, library: Library, monkeypatch) -> None:
    monkeypatch.setattr(security, "WRITES_PER_SECOND", 0.001)
    monkeypatch.setattr(security, "WRITES_AT_ONCE", 3)
    with serving(library, model, Access(TOKEN), Limits(upload_bytes=1000)) as server:
        server.studio.quotas._quotas = Quotas(stories=1)
        with openai_client(server) as client:
            assert client.videos.create(prompt="a cat", seconds="1").id
            with pytest.raises(openai.ConflictError, match="the library has 1 stories"):
                client.videos.create(prompt="a cat", seconds="1")
            with pytest.raises(openai.APIStatusError) as large:
                client.videos.create(prompt="a cat", input_reference=b"x" * 70_000)
            assert large.value.status_code == 413
            with pytest.raises(openai.RateLimitError, match="too often"):
                client.videos.create(prompt="a cat")


def test_what_is_not_there_yet_is_said(guarded: Server, api: openai.OpenAI) -> None:
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        story = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
        with pytest.raises(openai.NotFoundError, match="no shots yet"):
            api.videos.retrieve(story)
        client.post(f"/api/stories/{story}/commands", json={"type": "pause", "id": "1"})
        shoot = {"type": "shoot", "id": "2", "prompt": "a fox"}
        client.post(f"/api/stories/{story}/commands", json=shoot).raise_for_status()
    assert api.videos.retrieve(story).status == "queued"
    with pytest.raises(openai.ConflictError, match="the video is queued"):
        api.videos.download_content(story)


def test_a_video_that_a_restart_interrupted_goes_on(model, library: Library) -> None:
    """The first studio waits for a viewer who never comes; the second one is asked how far it is."""

    async def begin() -> str:
        studio = Studio(library, model)
        await studio.start()
        story = await studio.begin("", 0)
        await studio.direct(story, Shoot(id="1", prompt="a fox runs", seconds=6.0))
        await eventually(lambda: library.load(story).chunks)
        await studio.close()
        return story

    video = asyncio.run(begin())
    made = len(library.load(video).chunks)
    with serving(library, model) as server, openai_client(server) as client:
        assert client.videos.retrieve(video).status == "in_progress"
        assert client.videos.poll(video, poll_interval_ms=50).status == "completed"
    assert len(library.load(video).chunks) > made
