from __future__ import annotations

import hashlib
import io
import secrets
import zipfile

import httpx
import numpy as np
import pytest
import yaml

from shotstream.serving.protocol.events import Limits
from shotstream.serving.storage.backup import back_up
from shotstream.serving.storage.integrity import check_library
from shotstream.serving.storage.store import Store
from tests.media.tones import heard, tone
from tests.serving.web.conftest import Server, frames_of, serving

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def heard_story(server: Server) -> str:
    """A story of one shot, of these tests alone."""
    with server.watch() as viewer:
        viewer.shoot(chunks=3)
    return viewer.story


def send(client: httpx.Client, story: str, data: bytes, name: str = "rain.wav") -> httpx.Response:
    return client.post(f"/api/stories/{story}/sounds", params={"name": name}, content=data)


def direct(client: httpx.Client, story: str, kind: str, **fields) -> httpx.Response:
    command = {"type": kind, "id": secrets.token_hex(8), **fields}
    return client.post(f"/api/stories/{story}/commands", json=command)


def film(client: httpx.Client, story: str) -> bytes:
    return client.get(f"/api/stories/{story}/film.mp4").raise_for_status().content


def test_a_sound_is_taken_listed_heard_and_taken_off_again(client: httpx.Client, heard_story: str) -> None:
    silent, data = film(client, heard_story), tone(seconds=0.5)
    answer = send(client, heard_story, data)
    assert answer.status_code == 201
    sound = answer.json()["sound"]
    assert sound == hashlib.sha256(data).hexdigest()[:32]
    assert send(client, heard_story, data).json() == answer.json(), "the same, once"
    assert client.get(f"/api/stories/{heard_story}/sounds").json() == [answer.json()]
    back = client.get(f"/api/stories/{heard_story}/sounds/{sound}")
    assert (back.content, back.headers["content-type"]) == (data, "audio/wav")
    assert len(client.get(f"/api/stories/{heard_story}/sounds/{sound}/waveform").json()) == 10
    assert film(client, heard_story) == silent, "it is not heard yet"
    assert direct(client, heard_story, "sound", sound=sound, offset_seconds=0.25).status_code == 200
    placed = client.get(f"/api/stories/{heard_story}").json()["snapshot"]["sounds"]
    assert placed == [{"sound": sound, "offset_seconds": 0.25, "gain_db": 0.0}]
    loud = film(client, heard_story)
    assert loud == film(client, heard_story), "the same story gives the same bytes"
    assert np.array_equal(frames_of(loud), frames_of(silent))
    samples = heard(loud)
    seconds = len(frames_of(silent)) / 8
    assert samples.shape[1] == pytest.approx(seconds * 48_000, abs=2048)
    assert np.abs(samples[:, :9_000]).max() < 0.05
    assert np.abs(samples[:, 15_000:30_000]).max() == pytest.approx(0.5, abs=0.08)
    assert np.abs(samples[:, 40_000:]).max() < 0.05
    assert direct(client, heard_story, "silence", sound=sound).status_code == 200
    assert film(client, heard_story) == silent
    assert direct(client, heard_story, "undo").status_code == 200
    assert film(client, heard_story) == loud
    direct(client, heard_story, "silence", sound=sound)


def test_bad_files_and_unknown_sounds_are_refused_with_a_sentence(
    client: httpx.Client, heard_story: str
) -> None:
    refused = send(client, heard_story, b"no sound")
    assert refused.status_code == 422
    assert "take one of WAV, MP3" in refused.json()["detail"]
    unknown = direct(client, heard_story, "sound", sound="0" * 32)
    assert unknown.status_code == 404
    assert "send it first" in unknown.json()["detail"]
    assert direct(client, heard_story, "silence", sound="0" * 32).status_code == 404
    assert client.get(f"/api/stories/{heard_story}/sounds/{'0' * 32}").status_code == 404
    assert send(client, "0" * 12, tone()).status_code == 404


def test_what_is_too_large_too_long_or_too_much_is_refused(library, model) -> None:
    limits = Limits(sound_bytes=100_000, sound_seconds=0.4, sounds=1)
    with serving(library, model, limits=limits) as server, server.client() as client:
        story = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
        assert send(client, story, bytes(200_000)).status_code == 413
        assert "longer than" in send(client, story, tone(seconds=0.45)).json()["detail"]
        assert send(client, story, tone(seconds=0.2)).status_code == 201
        assert "the most there can be" in send(client, story, tone(seconds=0.3)).json()["detail"]


def test_a_branch_has_the_sounds_and_a_copy_and_a_check_know_them(
    client: httpx.Client, server: Server, heard_story: str, tmp_path
) -> None:
    sound = send(client, heard_story, tone("flac", seconds=0.3)).json()["sound"]
    direct(client, heard_story, "sound", sound=sound)
    branch = direct(client, heard_story, "branch", shot=0).json()["story"]
    assert sound in [one["sound"] for one in client.get(f"/api/stories/{branch}/sounds").json()]
    assert np.abs(heard(film(client, branch))).max() > 0.3
    back_up(server.store, tmp_path / "copy")
    with Store(tmp_path / "copy") as copy:
        assert check_library(copy) == []
        assert copy.sweep().lost == []
        found = copy.find_sound(heard_story, sound)
        assert found
        found.path.write_bytes(b"another")
        assert [fault.kind for fault in check_library(copy)] == ["damaged sound"]
    direct(client, heard_story, "silence", sound=sound)


def test_story_files_and_timelines_take_the_sound_along(client: httpx.Client, heard_story: str) -> None:
    data = tone(seconds=0.3)
    sound = send(client, heard_story, data).json()["sound"]
    direct(client, heard_story, "sound", sound=sound, offset_seconds=0.5, gain_db=-6.0)
    name = f"sound-{sound[:12]}.wav"
    address = f"/api/stories/{heard_story}"
    with zipfile.ZipFile(io.BytesIO(client.get(f"{address}/story.zip").content)) as archive:
        assert archive.read(name) == data
        script = archive.read("story.yaml").decode()
    assert yaml.safe_load(script)["sounds"] == [{"sound": name, "offset_seconds": 0.5, "gain_db": -6.0}]
    with zipfile.ZipFile(io.BytesIO(client.get(f"{address}/clips.zip").content)) as archive:
        assert archive.read(name) == data
        assert name in archive.read("timeline.otio").decode()
        assert name in archive.read("timeline.xml").decode()
    again = client.post("/api/stories/import", content=script, headers={"Content-Type": "text/yaml"})
    assert "sounds are files on another machine" in again.json()["notes"][0]
    direct(client, heard_story, "silence", sound=sound)


def test_the_script_is_taken_home_and_read_again(client: httpx.Client, heard_story: str) -> None:
    address = f"/api/stories/{heard_story}"
    (prompt,) = [card["prompt"] for card in client.get(address).json()["snapshot"]["shots"]]
    forms = {"script.fountain": "x-fountain", "script.md": "markdown", "script.txt": "plain"}
    for name, kind in (forms | {"script.fdx": "x-fdx", "shots.csv": "csv", "story.yaml": "yaml"}).items():
        taken = client.get(f"{address}/{name}").raise_for_status()
        assert taken.headers["content-disposition"].endswith(f'.{name.partition(".")[2]}"')
        read = client.post("/api/scripts", content=taken.content, headers={"content-type": f"text/{kind}"})
        assert [shot["prompt"] for shot in read.raise_for_status().json()["shots"]] == [prompt], name
