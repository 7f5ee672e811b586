"""Captions of an endpoint: a real server, that fails in the ways servers do."""

import json

import numpy as np
import pytest

from shotstream.data.films.artefacts import Artefacts
from shotstream.data.films.captioning import CaptionError, caption_stories
from shotstream.data.films.endpoint import EndpointCaptioner, read_answer
from shotstream.data.films.inputs import read_inputs
from shotstream.data.films.prepare import prepare
from shotstream.data.films.settings import EndpointSettings, FilmSettings
from shotstream.data.shards import Shards
from tests.chat_server import ChatServer, told

from .drawn_films import write_film

pytestmark = pytest.mark.unit

GOOD = {"setting": "A cat on a beach.", "shots": ["It waves.", "It sits."]}
SHOTS = [[np.zeros((8, 16, 3), np.uint8)] * 3] * 2


@pytest.fixture
def server():
    server = ChatServer()
    yield server
    server.close()


def captioner(server, sleeps=None, **settings):
    values = {"url": server.url, "model": "seeing", "input_price": 2, "output_price": 10, **settings}
    return EndpointCaptioner(EndpointSettings(**values), ([] if sleeps is None else sleeps).append)


def test_a_story_is_captioned_and_billed(server, monkeypatch):
    monkeypatch.setenv("SHOTSTREAM_CAPTION_KEY", "secret")
    server.answers = [told(f"Of course:\n```json\n{json.dumps(GOOD)}\n```")]
    asking = captioner(server)
    made = asking.caption(SHOTS)
    assert (made.setting, made.shots) == ("A cat on a beach.", ("It waves.", "It sits."))
    path, key, body = server.requests[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "seeing")
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["text", *["image_url"] * 6]
    assert asking.bill == "captions: 1 requests, 1000 tokens in, 100 out, cost 0.00"
    assert asking.cost == pytest.approx(0.003)


def test_it_tries_again_after_what_may_pass(server):
    server.answers = [(429, "", {"Retry-After": "7"}), (503, "", {}), told("no JSON"), told(GOOD)]
    sleeps = []
    assert captioner(server, sleeps).caption(SHOTS).shots == ("It waves.", "It sits.")
    assert sleeps == [7, 2, 4]


def test_it_gives_up_in_a_sentence(server):
    server.answers = [told({**GOOD, "shots": ["only one"]})]
    with pytest.raises(CaptionError, match="captioned no story in 3 tries: it answered"):
        captioner(server, tries=3).caption(SHOTS)
    assert len(server.requests) == 3
    server.answers = [(401, "no such key", {})]
    with pytest.raises(CaptionError, match="status 401: no such key"):
        captioner(server).caption(SHOTS)
    server.close()
    with pytest.raises(CaptionError, match="ConnectError"):
        captioner(server, tries=2).caption(SHOTS)


def test_limits_hold(server):
    server.answers = [told(GOOD)]
    asking = captioner(server, most_requests=2)
    asking.caption(SHOTS), asking.caption(SHOTS)
    with pytest.raises(CaptionError, match="most_requests=2"):
        asking.caption(SHOTS)
    asking = captioner(server, most_cost=0.005)
    asking.caption(SHOTS), asking.caption(SHOTS)
    with pytest.raises(CaptionError, match=r"most_cost=0\.005 .* after 2 requests"):
        asking.caption(SHOTS)
    sleeps = []
    asking = captioner(server, sleeps, requests_per_minute=6)
    asking.caption(SHOTS), asking.caption(SHOTS)
    assert sleeps == [pytest.approx(10, abs=1)]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"setting": "", "shots": ["a", "b"]}', '{"setting": "a", "shots": 3}']
)
def test_answers_that_will_not_do(text):
    assert read_answer(text, 2) is None


def test_a_story_that_gets_no_answer_is_left_out_and_the_others_go_on(server, model, tmp_path):
    films = [write_film(tmp_path, seed, "uncaptioned").path for seed in (1, 2, 3)]
    good = told({"setting": "A story.", "shots": list("abcd")})
    server.answers = [good, told("I cannot say."), told("Sorry."), good]
    asking = captioner(server, tries=2)
    summary = prepare(read_inputs(films), tmp_path / "shards", model, FilmSettings(), captioner=asking)
    assert (asking.asked, asking.answers, summary.captioned) == (4, 2, 2)
    assert summary.rejected == {"uncaptioned": 4}


def test_nobody_is_asked_for_ever_who_never_answers(server, model, tmp_path):
    films = [write_film(tmp_path, seed, "uncaptioned").path for seed in (1, 2, 3, 4)]
    server.answers = [told("I am another kind of model.")]
    asking = captioner(server, tries=2)
    with pytest.raises(CaptionError, match="I am another kind of model"):
        prepare(read_inputs(films), tmp_path / "shards", model, FilmSettings(), captioner=asking)
    assert asking.asked == 6


def test_silent_films_get_captions_once(server, model, tmp_path):
    film = write_film(tmp_path, 1, "uncaptioned")
    server.answers = [told({"setting": "A story.", "shots": list("abcd")})]
    for count in (1, 0):
        asking = captioner(server)
        summary = prepare(
            read_inputs([film.path]), tmp_path / "shards", model, FilmSettings(), captioner=asking
        )
        assert asking.requests == count
        assert summary.rejected == {}
    record = Shards(tmp_path / "shards" / "train").records[0]
    assert (record["setting"], record["prompts"]) == ("A story.", ["a", "b", "c", "d"])
    assert list(caption_stories([], asking, Artefacts(tmp_path))) == []
