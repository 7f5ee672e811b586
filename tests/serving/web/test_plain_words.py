"""Whatever is sent to the studio and cannot be used is refused in plain words, never in a library's."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.system

LIBRARY_WORDS = (
    "Input should",
    "Field required",
    "Extra inputs",
    "Value error",
    "String should",
    "validation",
)
LIBRARY_WORDS += (
    "JSON decode",
    "Invalid JSON",
    "parse string",
    "body.",
    "query.",
    "function-",
    "pattern",
    "expected <",
)
BODIES = [
    b"",
    b"[]",
    b"5",
    b"{",
    b"\xff\xfe",
    b'{"a": 1',
    b'{"a": 1} // who',
    b'{"prompt": 5, "setting": 5, "title": 5}',
    b'{"promt": "a", "settin": "a"}',
    b'{"prompt": "", "setting": 1, "seed": "lucky"}',
    b'{"prompt": "a", "seconds": "two"}',
    b'{"prompt": "a", "seed": 1e400}',
    b'{"prompt": "a", "setting": "a", "seed": 99999999999999999999}',
    b'{"prompt": "a", "size": "big"}',
    b'{"prompt": "a", "shots": [5]}',
    b'{"prompt": "a", "shots": "[1,"}',
    b'{"prompt": "a", "input_reference": 5}',
    b'{"prompt": "a", "input_reference": {}}',
    b'{"type": "sing", "id": "1"}',
    b'{"type": "shoot", "id": "\xc3\xa9", "prompt": "a"}',
    b'{"type": "shoot", "id": "1", "prompt": 5}',
    b'{"id": "1"}',
    b'{"type": "shoot", "id": "1", "promt": "a"}',
    b'{"type": "shoot", "id": "1", "prompt": "a", "seconds": "2s"}',
]
PLACES = ["/api/stories", "/api/stories/{story}/commands", "/v1/videos"]


@pytest.fixture(scope="module")
def story(client: httpx.Client) -> str:
    return client.post("/api/stories", json={"setting": "a fox"}).raise_for_status().json()["story"]


@pytest.mark.parametrize("place", PLACES)
def test_bodies_that_cannot_be_used_are_refused_in_plain_words(
    client: httpx.Client, story: str, place: str
) -> None:
    refused = 0
    for body in BODIES:
        answer = client.post(
            place.format(story=story), content=body, headers={"content-type": "application/json"}
        )
        if answer.status_code >= 400:
            said = answer.json()["detail"]
            assert answer.status_code in (404, 409, 422), (body, said)
            assert not any(word in said for word in LIBRARY_WORDS), (body, said)
            refused += 1
    assert refused > len(BODIES) / 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/api/stories/xyz",
            "story is 'xyz', but should be 12 small letters and digits, as the library lists them",
        ),
        ("/v1/videos/xyz", "video is 'xyz', but should be 12 small letters and digits"),
        ("/v1/videos?limit=many", "limit is 'many', but should be a whole number"),
        ("/v1/videos?limit=0", "limit is '0', but should be greater than or equal to 1"),
        ("/v1/videos?order=up", "order is 'up', but should be 'asc' or 'desc'"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_in_plain_words(
    client: httpx.Client, path: str, said: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)


@pytest.mark.parametrize("place", ["/api/scripts", "/api/stories/import"])
@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (
            b"setting: x\nshots:\n - @fox",
            "text/yaml",
            'story.yaml:3: text that begins with @ must stand in quotes: "@fox".',
        ),
        (
            b'{"setting": "x", // who\n"shots": ["a"]}',
            "application/json",
            "story.json:1: JSON has no comments",
        ),
        (
            b'{"setting": "x", "shots": ["\\ud800"]}',
            "application/json",
            "story.json:1: \\ud800 is half of a character",
        ),
        (b"a,b\nc,d", "text/csv", "line 1: no column is called prompt; name the columns in the first line"),
        (b"<p>A fox.</p>", "text/html", "text/html is no story; send YAML"),
        (b"\x89PNG", "image/png", "image/png is no story; send YAML"),
        (b"caf\xe9", "text/plain", "script.txt:1: byte 0xe9 is not UTF-8; save the file"),
        (b"\0\1", "text/markdown", "script.md: this is not text but a binary file"),
        ("\u200b\n\n\u2060".encode(), "text/plain", "the script has no shot: write what is to be seen"),
        (
            b"setting: x\nshots: [a]\nheight: 33",
            "text/yaml",
            "the story has 32x33 pixels, the studio makes 32x16",
        ),
        (
            b"setting: x\nshots: [a]\nreferences: [a.png]",
            "text/yaml",
            "the story has references, which are pictures",
        ),
    ],
)
def test_files_that_cannot_be_used_are_refused_at_their_line(
    client: httpx.Client, place: str, data: bytes, kind: str, said: str
) -> None:
    answer = client.post(place, content=data, headers={"content-type": kind})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_scripts_are_read_in_the_encodings_of_story_files(client: httpx.Client, encoding: str) -> None:
    answer = client.post(
        "/api/scripts", content="café 狐".encode(encoding), headers={"content-type": "text/plain"}
    )
    assert [shot["prompt"] for shot in answer.raise_for_status().json()["shots"]] == ["café 狐"]


@pytest.mark.parametrize(
    "text", ["setting: a fox\nshots:\n  - It runs.\n", '{"global_caption": "a fox",\n "shot1": "It runs."}']
)
def test_a_story_file_that_is_called_a_text_is_read_as_one(client: httpx.Client, text: str) -> None:
    answer = client.post("/api/scripts", content=text, headers={"content-type": "text/plain"})
    read = answer.raise_for_status().json()
    assert (read["setting"], [shot["prompt"] for shot in read["shots"]]) == ("a fox", ["It runs."])


def test_seconds_of_a_video_may_have_their_unit(client: httpx.Client) -> None:
    seconds = [
        client.post("/v1/videos", json={"prompt": "a fox", "seconds": given})
        .raise_for_status()
        .json()["seconds"]
        for given in (0.5, "0.5", "0.5s", "0.5 seconds")
    ]
    assert len(set(seconds)) == 1
    form = client.post("/v1/videos", data={"prompt": "a fox", "seconds": "2"})
    assert "send JSON, or a form as multipart/form-data" in form.json()["detail"]
