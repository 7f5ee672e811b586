from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shotstream.serving.protocol.events import Limits
from shotstream.serving.served_model import ServedModel
from tests.serving.web.asking import begin
from tests.serving.web.conftest import Server, frames_of, serving
from tests.waiting import until

pytestmark = pytest.mark.system

SCRIPT = """\
setting: a red fox in the snow
seed: 3
shots:
  - prompt: the fox runs
    chunks: 2
  - prompt: the fox sleeps
    chunks: 1
    seed: 4
"""


def direct(client: httpx.Client, story: str, **command) -> httpx.Response:
    return client.post(f"/api/stories/{story}/commands", json=command)


def test_a_story_is_begun_read_and_listed(client: httpx.Client) -> None:
    story = begin(client, "a cat at night")
    read = client.get(f"/api/stories/{story}").raise_for_status().json()
    assert (read["story"], read["snapshot"]["setting"]) == (story, "a cat at night")
    entry = client.get("/api/stories").raise_for_status().json()[0]
    assert (entry["story"], entry["shots"], entry["prompt"], entry["still"]) == (story, 0, "", None)
    assert entry["created_seconds"] <= entry["changed_seconds"]


def test_a_story_is_given_a_title_and_another_one(client: httpx.Client) -> None:
    new = client.post("/api/stories", json={"setting": "a cat", "title": "The cat\n at night"})
    story = new.raise_for_status().json()["story"]

    def titles() -> list[str]:
        entry = next(entry for entry in client.get("/api/stories").json() if entry["story"] == story)
        return [entry["title"], client.get(f"/api/stories/{story}").json()["title"]]

    assert titles() == ["The cat at night"] * 2
    said = client.patch(f"/api/stories/{story}", json={"title": " 狐と\x00\x9b提灯 \u2028 🦊 "})
    assert (said.status_code, said.json()) == (200, {"title": "狐と 提灯 🦊"})
    assert titles() == ["狐と 提灯 🦊"] * 2
    client.patch(f"/api/stories/{story}", json={"title": ""}).raise_for_status()
    assert titles() == ["", ""]


@pytest.mark.parametrize("body", [{"title": "x" * 201}, {"title": 1}, {"title": "a", "seed": 1}, {}, []])
def test_what_is_no_title_is_refused(client: httpx.Client, body) -> None:
    story = begin(client)
    answer = client.patch(f"/api/stories/{story}", json=body)
    assert answer.status_code == 422
    assert re.match(r"title (is|has)|seed is unknown|what was sent is", answer.json()["detail"])
    assert client.get(f"/api/stories/{story}").json()["title"] == ""
    assert client.patch(f"/api/stories/{story}", json={"title": "x" * 200}).status_code == 200
    assert client.patch("/api/stories/aaaaaaaaaaaa", json={"title": "a"}).status_code == 404


def test_the_library_says_what_was_made(client: httpx.Client, told: str) -> None:
    entry = next(entry for entry in client.get("/api/stories").json() if entry["story"] == told)
    assert (entry["shots"], entry["prompt"], entry["state"]) == (2, "the fox runs", "idle")
    assert entry["frames"] == sum(
        card["frames"] for card in client.get(f"/api/stories/{told}").json()["snapshot"]["shots"]
    )
    still = entry["still"]
    picture = client.get(f"/api/stories/{told}/stills/{still['shot']}/{still['take']}/{still['frame']}.jpg")
    assert picture.status_code == 200


def test_commands_are_answered_by_receipts_and_reasons(client: httpx.Client) -> None:
    story = begin(client)
    taken = direct(client, story, type="shoot", id="1", prompt="the fox runs", chunks=2)
    assert (taken.status_code, taken.json()["applies_from"]) == (200, {"shot": 0, "frame": 0})
    assert direct(client, story, type="shoot", id="1", prompt="another").json() == taken.json()
    late = direct(client, story, type="undo", id="2")
    assert (late.status_code, late.json()["code"]) == (409, "not_now")
    missing = direct(client, story, type="retake", id="3", shot=5)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    for bad in ({"type": "shoot", "id": "4"}, {"type": "nothing", "id": "4"}, {"type": "pause", "id": ""}):
        answer = direct(client, story, **bad)
        assert answer.status_code == 422
        assert not re.search(r"Input|Field|Value|body", answer.json()["detail"])
    assert direct(client, "aaaaaaaaaaaa", type="pause", id="1").status_code == 404


