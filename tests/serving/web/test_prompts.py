"""What is written is looked at over HTTP."""

from __future__ import annotations

import httpx
import pytest

from shotstream.prompts.adapter import PromptAdapter
from shotstream.serving.web.bodies import PromptsWritten
from shotstream.serving.web.prompts import read_written
from shotstream.world.world_form import world_form

pytestmark = pytest.mark.unit

ROBOT = "A blue robot is in a forest at night."
ROSIE = {"name": "Rosie", "description": "a little red fox with a bow"}
RULES = PromptAdapter(world_form())


def asked(**body) -> dict:
    written = PromptsWritten.model_validate({"setting": ROBOT} | body)
    return read_written(RULES, written).model_dump(mode="json")


def test_what_is_written_and_what_the_model_gets() -> None:
    answer = asked(cast=[ROSIE], prompts=["it is dancing, seen from afar", "The robot dances."])
    first, second = answer["prompts"]
    assert first["adapted"] == {
        "prompt": "Wide shot of the blue robot dancing.",
        "notes": [],
        "marks": [],
    }
    assert [mark["code"] for mark in first["marks"]] == ["nobody", "unknown"]
    assert (second["adapted"], second["marks"]) == (None, [])
    assert (answer["by"], answer["problem"]) == ("rules", None)
    told = "A blue robot and a red fox wearing a bow are in a forest at night."
    assert answer["setting"]["adapted"]["prompt"] == told


def test_marks_alone() -> None:
    answer = asked(prompts=["The bear dances far away."], adapt=False)
    assert answer["prompts"][0]["adapted"] is None
    assert [mark["code"] for mark in answer["prompts"][0]["marks"]] == ["stranger", "unknown"]
    assert answer["setting"]["adapted"] is None


def test_a_model_of_plain_text_puts_descriptions_in(client: httpx.Client) -> None:
    body = {"setting": ROBOT, "cast": [ROSIE], "prompts": ["Rosie runs.", "The fox runs."]}
    answer = client.post("/api/prompts", json=body).raise_for_status().json()
    first, second = answer["prompts"]
    assert first["adapted"]["prompt"] == "The little red fox with a bow runs."
    assert (second["adapted"], second["marks"]) == (None, [])
    assert client.get("/api/vocabulary").json()["adapter"] is None


def test_what_cannot_be_read(client: httpx.Client) -> None:
    answer = client.post("/api/prompts", json={"prompts": ["a"] * 201})
    assert answer.status_code == 422
    answer = client.post("/api/prompts", json={"cast": [{"name": ""}]})
    assert answer.status_code == 422
    assert "cast" in answer.json()["detail"]


def test_it_may_be_asked_while_one_writes(client: httpx.Client) -> None:
    for _ in range(70):
        client.post("/api/prompts", json={"prompts": ["The fox runs."]}).raise_for_status()


def test_an_imported_story_has_its_cast(client: httpx.Client) -> None:
    script = {
        "setting": "a fox",
        "cast": ["Bob", ROSIE | {"pictures": ["rosie.png"]}],
        "shots": ["the fox runs"],
    }
    began = client.post("/api/stories/import", json=script).raise_for_status().json()
    assert began["notes"] == [
        "story.json: pictures of the cast are on another machine; add them on the page."
    ]
    cast = client.get(f"/api/stories/{began['story']}").json()["snapshot"]["cast"]
    assert [(one["name"], one["description"]) for one in cast] == [
        ("Bob", ""),
        ("Rosie", ROSIE["description"]),
    ]
    read = client.post("/api/scripts", json=script).json()
    assert [one["name"] for one in read["cast"]] == ["Bob", "Rosie"]
