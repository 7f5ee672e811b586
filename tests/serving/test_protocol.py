from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shotstream.serving import commands, events, protocol
from shotstream.serving.commands import Hello, Playhead, Shoot
from shotstream.serving.protocol import ProtocolError, VideoHeader, read_message
from shotstream.serving.states import TRANSITIONS, State

pytestmark = pytest.mark.cpu

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def kinds(union: object) -> list[type[BaseModel]]:
    return list(get_args(get_args(union)[0]))


MESSAGES = {
    kind.model_fields["type"].default: kind
    for kind in (Hello, Playhead, *kinds(commands.Command), *kinds(events.Event))
}


MESSAGE_ROW = re.compile(r"^\| `([a-z]+)` \|([^|]*)\|[^|]*\|$", re.MULTILINE)


def test_the_page_has_every_message_with_its_fields() -> None:
    rows = MESSAGE_ROW.findall(PAGE.split("## States")[0])
    written = {name: set(re.findall(r"`([a-z_]+\??)`", cell)) for name, cell in rows}
    for name, kind in MESSAGES.items():
        hidden = {"type", "id"} if name in TRANSITIONS else {"type"}
        fields = {
            field + ("" if info.is_required() or (name, field) == ("welcome", "protocol") else "?")
            for field, info in kind.model_fields.items()
            if field not in hidden
        }
        assert written.pop(name) == fields, name
    assert not written


def test_the_page_has_every_transition_and_refusal() -> None:
    columns = [State.IDLE, State.SHOOTING, State.HOLDING, State.CUTTING]
    table = PAGE.split("## States")[1]
    for happening, leads in TRANSITIONS.items():
        cells = " | ".join(leads.get(before, "") for before in columns)
        assert re.sub(" +", " ", f"| `{happening}` | {cells} |") in table
    assert all(f"| `{code}` |" in PAGE for code in get_args(events.RefusalCode))


def test_every_command_has_its_row_of_transitions() -> None:
    names = {kind.model_fields["type"].default for kind in kinds(commands.Command)}
    assert names == {happening for happening in TRANSITIONS if " " not in happening}


def test_reads_what_a_page_sends() -> None:
    shot = read_message('{"type": "shoot", "id": "a1", "prompt": " a  fox\\nruns ", "seconds": 2}')
    assert shot == Shoot(id="a1", prompt="a fox runs", seconds=2.0)
    assert isinstance(read_message('{"type": "hello", "protocol": 1}'), Hello)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("{", "Invalid JSON"),
        ('{"type": "sing", "id": "1"}', "sing"),
        ('{"type": "cut", "id": "1", "now": true}', "cut.now: Extra inputs are not permitted"),
        ('{"type": "cut", "id": ""}', "cut.id"),
        ('{"type": "retake", "id": "1", "shot": "0"}', "retake.shot"),
        ('{"type": "retake", "id": "1", "shot": -1}', "retake.shot"),
        ('{"type": "shoot", "id": "1", "prompt": " "}', "shoot.prompt"),
        ('{"type": "shoot", "id": "1", "prompt": "a", "seed": 9007199254740992}', "shoot.seed"),
        ('{"type": "shoot", "id": "1", "prompt": "a", "seconds": 1, "chunks": 1}', "both seconds and chunks"),
        ('{"type": "extend", "id": "1"}', "neither seconds nor chunks"),
        ('{"type": "reference", "id": "1", "upload": "../etc"}', "reference.upload"),
        ('{"type": "hello", "protocol": 2}', "hello.protocol"),
    ],
)
def test_says_what_cannot_be_read(message: str, sentence: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(sentence)):
        read_message(message)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["id", "shot", "frame", "prompt", "seconds", "chunks", "seed", "protocol", "after"])


@given(
    st.binary()
    | anything.map(json.dumps)
    | st.builds(
        lambda kind, fields: json.dumps({"type": kind, **fields}),
        st.sampled_from(sorted(MESSAGES)),
        st.dictionaries(names, anything, max_size=4),
    )
)
def test_whatever_is_sent_is_read_or_refused(message: str | bytes) -> None:
    try:
        read = read_message(message)
    except ProtocolError:
        return
    assert read_message(read.model_dump_json()) == read


def test_the_schema_names_every_message() -> None:
    schema = protocol.json_schema()
    assert {"client", "event", "$defs"} == set(schema)
    assert {kind.__name__ for kind in MESSAGES.values()} <= set(schema["$defs"])
    assert schema["$defs"]["Shoot"]["additionalProperties"] is False


def test_a_video_header_is_22_bytes() -> None:
    header = VideoHeader(kind=1, shot=2, take=3, frame=4, flags=3, microseconds=10**12)
    assert len(header.pack()) == 22
    assert header.pack()[:5] == b"\x01\x02\x00\x00\x00"
    assert VideoHeader.unpack(header.pack() + b"payload") == header