@pytest.mark.parametrize("path", ["", "/film.mp4", "/clips/0/0.mp4", "/stills/0/0/0.jpg", "/story.yaml"])
def test_what_is_not_there_is_said(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/api/stories/aaaaaaaaaaaa{path}")
    assert answer.status_code == 404
    assert "aaaaaaaaaaaa" in answer.json()["detail"]


def test_a_story_file_is_begun_with_all_its_shots(client: httpx.Client, server: Server) -> None:
    answer = client.post("/api/stories/import", content=SCRIPT, headers={"content-type": "text/yaml"})
    story = answer.raise_for_status().json()["story"]
    cards = client.get(f"/api/stories/{story}").json()["snapshot"]["shots"]
    assert [card["prompt"] for card in cards] == ["the fox runs", "the fox sleeps"]
    with server.watch(story) as viewer:
        viewer.watch_shot(1)
    again = client.post("/api/stories/import", json={"setting": "", "shots": ["a fox"], "title": "The fox"})
    assert again.status_code == 201
    assert client.get(f"/api/stories/{again.json()['story']}").json()["title"] == "The fox"


NEEDS_A_HAND = {
    "references": "references: [/etc/hostname]\nshots: [runs]",
    "shot 1 has references": "shots: [{prompt: runs, references: [/etc/hostname]}]",
    "shot 1 has redirects": "shots: [{prompt: runs, redirects: [{chunk: 1, prompt: sleeps}]}]",
    "shot 2 has pins": "shots: [runs, {prompt: sleeps, pins: [{shot: 0, frame: 0}]}]",
    "shot 2 has remembers": "shots: [runs, {prompt: sleeps, remembers: [{shot: 0, frame: 0}]}]",
    "outtakes": "shots: [runs]\nouttakes: [{prompt: a fox, number: 0, take: 1}]",
    "64x32 pixels, the studio makes 32x16": "width: 64\nheight: 32\nshots: [runs]",
}


@pytest.mark.parametrize("said", NEEDS_A_HAND)
def test_what_needs_a_hand_is_refused(client: httpx.Client, said: str) -> None:
    """Pictures that a file names are not opened."""
    text = f"setting: a fox\n{NEEDS_A_HAND[said]}"
    for path in ("/api/stories/import", "/api/films"):
        answer = client.post(path, content=text, headers={"content-type": "text/yaml"})
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
        assert "`shotstream generate`" in answer.json()["detail"]


def test_takes_of_a_story_file_are_obeyed_and_notes_handed_back(client: httpx.Client, server: Server) -> None:
    text = (
        "setting: a fox #1\nshots:\n  - {prompt: runs, chunks: 1, take: 2}\n  - {prompt: sleeps, chunks: 1}\n"
    )
    answer = client.post("/api/stories/import", content=text, headers={"content-type": "text/yaml"}).json()
    assert ["story.yaml:1: the text ends before '#1'" in note for note in answer["notes"]] == [True]
    with server.watch(answer["story"]) as viewer:
        viewer.watch_shot(1)
        viewer.direct("retake", shot=0)
        while (0, 3) not in viewer.clips:
            viewer.hear()
    cards = client.get(f"/api/stories/{answer['story']}").json()["snapshot"]["shots"]
    assert [card["take"] for card in cards] == [3, 0]


SCREENPLAY = "Title: The fox\n\nEXT. SNOW - DAY\n\nThe fox runs.\n\nFOX\nHello.\n\nThe fox sleeps.\n"


def test_a_script_begins_a_story_or_is_read_alone(client: httpx.Client) -> None:
    fountain = {"content": SCREENPLAY, "headers": {"content-type": "text/x-fountain; charset=utf-8"}}
    read = client.post("/api/scripts", **fountain).raise_for_status().json()
    assert [read["title"], read["setting"]] == ["The fox", "Snow, day."]
    assert [shot["prompt"] for shot in read["shots"]] == ["The fox runs.", "The fox sleeps."]
    story = client.post("/api/stories/import", **fountain).raise_for_status().json()["story"]
    begun = client.get(f"/api/stories/{story}").json()
    assert (begun["title"], begun["snapshot"]["setting"]) == ("The fox", "Snow, day.")
    assert [card["prompt"] for card in begun["snapshot"]["shots"]] == ["The fox runs.", "The fox sleeps."]


def test_a_table_is_read_and_its_mistakes_are_named(client: httpx.Client) -> None:
    def read(text: str, kind: str = "text/csv") -> httpx.Response:
        return client.post("/api/scripts", content=text, headers={"content-type": kind})

    for kind in ("text/csv", "text/plain"):
        shots = read("prompt,chunks,seed\nruns,2,7\nsleeps,,\n", kind).raise_for_status().json()["shots"]
        assert [(shot["prompt"], shot["chunks"], shot["seed"]) for shot in shots] == [
            ("runs", 2, 7),
            ("sleeps", None, None),
        ]
    wrong = read("prompt,seed\nruns,many\n")
    assert (wrong.status_code, "line 2, column seed: 'many'" in wrong.json()["detail"]) == (422, True)
    assert "the LoRA 'oil' is not loaded" in read("prompt,lora\nruns,oil\n").json()["detail"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"# Only a title", "no shot"), (b"caf\xe9", "0xe9 is not UTF-8"), (b"", "no shot")],
)
def test_a_script_that_cannot_be_read_is_refused_in_words(client: httpx.Client, content, said: str) -> None:
    answer = client.post("/api/scripts", content=content, headers={"content-type": "text/markdown"})
    assert (answer.status_code, said in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            "setting: a fox\nshots:\n  - prompt: runs\n    lenth: 2\n",
            "text/yaml",
            "story.yaml:4: the key 'lenth'",
        ),
        (
            '{"setting": "a fox",\n "shots": []}',
            "application/json",
            "story.json:2: shots is empty; add at least one",
        ),
        ("setting: [", "text/yaml", "story.yaml:1: this bracket is never closed"),
        ("", "text/yaml", "the file is empty"),
        ('{"\\ud83d\\ude00", "setting": ""}', "text/yaml", "the key '😀' is unknown"),
        ('{"\\ud83d": 1, "setting": ""}', "application/json", "is half of a character"),
        ("\x00\x01", "text/yaml", "binary file"),
        ("setting: a fox\nshots: [{prompt: runs, seconds: 3000}]", "text/yaml", "a shot lasts 60 seconds"),
        ("setting: ''\nshots: [{prompt: runs, seed: 9007199254740992}]", "text/yaml", "less than"),
        (
            "setting: ''\nheight: 32\nshots: [a fox]",
            "text/yaml",
            "32x32 pixels, the studio makes 32x16",
        ),
        (f"setting: {'x' * 2001}\nshots: [a fox]", "text/yaml", "2001 characters"),
        (f"title: {'x' * 201}\nsetting: a\nshots: [b]", "text/yaml", "story.yaml:1: title is 'xxx"),
        (f"setting: a\ntitle: {'x' * 201}\nshots: [b]", "text/yaml", "should have at most 200 characters"),
    ],
)
def test_mistakes_in_story_files_are_named(client: httpx.Client, text: str, kind: str, said: str) -> None:
    before = len(client.get("/api/stories").json())
    answer = client.post("/api/stories/import", content=text, headers={"content-type": kind})
    assert answer.status_code in (409, 422)
    assert said in answer.json()["detail"]
    assert len(client.get("/api/stories").json()) == before, "nothing is left of it"


