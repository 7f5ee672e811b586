from __future__ import annotations

import zipfile
from io import BytesIO

import av
import httpx
import numpy as np
import opentimelineio
import pytest
from PIL import Image

from shotstream.story import Story
from tests.serving.web.asking import cards, fetch
from tests.serving.web.conftest import Server, frames_of, serving
from tests.waiting import until

pytestmark = pytest.mark.system


def test_the_film_has_every_frame(client: httpx.Client, told: str) -> None:
    answer = fetch(client, told, "film.mp4")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == 'attachment; filename="a-red-fox-in-the-snow.mp4"'
    frames = frames_of(answer.content)
    assert len(frames) == sum(card["frames"] for card in cards(client, told))
    assert frames[0].shape == (16, 32, 3)
    with av.open(BytesIO(answer.content)) as container:
        assert container.streams.video[0].average_rate == 8


def test_a_part_of_a_film_can_be_fetched(client: httpx.Client, told: str) -> None:
    whole = fetch(client, told, "film.mp4").content
    part = client.get(f"/api/stories/{told}/film.mp4", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])


@pytest.mark.parametrize("path", ["film.mp4", "clips.zip", "clips/0/0.mp4"])
def test_a_download_that_broke_off_goes_on(
    client: httpx.Client, server: Server, told: str, path: str
) -> None:
    """Its file is written anew, beside the library, and has the same tag while it has the same contents."""
    whole = fetch(client, told, path)
    rest = {"range": "bytes=20-", "if-range": whole.headers["etag"]}
    part = client.get(f"/api/stories/{told}/{path}", headers=rest)
    assert (part.status_code, part.content) == (206, whole.content[20:])
    other = client.get(f"/api/stories/{told}/{path}", headers=rest | {"if-range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert server.studio.exports.parent == server.store.folder
    until(lambda: not list(server.studio.exports.iterdir()))


def test_every_take_is_a_clip(client: httpx.Client, told: str) -> None:
    first, second = cards(client, told)
    assert second["takes"] == 2
    assert len(frames_of(fetch(client, told, "clips/0/0.mp4").content)) == first["frames"]
    assert len(frames_of(fetch(client, told, "clips/1/1.mp4").content)) == second["frames"]
    old = client.get(f"/api/stories/{told}/clips/1/0.mp4")
    assert frames_of(old.content)
    assert client.get(f"/api/stories/{told}/clips/1/2.mp4").status_code == 404


def test_the_timeline_is_read_by_opentimelineio(client: httpx.Client, told: str) -> None:
    text = fetch(client, told, "timeline.otio").text
    timeline = opentimelineio.adapters.read_from_string(text, "otio_json")
    clips = list(timeline.find_clips())
    lengths = [clip.duration().to_frames() for clip in clips]
    assert lengths == [card["frames"] * 3 for card in cards(client, told)], (
        "24 frames per second instead of 8"
    )


@pytest.mark.parametrize(("suffix", "adapter"), [("edl", "cmx_3600"), ("xml", "fcp_xml")])
def test_other_timelines_are_read_too(client: httpx.Client, told: str, suffix: str, adapter: str) -> None:
    text = fetch(client, told, f"timeline.{suffix}").text
    read = opentimelineio.adapters.read_from_string(text, adapter)
    lengths = [clip.duration().to_frames() for clip in read.find_clips()]
    assert lengths == [card["frames"] * 3 for card in cards(client, told)]


def test_the_zip_has_the_clips_that_its_timeline_names(client: httpx.Client, told: str) -> None:
    archive = zipfile.ZipFile(BytesIO(fetch(client, told, "clips.zip").content))
    assert archive.testzip() is None
    timeline = opentimelineio.adapters.read_from_string(archive.read("timeline.otio").decode(), "otio_json")
    for clip, card in zip(timeline.find_clips(), cards(client, told), strict=True):
        film = archive.read(clip.media_reference.target_url)
        assert len(frames_of(film)) == card["frames"]
    assert set(archive.namelist()) == {
        *("001.mp4", "002.mp4", "subtitles.srt"),
        *("timeline.otio", "timeline.edl", "timeline.xml"),
    }


def test_the_subtitles_follow_one_another(client: httpx.Client, told: str) -> None:
    blocks = fetch(client, told, "subtitles.srt").text.strip().split("\n\n")
    assert [block.splitlines()[2] for block in blocks] == ["the fox runs", "the fox sleeps"]
    seconds = cards(client, told)[0]["frames"] / 8
    assert f"{int(seconds):02d},{round(seconds % 1 * 1000):03d} -->" in blocks[1]


def test_the_story_file_tells_the_same_frames_again(
    client: httpx.Client, server: Server, told: str, tmp_path
) -> None:
    """From the film's own seeds and takes, in another story."""
    file = tmp_path / "story.yaml"
    file.write_bytes(fetch(client, told, "story.yaml").content)
    script = Story.read(file)
    assert [(shot.prompt, shot.take) for shot in script.shots] == [("the fox runs", 0), ("the fox sleeps", 1)]
    again = client.post("/api/films", content=file.read_bytes(), headers={"content-type": "text/yaml"})
    seen, wanted = (
        frames_of(again.raise_for_status().content),
        frames_of(fetch(client, told, "film.mp4").content),
    )
    assert np.array_equal(seen, wanted)


def test_the_story_zip_has_the_pictures_that_its_file_names(client: httpx.Client) -> None:
    told = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
    picture = BytesIO()
    Image.new("RGB", (20, 20), "orange").save(picture, "PNG")
    upload = client.post("/api/uploads", content=picture.getvalue()).json()["upload"]
    path = f"/api/stories/{told}/commands"
    client.post(path, json={"type": "reference", "id": "r", "upload": upload}).raise_for_status()
    client.post(path, json={"type": "shoot", "id": "s", "prompt": "a fox", "chunks": 1}).raise_for_status()
    until(lambda: [card["state"] for card in cards(client, told)] == ["done"])
    answer = fetch(client, told, "story.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="a-fox-story.zip"'
    archive = zipfile.ZipFile(BytesIO(answer.content))
    assert archive.namelist() == ["story.yaml", f"reference-{upload}.png"]
    assert archive.read("story.yaml") == fetch(client, told, "story.yaml").content
    script = archive.read("story.yaml")
    refused = client.post("/api/stories/import", content=script, headers={"content-type": "text/yaml"})
    assert (refused.status_code, "the story has references" in refused.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("The Fox & the Lantern!", 'filename="the-fox-the-lantern'),
        ("Лиса 2", "filename*=utf-8''%D0%BB%D0%B8%D1%81%D0%B0-2"),
        ("?!", 'filename="{told}'),
    ],
)
def test_what_is_downloaded_bears_the_title(client: httpx.Client, told: str, title: str, name: str) -> None:
    client.patch(f"/api/stories/{told}", json={"title": title}).raise_for_status()
    suffixes = {"film.mp4": ".mp4", "clips.zip": ".zip", "clips/1/0.mp4": "-shot-2-take-1.mp4"}
    suffixes |= {
        "timeline.otio": ".otio",
        "timeline.edl": ".edl",
        "timeline.xml": ".xml",
        "subtitles.srt": ".srt",
    }
    suffixes |= {"story.yaml": ".yaml", "story.json": ".json"}
    for path, suffix in suffixes.items():
        said = fetch(client, told, path).headers["content-disposition"].removesuffix('"')
        assert said == f"attachment; {name.format(told=told)}{suffix}"
    assert fetch(client, told, "timeline.otio").json()["name"] == title
    assert fetch(client, told, "story.json").json()["title"] == title
    script = fetch(client, told, "story.yaml").content
    again = client.post("/api/stories/import", content=script, headers={"content-type": "text/yaml"}).json()
    assert client.get(f"/api/stories/{again['story']}").json()["title"] == title
    client.patch(f"/api/stories/{told}", json={"title": ""}).raise_for_status()
    assert fetch(client, told, "timeline.otio").json()["name"] == "a red fox in the snow"


def test_the_facts_are_json(client: httpx.Client, told: str) -> None:
    facts = fetch(client, told, "story.json").json()
    assert facts["setting"] == "a red fox in the snow"
    assert [shot["frames"] for shot in facts["shots"]] == [card["frames"] for card in cards(client, told)]


def test_a_still_is_the_frame_of_the_film(client: httpx.Client, told: str) -> None:
    film = frames_of(fetch(client, told, "film.mp4").content)
    answer = fetch(client, told, "stills/0/0/7.jpg")
    assert "immutable" in answer.headers["cache-control"]
    still = np.asarray(Image.open(BytesIO(answer.content)).convert("L")).astype(float)
    likeness = [np.corrcoef(still.ravel(), frame.mean(-1).ravel())[0, 1] for frame in film]
    assert int(np.argmax(likeness)) == 7
    assert client.get(f"/api/stories/{told}/stills/0/0/999.jpg").status_code == 404


def test_what_is_not_there_is_said_of_the_shot_that_people_see(client: httpx.Client, told: str) -> None:
    story = client.post(f"/api/stories/{told}/duplicate").json()["story"]

    def missing(path: str) -> str:
        answer = client.get(f"/api/stories/{story}/{path}")
        assert answer.status_code == 404
        return answer.json()["detail"]

    def clip_name(shot: int) -> str:
        answer = fetch(client, story, f"clips/{shot}/0.mp4")
        return answer.headers["content-disposition"].partition("copy-")[2].rstrip('"')

    def direct(**fields) -> None:
        client.post(f"/api/stories/{story}/commands", json={"id": str(fields), **fields}).raise_for_status()

    assert missing("clips/0/7.mp4") == "there is no take 8 of shot 1"
    assert clip_name(0) == "shot-1-take-1.mp4"
    direct(type="move", shot=0)
    assert missing("clips/0/7.mp4") == "there is no take 8 of shot 2"
    assert missing("clips/1/7.mp4") == "there is no take 8 of shot 1"
    assert missing("stills/0/0/999.jpg") == "there is no frame 999 of take 1 of shot 2"
    assert missing("live.mp4?shot=0&take=0&frame=999") == "there is no frame 999 of take 1 of shot 2 yet"
    assert clip_name(0) == "shot-2-take-1.mp4"
    direct(type="delete", shot=0)
    assert missing("clips/1/7.mp4") == "there is no take 8 of shot 1"
    assert missing("clips/0/7.mp4") == "there is no take 8 of that shot"
    assert clip_name(0) == "deleted-shot-take-1.mp4"
    assert missing("clips/9/0.mp4") == "the story has no card number 9; cards are numbered from 0"
    assert client.get("/api/stories/000000000000/clips/0/0.mp4").status_code == 404


def test_a_growing_film_ends_with_its_take(client: httpx.Client, told: str) -> None:
    parameters = {"shot": 0, "take": 0, "frame": 6}
    answer = client.get(f"/api/stories/{told}/live.mp4", params=parameters).raise_for_status()
    first, second = (header["frames"] for header in _chunks(client, told))
    assert len(frames_of(answer.content)) == second
    with av.open(BytesIO(answer.content)) as film:
        times = [float(packet.pts * packet.time_base) for packet in film.demux() if packet.pts is not None]
    assert times[0] == pytest.approx(first / 8)
    assert client.get(f"/api/stories/{told}/live.mp4", params=parameters | {"frame": 999}).status_code == 404


def _chunks(client: httpx.Client, story: str) -> list[dict]:
    """Frames of the two chunks of shot 1: the first has fewer."""
    frames = cards(client, story)[0]["frames"]
    return [{"frames": 5}, {"frames": frames - 5}]


def test_a_film_that_grows_while_it_is_made(server: Server, client: httpx.Client) -> None:
    with server.watch(shows=False) as viewer:
        viewer.direct("shoot", prompt="a fox runs", chunks=6)
        while not viewer.newest(0):
            viewer.hear()
        path, data = f"/api/stories/{viewer.story}/live.mp4", bytearray()
        with client.stream("GET", path, params={"shot": 0, "take": 0}) as growing:
            for part in growing.iter_raw():
                data += part
                viewer.say(type="playhead", shot=0, take=0, frame=_made(client, viewer.story) - 1)
        assert len(frames_of(bytes(data))) == _made(client, viewer.story) == 5 + 5 * 8


def _made(client: httpx.Client, story: str) -> int:
    return cards(client, story)[0]["frames"]


def test_who_leaves_a_growing_film_is_forgotten(server: Server, client: httpx.Client) -> None:
    with server.watch(shows=False) as viewer:
        viewer.direct("shoot", prompt="a fox runs", chunks=40)  # the last is far off
        while not viewer.newest(0):
            viewer.hear()
        viewer.direct("pause")
        channel = server.studio._channels[viewer.story]
        path = f"/api/stories/{viewer.story}/live.mp4"
        with client.stream("GET", path, params={"shot": 0, "take": 0}) as growing:
            parts = growing.iter_raw()  # it closes the answer once nobody holds it
            next(parts)
            until(lambda: len(channel.viewers) == 2)
        until(lambda: len(channel.viewers) == 1)


def test_a_film_is_there_as_soon_as_its_story_is(server: Server, client: httpx.Client) -> None:
    """However far behind the recorder is."""
    recorder = server.studio._recorder
    with server.watch() as viewer:
        for _ in range(3):
            viewer.direct("shoot", prompt="a fox runs", chunks=1)
            while cards(client, viewer.story)[-1]["state"] != "done":
                pass
            assert client.get(f"/api/stories/{viewer.story}/film.mp4").status_code == 200
    assert recorder._queue.empty()


def test_what_is_empty_cannot_be_exported(client: httpx.Client) -> None:
    story = client.post("/api/stories", json={"setting": "a fox"}).json()["story"]
    for path in ("film.mp4", "clips.zip", "timeline.otio", "subtitles.srt", "story.yaml", "story.json"):
        answer = client.get(f"/api/stories/{story}/{path}")
        assert answer.status_code == 409
        assert "shoot one first" in answer.json()["detail"]


def test_a_clip_that_is_lost_or_damaged_is_made_again(library, model) -> None:
    with serving(library, model) as server, server.client() as client, server.watch() as viewer:
        viewer.shoot(chunks=2)
        story = viewer.story
        whole = client.get(f"/api/stories/{story}/film.mp4").content
    library.take_chunks(story, 0, 0)[1].clip.unlink()
    with serving(library, model) as server, server.client() as client:
        assert client.get(f"/api/stories/{story}/film.mp4").content == whole
        damaged = library.take_chunks(story, 0, 0)[0].clip
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        assert client.get(f"/api/stories/{story}/film.mp4").content == whole
