"""Whatever is sent: every request is answered as the OpenAPI file says, every command once; nothing breaks.

With `SHOTSTREAM_LONG=1` there are more than 10,000 cases; `-s` shows how many.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from shotstream.serving.protocol.commands import Command, Directive
from shotstream.serving.protocol.events import Limits
from shotstream.serving.protocol.messages import ProtocolError, read_message
from shotstream.serving.web.server import MOST_MESSAGE_BYTES
from tests.serving.conftest import MEMORY, Library
from tests.serving.web.conftest import LONG, Server, serving
from tests.serving.web.pictures import picture

pytestmark = pytest.mark.system

CASES_OF_AN_OPERATION = 120 if LONG else 3
STORY_FILES = 500 if LONG else 8
SOCKETS = 6000 if LONG else 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def fuzzing(cases: int) -> settings:
    return settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=not LONG,
        suppress_health_check=list(HealthCheck),
    )


class Tally:
    """How many cases there were of what, and what was answered."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.since = time.monotonic()

    def report(self) -> str:
        cases = ", ".join(f"{count} {kind}" for kind, count in self.cases.items())
        answers = ", ".join(f"{count} x {answer}" for answer, count in self.answers.most_common())
        seconds = time.monotonic() - self.since
        return f"{self.cases.total()} cases in {seconds:.0f} s ({cases}); answers: {answers}"


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    tally = Tally()
    yield tally
    print(f"\nfuzz: {tally.report()}")