def test_one_call_makes_a_film(client: httpx.Client, tmp_path) -> None:
    answer = client.post("/api/films", content=SCRIPT, headers={"content-type": "text/yaml"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4"), answer.text
    story = client.get("/api/stories").json()[0]
    assert len(frames_of(answer.content)) == story["frames"] > 8
    assert story["state"] == "idle"


def test_who_hangs_up_stops_the_film(server: Server, client: httpx.Client) -> None:
    script = {"setting": "hung up", "shots": [{"prompt": "a fox", "seconds": 60.0} for _ in range(30)]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/api/films", json=script, timeout=0.3)
    until(lambda: _entry(client, "hung up")["state"] == "idle")
    entry = _entry(client, "hung up")
    assert entry["shots"] < 30


def _under_way(entry: dict, setting: str) -> bool:
    return entry["setting"] == setting and entry["shots"] == 30


def _entry(client: httpx.Client, setting: str) -> dict:
    return next(entry for entry in client.get("/api/stories").json() if entry["setting"] == setting)


def test_a_film_of_a_story_that_is_put_away_ends(server: Server, client: httpx.Client) -> None:
    script = {"setting": "put away", "shots": [{"prompt": "a fox", "seconds": 60.0} for _ in range(30)]}
    with ThreadPoolExecutor() as pool:
        film = pool.submit(httpx.post, f"{server.url}/api/films", json=script, timeout=20)
        until(lambda: [entry for entry in client.get("/api/stories").json() if _under_way(entry, "put away")])
        client.delete(f"/api/stories/{_entry(client, 'put away')['story']}").raise_for_status()
        assert (film.result().status_code, "put away" in film.result().text) == (409, True)


def test_stories_are_put_away_brought_back_and_forgotten(client: httpx.Client, server: Server) -> None:
    with server.watch() as viewer:
        viewer.shoot(chunks=1)
        story = viewer.story
        assert client.delete(f"/api/stories/{story}/forever").status_code == 409
        assert client.delete(f"/api/stories/{story}").status_code == 204
        assert viewer.direct("pause")["code"] == "not_found"
    assert story not in [entry["story"] for entry in client.get("/api/stories").json()]
    away = client.get("/api/stories", params={"deleted": True}).json()
    assert next(entry for entry in away if entry["story"] == story)["deleted_seconds"] > 0
    assert client.get(f"/api/stories/{story}/film.mp4").status_code == 200, "it is still there"
    assert client.post(f"/api/stories/{story}/undelete").status_code == 204
    assert direct(client, story, type="pause", id="back").status_code == 200
    assert client.delete(f"/api/stories/{story}").status_code == 204
    assert client.delete(f"/api/stories/{story}/forever").status_code == 204
    assert client.get(f"/api/stories/{story}").status_code == 404
    assert not (server.store.folder / "stories" / story).exists()


def test_a_branch_shows_what_it_shares_with_its_parent(
    client: httpx.Client, server: Server, told: str
) -> None:
    client.patch(f"/api/stories/{told}", json={"title": "The red fox"}).raise_for_status()
    receipt = direct(client, told, type="branch", id="branch", shot=0).raise_for_status().json()
    branch = receipt["story"]
    client.patch(f"/api/stories/{told}", json={"title": ""}).raise_for_status()
    assert client.get(f"/api/stories/{branch}").json()["title"] == "The red fox"
    assert client.get(f"/api/stories/{branch}").json()["snapshot"]["parent"] == {"story": told, "shot": 0}
    assert client.get(f"/api/stories/{branch}/stills/0/0/3.jpg").content == (
        client.get(f"/api/stories/{told}/stills/0/0/3.jpg").content
    )
    assert client.get(f"/api/stories/{branch}/clips/0/0.mp4").content == (
        client.get(f"/api/stories/{told}/clips/0/0.mp4").content
    )
    with server.watch(branch) as viewer:
        shared = viewer.watch_shot(0)
        viewer.shoot("a cat sleeps", chunks=1)
    film = client.get(f"/api/stories/{branch}/film.mp4")
    assert len(frames_of(film.content)) == len(shared) + len(viewer.clips[1, 0])
    assert client.delete(f"/api/stories/{told}").status_code == 204
    refused = client.delete(f"/api/stories/{told}/forever")
    assert (refused.status_code, branch in refused.json()["detail"]) == (409, True)
    client.post(f"/api/stories/{told}/undelete").raise_for_status()


def test_a_story_of_another_model_is_watched_and_exported_but_not_directed(library, model, pipeline) -> None:
    with serving(library, ServedModel(pipeline, "other", "1" * 64)) as server, server.watch() as viewer:
        frames = viewer.shoot(chunks=2)
        story = viewer.story
        until(lambda: server.store.snapshot(story).state == "idle")
    with serving(library, model) as server, server.client() as client, server.watch(story) as viewer:
        assert viewer.welcome["model"].startswith("other")
        assert viewer.watch_shot(0) == frames
        refused = viewer.direct("shoot", prompt="a fox")
        assert (refused["code"], "goes on where that model runs" in refused["message"]) == ("not_now", True)
        assert len(frames_of(client.get(f"/api/stories/{story}/film.mp4").content)) == len(frames)
        assert direct(client, story, type="pause", id="1").status_code == 409


def test_too_many_open_stories_are_refused(library, model) -> None:
    with serving(library, model, limits=Limits(open_stories=1)) as server, server.client() as client:
        with server.watch() as viewer:
            viewer.direct("pause")
            answer = client.post("/api/stories", json={"setting": "one more"})
            assert (answer.status_code, answer.json()["code"]) == (409, "limit")
        until(lambda: client.post("/api/stories", json={"setting": "one more"}).status_code == 201)


def test_a_full_disk_is_a_sentence(library, model) -> None:
    with serving(library, model) as server, server.client() as client:
        story = begin(client)
        library.full = True
        answers = [
            client.post("/api/stories", json={"setting": "a fox"}),
            client.delete(f"/api/stories/{story}"),
            client.patch(f"/api/stories/{story}", json={"title": "The fox"}),
            client.post("/api/stories/import", content=SCRIPT),
        ]
        assert [answer.status_code for answer in answers] == [507] * 4
        assert all("the disk is full" in answer.json()["detail"] for answer in answers)
        refused = direct(client, story, type="shoot", id="1", prompt="a fox", chunks=1)
        assert (refused.status_code, "the disk is full" in refused.json()["detail"]) == (409, True)
        library.full = False
        assert client.get(f"/api/stories/{story}").json()["title"] == ""
        assert direct(client, story, type="resume", id="2").status_code == 200
        assert direct(client, story, type="shoot", id="1", prompt="a fox", chunks=1).status_code == 200


def test_a_story_is_found_and_duplicated(client: httpx.Client, told: str) -> None:
    copy = client.post(f"/api/stories/{told}/duplicate").raise_for_status().json()["story"]
    listed = {entry["story"]: entry for entry in client.get("/api/stories?search=FOX+snow").json()}
    assert listed[copy]["title"] == "a red fox in the snow (copy)"
    assert listed[copy]["cover"] == {"shot": 0, "take": 0, "frame": 0}
    assert {name: listed[copy][name] for name in ("shots", "frames")} == {
        name: listed[told][name] for name in ("shots", "frames")
    }
    assert client.get("/api/stories?search=nobody+told+this").json() == []
    film = client.get(f"/api/stories/{copy}/film.mp4").raise_for_status().content
    assert film == client.get(f"/api/stories/{told}/film.mp4").content
    assert client.post("/api/stories/000000000000/duplicate").status_code == 404
    client.delete(f"/api/stories/{copy}")
    assert client.post(f"/api/stories/{copy}/duplicate").status_code == 404


def test_a_trimmed_story_file_comes_back_as_it_was(client: httpx.Client, server: Server) -> None:
    fox = {"prompt": "the fox runs", "chunks": 2, "in_frame": 2, "out_frame": 6}
    script = {"setting": "a red fox", "shots": [fox, {"prompt": "a cat"}]}
    kept = client.post("/api/stories/import", json=script).raise_for_status().json()["story"]
    with server.watch(kept) as viewer:
        viewer.watch_shot(1)
    until(lambda: server.store.snapshot(kept).state == "idle")
    file = client.get(f"/api/stories/{kept}/story.yaml").raise_for_status().content
    again = client.post("/api/stories/import", content=file, headers={"content-type": "text/yaml"})
    cards = client.get(f"/api/stories/{again.json()['story']}").json()["snapshot"]["shots"]
    assert [(card["in_frame"], card["out_frame"]) for card in cards] == [(2, 6), (0, None)]
    assert client.post("/api/scripts", json=script).json()["shots"][0]["out_frame"] == 6
    second = client.get(f"/api/stories/{kept}").json()["snapshot"]["shots"][1]["frames"]
    assert len(frames_of(client.get(f"/api/stories/{kept}/film.mp4").content)) == 5 + second
