"""An endpoint adapts prompts; where it fails, the rules do, and it is said why."""

from __future__ import annotations

import json
import logging

import pytest

from shotstream.prompts.adapter import PromptAdapter, open_endpoint
from shotstream.prompts.prompt_form import PromptForm
from shotstream.prompts.reading import CastMember
from tests.chat_server import ChatServer, told

pytestmark = pytest.mark.unit

ROBOT = "A blue robot is in a forest at night."
WRITTEN = ["our robot is dancing, seen from far away"]
RULED = "Wide shot of the blue robot dancing."


def adapter(form: PromptForm | None, chat: ChatServer, sleeps: list[float] | None = None) -> PromptAdapter:
    return PromptAdapter(form, open_endpoint(chat.url, "words", ([] if sleeps is None else sleeps).append))


def test_an_endpoint_is_asked_with_story_and_form(form: PromptForm, chat: ChatServer, monkeypatch) -> None:
    monkeypatch.setenv("SHOTSTREAM_ADAPTER_KEY", "secret")
    chat.answers = [told({"prompts": ["Wide shot of the blue robot dancing happily."]})]
    made = adapter(form, chat).adapt(ROBOT, [CastMember(name="Rob", description="a blue robot")], WRITTEN)
    assert (made.by, made.problem) == ("endpoint", None)
    assert made.prompts[0].prompt == "Wide shot of the blue robot dancing happily."
    path, key, body = chat.requests[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "words")
    system, user = (message["content"] for message in body["messages"])
    assert "umbrella" in system
    assert "JSON only" in system
    assert json.loads(user) == {"setting": ROBOT, "cast": {"Rob": "a blue robot"}, "shots": WRITTEN}


def test_it_is_asked_again_until_it_answers_in_the_models_words(form: PromptForm, chat: ChatServer) -> None:
    chat.answers = [
        (429, "", {"Retry-After": "7"}),
        told({"prompts": ["The zebra dances."]}),
        told({"prompts": ["The robot dances."]}),
    ]
    sleeps: list[float] = []
    made = adapter(form, chat, sleeps).adapt(ROBOT, [], WRITTEN)
    assert (made.by, made.prompts[0].prompt, sleeps) == ("endpoint", "The robot dances.", [7, 2])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (told("I would rather not."), "in 3 tries: it answered 'I would rather not.', which is not the JSON"),
        (told({"prompts": ["one", "two"]}), "which is not the JSON that was asked for"),
        ((503, "", {}), "in 3 tries: status 503"),
        (
            (401, "no such key: secret", {}),
            "refuses the request (status 401: no such key: ...); check its address",
        ),
        ((200, "<html>", {}), "it sent '<html>'"),
    ],
)
def test_the_rules_do_it_where_it_fails(
    form: PromptForm, chat: ChatServer, answer, why: str, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("SHOTSTREAM_ADAPTER_KEY", "secret")
    chat.answers = [answer]
    with caplog.at_level(logging.DEBUG):
        made = adapter(form, chat).adapt(ROBOT, [], WRITTEN)
    assert (made.by, made.prompts[0].prompt) == ("rules", RULED)
    assert made.problem
    assert why in made.problem
    assert made.problem.endswith("The rules did it instead.")
    assert "secret" not in made.problem + caplog.text


def test_an_endpoint_that_is_not_there(form: PromptForm, chat: ChatServer) -> None:
    asking = adapter(form, chat)
    chat.close()
    made = asking.adapt(ROBOT, [], WRITTEN)
    assert made.prompts[0].prompt == RULED
    assert made.problem
    assert "ConnectError" in made.problem


def test_who_adapts(form: PromptForm, chat: ChatServer) -> None:
    assert (PromptAdapter(form).by, PromptAdapter(None).by) == ("rules", None)
    asking = adapter(None, chat)
    chat.answers = [told({"prompts": ["A robot dances at night, wide."]})]
    assert (asking.by, asking.adapt(ROBOT, [], WRITTEN).prompts[0].prompt) == (
        "endpoint",
        "A robot dances at night, wide.",
    )
    assert asking.adapt(ROBOT, [], []).prompts == ()


@pytest.mark.parametrize(
    ("url", "model", "why"),
    [
        ("http://a", None, "go together"),
        (None, "words", "go together"),
        ("localhost:8000", "words", "'localhost:8000', which is no address; give for example"),
    ],
)
def test_what_names_no_endpoint(url: str | None, model: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        open_endpoint(url, model)
    assert open_endpoint(None, None) is None
