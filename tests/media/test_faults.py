"""What pydantic finds wrong is said in plain words, with what to write."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shotstream.media.faults import say_fault, say_faults, say_no_json

pytestmark = pytest.mark.unit


class Cut(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["cut"] = "cut"
    prompt: Annotated[str, Field(min_length=1, max_length=9)]
    seed: Annotated[int, Field(ge=0, lt=100)] = 0
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    size: Annotated[str, Field(pattern="^[0-9]+x[0-9]+$")] = "1x1"
    shots: list[Cut] = []


class Stop(BaseModel):
    type: Literal["stop"] = "stop"


MESSAGE = TypeAdapter(Annotated[Cut | Stop, Field(discriminator="type")])
PYDANTIC_WORDS = (
    "Input",
    "Field",
    "Value error",
    "Extra",
    "String",
    "valid ",
    "permitted",
    "tag ",
    "JSON decode",
)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "prompt is missing; add it"),
        ({"promt": "a"}, "promt is unknown; did you mean 'prompt'?"),
        ({"prompt": "a", "colour": "red"}, "colour is unknown; leave it out"),
        ({"prompt": 5}, "prompt is 5, but should be text; put it in quotes"),
        ({"prompt": ""}, "prompt is empty; write something into it"),
        ({"prompt": "a" * 10}, "prompt is 'aaaaaaaaaa', but should have at most 9 characters"),
        ({"prompt": "a", "seed": "7"}, "seed is '7', but should be a whole number, for example seed: 7"),
        ({"prompt": "a", "seed": 1.5}, "seed is 1.5, but should be a whole number, for example seed: 7"),
        ({"prompt": "a", "seed": 100}, "seed is 100, but should be less than 100, for example seed: 7"),
        (
            {"prompt": "a", "seconds": "1:30"},
            "seconds is '1:30', but should be a number; in seconds that is seconds: 90",
        ),
        ({"prompt": "a", "size": "big"}, "size is 'big', but should be WIDTHxHEIGHT, such as 192x128"),
        ({"prompt": "a", "shots": [5]}, "shots.0 is 5, but should be a prompt, or a mapping with one"),
        ({"prompt": "a", "shots": 5}, "shots is 5, but should be a list"),
    ],
)
def test_a_field_is_named_with_what_it_is_and_should_be(fields, sentence):
    with pytest.raises(ValidationError) as caught:
        Cut.model_validate(fields)
    assert say_faults(caught.value.errors()) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "what was sent has no type; add one"),
        ('{"type": "sing"}', "type is 'sing', but should be one of 'cut', 'stop'"),
        ("5", "what was sent is 5, but"),
        ("", "nothing was sent, where JSON is expected"),
        ('{"type": "cut"', "this is no JSON: line 1: the file ends in the middle"),
        ('{"type": "cut",\n"prompt" "a"}', "this is no JSON: line 2: a colon is missing behind the key"),
        (
            '{"type": "cut", "prompt": "\\ud800"}',
            r"\ud800 is half of a character; write the character itself",
        ),
    ],
)
@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_message_that_is_none_is_told_why(text, sentence, kind):
    with pytest.raises(ValidationError) as caught:
        MESSAGE.validate_json(kind(text))
    said = say_faults(caught.value.errors())
    assert sentence in said
    assert not any(word in said for word in PYDANTIC_WORDS)


def test_bytes_that_are_no_text_are_told():
    assert "it is not UTF-8" in say_no_json(b"\xff\xfe")


def test_a_kind_that_is_not_known_is_told_in_pydantic_s_words():
    fault = {"type": "new_kind", "loc": ("a",), "msg": "Input should be better", "input": 1}
    assert say_fault(fault) == "a is 1, but should be better"
