"""A story that was taken home as a zip comes back with its pictures and sounds."""

from __future__ import annotations

import zipfile
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.media.tones import tone
from tests.serving.web.asking import cards, fetch
from tests.serving.web.conftest import Server, frames_of
from tests.waiting import until

pytestmark = pytest.mark.system

ZIP = {"content-type": "application/zip"}


def png(colour: str) -> bytes:
    data = BytesIO()
    Image.new("RGB", (20, 20), colour).save(data, "PNG")
    return data.getvalue()


def direct(client: httpx.Client, story: str, kind: str, **fields) -> dict:
    command = {"type": kind, "id": f"{kind}-{fields}"[:64].encode("ascii", "replace").decode()} | fields
    return client.post(f"/api/stories/{story}/commands", json=command).raise_for_status().json()


def zipped(**files: bytes | str) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return data.getvalue()


@pytest.fixture
def told(client: httpx.Client) -> str:
    """Two shots; the second is made from a picture more. A cast with a picture, a sound."""
    story = client.post("/api/stories", json={"setting": "a fox", "title": "Red"}).json()["story"]
    first, second, third = (
        client.post("/api/uploads", content=png(colour)).json()["upload"]
        for colour in ("red", "blue", "green")
    )
    direct(client, story, "reference", upload=first, prompt="a red fox")
    direct(client, story, "shoot", prompt="the fox runs", chunks=1)
    until(lambda: [card["state"] for card in cards(client, story)] == ["done"])
    direct(client, story, "reference", upload=second)
    direct(client, story, "shoot", prompt="the fox sleeps", chunks=1, seed=8)
    until(lambda: [card["state"] for card in cards(client, story)] == ["done", "done"])
    direct(client, story, "cast", cast=[{"name": "Rosie", "pictures": [third]}])
    sound = client.post(f"/api/stories/{story}/sounds", content=tone(seconds=0.4)).json()["sound"]
    direct(client, story, "sound", sound=sound, offset_seconds=0.25, gain_db=-3.0)
    return story


def test_a_zip_becomes_the_same_story_with_its_pictures_and_sounds(client: httpx.Client, told: str) -> None:
    brought = fetch(client, told, "story.zip").content
    answer = client.post("/api/stories/import", content=brought, headers=ZIP)
    assert answer.status_code == 201, answer.text
    assert answer.json()["notes"] == []
    again = answer.json()["story"]
    until(lambda: [card["state"] for card in cards(client, again)] == ["done", "done"])
    before, after = (client.get(f"/api/stories/{story}").json() for story in (told, again))
    assert after["title"] == "Red"
    for part in ("setting", "seed", "sounds", "cast", "memory"):
        assert after["snapshot"][part] == before["snapshot"][part], part
    assert np.array_equal(
        frames_of(fetch(client, again, "film.mp4").content),
        frames_of(fetch(client, told, "film.mp4").content),
    )
    files = [zipfile.ZipFile(BytesIO(fetch(client, story, "story.zip").content)) for story in (told, again)]
    assert files[0].namelist() == files[1].namelist()
    for name in files[0].namelist():
        assert files[0].read(name) == files[1].read(name), name


STORY = "setting: a fox\nshots: [it runs]\n"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"fox_yaml": STORY}, "the zip has no story.yaml; export the story anew as story.zip"),
        ({"story_yaml": "setting: a fox\n"}, "story.yaml"),
        ({"story_yaml": f"{STORY}sounds: [rain.wav]\n"}, "the zip has no 'rain.wav', which its story names"),
        (
            {"story_yaml": f"{STORY}references: [../a.png]\n"},
            "the zip has no '../a.png', which its story names",
        ),
        ({"story_yaml": f"{STORY}references: [a.png]\n", "a_png": "x"}, "'a.png' in the zip: "),
        (
            {"story_yaml": f"{STORY}sounds: [rain.wav]\n", "rain_wav": "x"},
            "'rain.wav' in the zip: this is no sound",
        ),
    ],
)
def test_mistakes_get_a_sentence_and_leave_nothing(client: httpx.Client, files: dict, sentence: str) -> None:
    before = client.get("/api/stories").json()
    answer = client.post("/api/stories/import", content=zipped(**files), headers=ZIP)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert client.get("/api/stories").json() == before


def test_what_is_no_zip_or_too_large_is_refused(client: httpx.Client, server: Server) -> None:
    answer = client.post("/api/stories/import", content=STORY, headers=ZIP)
    assert (answer.status_code, "this is no zip" in answer.json()["detail"]) == (422, True)
    large = bytes(server.studio.limits.upload_bytes + 1)
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("story.yaml", f"{STORY}references: [a.png]\n")
        archive.writestr("a.png", large)
    answer = client.post("/api/stories/import", content=data.getvalue(), headers=ZIP)
    assert "'a.png' in the zip has more than 10240 KiB; make it smaller" in answer.json()["detail"]


DIRECTED = """
setting: a fox
references: [a.png]
shots:
- {prompt: it runs, chunks: 2, redirects: [{chunk: 1, prompt: it jumps}]}
- {prompt: it sleeps, chunks: 1, references: [], pins: [{shot: 0, frame: 0}], number: 2}
- {prompt: it sits, chunks: 1, number: 3, remembers: [{shot: 1, frame: 0, take: 0}]}
outtakes:
- {prompt: it hides, chunks: 1, number: 1}
"""


def test_what_a_queue_cannot_say_is_left_out_and_named(client: httpx.Client) -> None:
    files = {"story_yaml": DIRECTED, "a_png": png("red")}
    answer = client.post("/api/stories/import", content=zipped(**files), headers=ZIP)
    assert answer.status_code == 201, answer.text
    assert answer.json()["notes"] == [
        "Shot 1 went on with other words: “it jumps”. Redirect it while it runs.",
        "Shot 2 had pinned frames of earlier shots. Pin them before it is made.",
        "Shot 2 was made without a picture of the shots before it. Let that go before it is made.",
        "Shot 3 was made from takes that are not in the film, or before shots were moved. Made anew from "
        "the film, this looks different.",
    ]
    story = answer.json()["story"]
    until(lambda: [card["state"] for card in cards(client, story)] == ["done"] * 3)
    assert [card["prompt"] for card in cards(client, story)] == ["it runs", "it sleeps", "it sits"]


def test_a_story_whose_shots_were_moved_comes_back_in_the_order_of_its_film(
    client: httpx.Client, told: str
) -> None:
    direct(client, told, "move", shot=1, before=0)
    brought = fetch(client, told, "story.zip").content
    answer = client.post("/api/stories/import", content=brought, headers=ZIP).raise_for_status().json()
    assert "this looks different" in answer["notes"][-1]
    until(lambda: [card["state"] for card in cards(client, answer["story"])] == ["done"] * 2)
    assert [card["prompt"] for card in cards(client, answer["story"])] == ["the fox sleeps", "the fox runs"]


def test_a_sound_that_is_heard_twice_is_heard_once_and_named(client: httpx.Client) -> None:
    sounds = "sounds: [rain.wav, {sound: rain.wav, offset_seconds: 1.5}]\n"
    files = {"story_yaml": f"{STORY}{sounds}", "rain_wav": tone(seconds=0.4)}
    began = client.post("/api/stories/import", content=zipped(**files), headers=ZIP).raise_for_status().json()
    (note,) = began["notes"]
    assert note.startswith("The sound “rain.wav” is heard twice or more in the story, here once: ")
    assert note.endswith(" for 1.5 s.")
    placed = client.get(f"/api/stories/{began['story']}").json()["snapshot"]["sounds"]
    assert [sound["offset_seconds"] for sound in placed] == [0]