@pytest.fixture(scope="module")
def fuzzed(model) -> Iterator[Server]:
    with (
        TemporaryDirectory(dir=MEMORY) as folder,
        Library(Path(folder) / "library") as library,
        serving(library, model, limits=Limits(shot_seconds=4.0)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def known(fuzzed: Server) -> dict[str, str]:
    """Names that are there: a story that no case can remove, for it has a branch, and a picture."""
    with fuzzed.watch() as viewer:
        viewer.shoot(chunks=2)
        viewer.direct("branch", shot=0)
    with fuzzed.client() as client:
        return {
            "story": viewer.story,
            "video": viewer.story,
            "upload": client.post("/api/uploads", content=picture()).json()["upload"],
        }


@pytest.fixture(autouse=True)
def nothing_breaks(fuzzed: Server, caplog) -> Iterator[None]:
    """Afterwards the server serves as before, and its log has no errors."""
    yield
    with fuzzed.client() as client:
        assert client.get("/readyz").status_code == 200
    with fuzzed.watch() as viewer:
        viewer.shoot(chunks=1)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, errors[0]


# ---- HTTP ----


@pytest.mark.parametrize("mode", GenerationMode, ids=str)
def test_every_request_is_answered_as_the_openapi_file_says(
    fuzzed: Server, known: dict[str, str], tally: Tally, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{fuzzed.url}/api/openapi.json")
    schema = schema.exclude(path="/api/stories/{story}/events")  # it never ends; tests/client has its tests
    for found in schema.get_all_operations():
        operation = found.ok()

        @fuzzing(CASES_OF_AN_OPERATION)
        @given(case=operation.as_strategy(generation_mode=mode), there=st.booleans(), near=st.booleans())
        def answered(case: Any, there: bool, near: bool) -> None:
            for name in case.path_parameters or {}:
                if there and name in known:
                    case.path_parameters[name] = known[name]
                elif near and name in ("shot", "take", "frame"):
                    case.path_parameters[name] = 0
            answer = case.call_and_validate(checks=CHECKS, timeout=20)
            tally.cases["requests"] += 1
            tally.answers[str(answer.status_code)] += 1

        with suppress(Unsatisfiable):  # of what takes nothing, nothing is wrong
            answered()
    with fuzzed.client() as client:
        client.post(f"/api/stories/{known['story']}/undelete").raise_for_status()


WORDS = st.one_of(
    st.sampled_from(["a fox runs", "a cat", "", "x" * 2001, "on", "1e3", "~"]), st.text(max_size=20)
)
SHOTS = st.one_of(
    WORDS,
    st.fixed_dictionaries(
        {"prompt": WORDS},
        optional={
            "seconds": st.floats(0, 5),
            "chunks": st.integers(0, 4),
            "seed": st.integers(-1, 2**63),
            "other": st.none(),
        },
    ),
)
SCRIPTS = st.fixed_dictionaries(
    {"setting": WORDS, "shots": st.lists(SHOTS, max_size=3)},
    optional={"seed": st.integers(-1, 2**64), "title": WORDS, "more": WORDS},
)


def test_every_story_file_is_told_or_its_mistakes_are(fuzzed: Server, tally: Tally) -> None:
    with fuzzed.client() as client:

        @fuzzing(STORY_FILES)
        @given(SCRIPTS, st.sampled_from(["films", "stories/import"]), st.data())
        def told(script: dict, path: str, data: st.DataObject) -> None:
            text = json.dumps(script)
            if data.draw(st.integers(0, 3)) == 0:
                text = data.draw(damaged(text))
            kind = data.draw(st.sampled_from(["text/yaml", "application/json"]))
            answer = client.post(
                f"/api/{path}", content=text.encode(errors="replace"), headers={"content-type": kind}
            )
            tally.cases["story files"] += 1
            tally.answers[str(answer.status_code)] += 1
            assert answer.status_code in (200, 201, 409, 422), answer.text
            if answer.status_code >= 400:
                assert len(answer.json()["detail"].split()) > 2
            elif path == "films":
                assert answer.content[4:8] == b"ftyp"

        told()


# ---- sockets ----

COUNTS = st.one_of(st.integers(0, 3), st.integers(-1, 2**32))
VALUES: dict[str, st.SearchStrategy] = {
    "id": st.one_of(st.sampled_from(["a", "b", "c"]), st.text(" abcXYZ~", min_size=1, max_size=64)),
    "prompt": st.one_of(st.sampled_from(["a fox runs", "a red cat sleeps", "x" * 2001]), st.text(min_size=1)),
    "seconds": st.floats(0.01, 10),
    "chunks": st.integers(1, 5),
    "seed": st.integers(0, 2**53 - 1),
    "after": st.booleans(),
    "upload": st.sampled_from(["known", "a"]),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def command_of(kind: type[Directive]) -> st.SearchStrategy[dict]:
    """A command with all that it needs, and some of what it may have."""
    needed, free = {}, {}
    for name, field in kind.model_fields.items():
        if name == "type":
            needed[name] = st.just(field.default)
        else:
            (needed if field.is_required() else free)[name] = VALUES.get(name, COUNTS)
    return st.fixed_dictionaries(needed, optional=free)


COMMANDS = st.one_of([command_of(kind) for kind in get_args(get_args(Command)[0])])
PLAYHEADS = st.fixed_dictionaries(
    {"type": st.just("playhead"), "shot": COUNTS, "take": COUNTS, "frame": st.integers(0, 40)}
)
HELLOS = st.fixed_dictionaries(
    {"type": st.just("hello"), "protocol": st.integers(0, 2)}, optional={"story": JSON, "after": JSON}
)
VALID = st.one_of(COMMANDS, COMMANDS, PLAYHEADS, HELLOS)


@st.composite
def damaged(draw: Callable, text: str) -> str:
    """Cut off, doubled, or with something else in the middle."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    return (
        text[:start]
        + draw(st.sampled_from(["", text[start:end] * 2, "\x00", "null", "{", "\\ud800", "9" * 400]))
        + text[end:]
    )


@st.composite
def nearly_valid(draw: Callable) -> str:
    """A message with one thing wrong, or its text damaged."""
    message = dict(draw(VALID))
    match draw(st.integers(0, 3)):
        case 0:
            del message[draw(st.sampled_from(sorted(message)))]
        case 1:
            message[draw(st.sampled_from(sorted(message)))] = draw(JSON)
        case 2:
            message[draw(st.text(max_size=8))] = draw(JSON)
        case _:
            return draw(damaged(json.dumps(message)))
    return json.dumps(message)


Said = str | bytes | tuple[bytes]
"""Text, bytes, or bytes that say that they are text."""
MESSAGES = st.one_of(
    VALID.map(json.dumps),
    VALID.map(json.dumps),
    VALID.map(lambda message: json.dumps(message).encode()),
    nearly_valid(),
    JSON.map(json.dumps),
    st.text(max_size=200).filter(lambda text: text.isprintable()),
    st.binary(max_size=200),
)
STORIES_LAST = 40
"""Cases after which another story is begun."""


def test_whatever_is_said_over_a_socket(fuzzed: Server, known: dict[str, str], tally: Tally) -> None:
    story = ""

    @fuzzing(SOCKETS)
    @given(st.lists(MESSAGES, max_size=12), st.integers(0, 30))
    def heard(messages: list[str | bytes], luck: int) -> None:
        nonlocal story
        messages = [_with_known(message, known["upload"]) for message in messages]
        if tally.cases["sockets"] % STORIES_LAST == 0:
            with fuzzed.client() as client:
                story = (
                    client.post("/api/stories", json={"setting": "a fox"}).raise_for_status().json()["story"]
                )
        tally.cases["sockets"] += 1
        with connect(fuzzed.live, max_queue=None, compression=None) as socket:
            if luck == 30:
                return _begin_badly(socket, messages, tally)
            socket.send(json.dumps({"type": "hello", "protocol": 1, "story": story}))
            for message in messages:
                socket.send(message)
            if luck == 29:  # vanish
                socket.socket.close()
            elif luck == 28:
                socket.send(b"\xff\xfe", text=True)
                _expect_end(socket, {1007}, tally)
            elif luck == 27:
                socket.send("x" * (MOST_MESSAGE_BYTES + 1))
                _expect_end(socket, {1009}, tally)
            else:
                _expect_answers(socket, messages, tally)

    heard()


def _with_known(message: str | bytes, upload: str) -> str | bytes:
    if isinstance(message, str):
        return message.replace('"upload": "known"', f'"upload": "{upload}"')
    return message


def _begin_badly(socket: Any, messages: list[str | bytes], tally: Tally) -> None:
    """Begin with anything."""
    for message in messages:
        try:
            socket.send(message)
        except ConnectionClosed:
            break
    socket.send('{"type": "pause", "id": "first"}') if not messages else None
    if messages and _is_hello(messages[0]):
        return
    _expect_end(socket, {4001}, tally)


def _is_hello(message: str | bytes) -> bool:
    try:
        return read_message(message).type == "hello"
    except ProtocolError:
        return False


def _expect_end(socket: Any, codes: set[int], tally: Tally) -> None:
    with suppress(ConnectionClosed):
        while True:
            socket.recv(10)
    assert socket.close_code in codes
    tally.answers[f"close {socket.close_code}"] += 1


def _expect_answers(socket: Any, messages: list[str | bytes], tally: Tally) -> None:
    """Every command is answered once, and all else that can be answered by an error."""
    wanted: Counter[str] = Counter()
    errors = 0
    for message in messages:
        try:
            read = read_message(message)
        except ProtocolError:
            errors += 1
            continue
        if isinstance(read, Directive):
            wanted[read.id] += 1
        errors += read.type == "hello"
    last = "the last one of all of them"
    socket.send(json.dumps({"type": "pause", "id": last}))
    answered: Counter[str] = Counter()
    while not answered[last]:
        said = socket.recv(10)
        event = json.loads(said) if isinstance(said, str) else {"type": "video"}
        if event["type"] in ("receipt", "refused"):
            answered[event["id"]] += 1
            tally.answers[event.get("code", "receipt")] += 1
        errors -= event["type"] == "error"
    assert answered - Counter([last]) == wanted
    assert errors == 0
