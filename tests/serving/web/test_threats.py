"""What strangers send and what is kept of people; `docs/security.md` has the list of threats."""

from __future__ import annotations

import ast
import io
import json
import logging
import pickle
import re
import socket
import time
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from shotstream.serving.delivery.export import file_name
from shotstream.serving.storage.stored import StoreError
from shotstream.serving.web.exports import attachment
from tests.serving.web.conftest import Server, serving

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
MARKER = "quetzalcoatlus"
"""A word that stands nowhere else."""


def request_line(server: Server, path: str) -> bytes:
    """Ask for a path as it is: clients would tidy it up."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/api/stories/../../library.db",
        "/api/stories/..%2f..%2flibrary.db",
        "/api/stories/aaaaaaaaaaa%2e/film.mp4",
        "/api/stories/{story}/stills/0/0/..%2f..%2f..%2flibrary.db.jpg",
        "/api/stories/{story}/clips/..%2f0/0.mp4",
        "/api/uploads/..%2flibrary.db.png",
        "/api/uploads/../library.db",
        "/api/uploads/%2e%2e%2flibrary.png",
        "/../library.db",
        "/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/%00",
        "/..\\..\\library.db",
        "/" + "a" * 5000,
    ],
)
def test_no_path_leads_out_of_the_library(server: Server, told: str, path: str) -> None:
    answer = request_line(server, path.format(story=told))
    status = int(answer.split()[1])
    assert 400 <= status < 500, answer[:200]
    assert b"SQLite" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("upload", ["../library", "a/b", "a" * 65, "A", "é", ""])
def test_no_name_of_a_picture_leads_out_of_the_library(
    server: Server, client: httpx.Client, upload: str
) -> None:
    story = client.post("/api/stories", json={}).json()["story"]
    command = {"type": "reference", "id": "1", "upload": upload}
    answer = client.post(f"/api/stories/{story}/commands", json=command)
    assert (answer.status_code, "upload" in answer.json()["detail"]) == (422, True)


HTML = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quoted\" 'text'"


def test_html_in_a_prompt_is_text_and_nothing_else(server: Server, client: httpx.Client) -> None:
    """Every answer that has it says what it is, and that is never a page."""
    with server.watch() as viewer:
        viewer.shoot(HTML, chunks=1)
        story = viewer.story
    assert client.get(f"/api/stories/{story}").json()["snapshot"]["shots"][0]["prompt"] == HTML
    for path in ("", "/story.yaml", "/story.json", "/subtitles.srt", "/timeline.otio"):
        answer = client.get(f"/api/stories/{story}{path}")
        assert "alert(1)" in answer.text
        assert "html" not in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    refused = client.get(f"/api/stories/{HTML}")
    assert "html" not in refused.headers["content-type"]


@pytest.mark.parametrize("word", ["'; DROP TABLE stories; --", '" OR 1=1 --', "%s %(a)s {0} ${a} \\"])
def test_sql_in_a_story_is_text_and_nothing_else(server: Server, client: httpx.Client, word: str) -> None:
    story = client.post("/api/stories", json={"setting": word}).json()["story"]
    with server.watch(story) as viewer:
        viewer.shoot(word, chunks=1)
        viewer.direct("pause", id=word)
    snapshot = client.get(f"/api/stories/{story}").json()["snapshot"]
    assert (snapshot["setting"], snapshot["shots"][0]["prompt"]) == (word, word)
    assert client.get("/api/stories", params={"deleted": word}).status_code == 422


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 100_000,
        "{" * 100_000,
        '{"a":' * 50_000,
        "setting: " + "1:" * 10_000 + "1\nshots: [a]",
        "setting: !!python/object/apply:os.system [id]\nshots: [a]",
        "shots: [" + "a," * 10_000 + "]",
        "setting: " + "9" * 200_000,
        "x" * 900_000,
    ],
    ids=["aliases", "lists", "mappings", "json", "base 60", "objects", "shots", "digits", "length"],
)
def test_story_files_that_would_blow_up_are_refused(client: httpx.Client, text: str) -> None:
    for kind in ("text/yaml", "application/json"):
        began = time.monotonic()
        answer = client.post("/api/stories/import", content=text, headers={"content-type": kind})
        assert answer.status_code in (409, 413, 422)
        assert time.monotonic() - began < 10


def test_latents_are_never_unpickled(server: Server, library, model, told: str, tmp_path) -> None:
    """What the library keeps is read by safetensors alone: it holds numbers, not programs."""
    ran = tmp_path / "ran"

    class Program:
        def __reduce__(self):
            return (Path.touch, (ran,))

    chunk = server.store.take_chunks(told, 0, 0)[0]
    stranger = tmp_path / "stranger.safetensors"
    stranger.write_bytes(pickle.dumps(Program()))
    with pytest.raises(StoreError) as refused:
        type(chunk)(**{**chunk.__dict__, "path": stranger, "sha256": None}).latents()
    assert isinstance(refused.value.__cause__, SafetensorError)
    assert not ran.exists()


def test_nothing_of_the_package_unpickles() -> None:
    for file in (ROOT / "src").rglob("*.py"):
        text = file.read_text()
        assert not re.search(
            r"pickle\.loads?\(|Unpickler\(|^import (dill|joblib|shelve)", text, re.MULTILINE
        ), file
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, f"{file}: {call}"
        assert not re.search(r"yaml\.(unsafe_load|full_load|load)\(", text), file


@pytest.mark.parametrize(
    ("evil", "named"),
    [
        ('a"; filename="evil.exe\r\nset-cookie: a=b', 'filename="a-filename-evil-exe-set-cookie-a-b'),
        ("../../狐\r\nset-cookie: a=b", "filename*=utf-8''%E7%8B%90-set-cookie-a-b"),
    ],
)
@pytest.mark.parametrize("said", ["title", "setting"])
def test_the_name_of_a_download_is_letters_and_digits(
    client: httpx.Client, server: Server, said: str, evil: str, named: str
) -> None:
    """What people write gets into a header, but no sign of it that means something there."""
    story = client.post("/api/stories", json={said: evil}).json()["story"]
    with server.watch(story) as viewer:
        viewer.shoot(evil, chunks=1)
    for name in (
        "film.mp4",
        "clips.zip",
        "timeline.otio",
        "subtitles.srt",
        "story.yaml",
        "story.json",
        "clips/0/0.mp4",
    ):
        answer = client.get(f"/api/stories/{story}/{name}")
        assert answer.status_code == 200
        assert re.fullmatch(
            rf'attachment; {re.escape(named)}(-shot-1-take-1)?\.\w+"?', answer.headers["content-disposition"]
        )
        assert "set-cookie" not in answer.headers


@given(st.text() | st.text("a \r\n\t\"';/\\.:%-_*=,狐é\u0301\u202e\x00"))
def test_no_title_can_split_a_header(title: str) -> None:
    """Whatever it is: a name in quotes without any sign of its own, or one in ASCII as RFC 5987 has it."""
    name = file_name(title, "storyabcdefg")
    header = attachment(f"{name}.mp4")["Content-Disposition"]
    assert re.fullmatch(
        r"""attachment; (filename="[a-z0-9-]+\.mp4"|filename\*=utf-8''[a-zA-Z0-9%-]+\.mp4)""", header
    )
    assert unquote(header).removesuffix('"').endswith(f"{name}.mp4")


def test_logs_have_no_prompts(library, model, caplog, capfd, recwarn) -> None:
    """Of a whole story with mistakes and failures, at the level that logs every request."""
    caplog.set_level(logging.INFO)
    with serving(library, model, log_level="info", access_log=True) as server, server.client() as client:
        client.post("/api/stories", json={"setting": MARKER * 300})
        client.post("/api/stories", json={"setting": MARKER, MARKER: 1})
        client.post("/api/stories/import", content=f"setting: {MARKER}\nshots: [{MARKER}")
        client.post("/api/stories/import", content=f"setting: {MARKER}\nshots: [{MARKER}, {MARKER}]")
        named = {"setting": MARKER, "title": MARKER}
        story = client.post("/api/stories", json=named).json()["story"]
        client.patch(f"/api/stories/{story}", json={"title": MARKER * 2}).raise_for_status()
        client.patch(f"/api/stories/{story}", json={"title": MARKER * 50})
        with server.watch(story) as viewer:
            viewer.shoot(MARKER, chunks=2)
            branch = viewer.direct("branch", shot=0)["story"]
            for again in (story, branch):
                server.studio.engine.let_go(again).result(10)
                direct = {"type": "pause", "id": "again"}
                client.post(f"/api/stories/{again}/commands", json=direct).raise_for_status()
            viewer.direct("redirect", prompt=MARKER)
            viewer.direct("retake", shot=7, prompt=MARKER)
            viewer.socket.send(json.dumps({"type": "shoot", "prompt": MARKER}))
            viewer.until("error")
            library.full = True
            assert viewer.direct("shoot", prompt=MARKER)["type"] == "refused"
            library.full = False
            viewer.direct("resume")
            viewer.shoot(MARKER, chunks=1)
        for name in ("film.mp4", "story.yaml", "subtitles.srt"):
            client.get(f"/api/stories/{story}/{name}").raise_for_status()
    printed = capfd.readouterr()
    warned = [f"{warning.filename}:{warning.lineno} {warning.message}" for warning in recwarn]
    logged = "\n".join([*(_whole(record) for record in caplog.records), *warned, printed.out, printed.err])
    assert "POST /api/stories/import" in logged, "requests are logged"
    assert MARKER not in logged


def _whole(record: logging.LogRecord) -> str:
    """All that a handler could write of it."""
    stream = io.StringIO()
    logging.StreamHandler(stream).emit(record)
    return stream.getvalue()


def test_every_threat_is_covered_by_a_test_that_is_there() -> None:
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in (ROOT / "docs" / "security.md").read_text().splitlines()
        if line.startswith("|")
    ][2:]
    assert len(rows) > 15
    for threat, answer, tests in rows:
        assert len(answer.split()) > 3, threat
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, f"{threat}: no test"
        for file, name in named:
            assert name in _tests(ROOT / "tests" / file), f"{threat}: there is no {file}::{name}"


def _tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
