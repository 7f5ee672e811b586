from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shotstream.serving.protocol import commands, events, messages
from shotstream.serving.protocol.commands import Hello, Playhead, Shoot
from shotstream.serving.protocol.messages import ProtocolError, VideoHeader, read_message
from shotstream.serving.protocol.states import TRANSITIONS, State

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[3]
PAGE = (PROJECT / "docs" / "protocol.md").read_text()
STUDIO = PROJECT / "studio"


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
    for event, leads in TRANSITIONS.items():
        cells = " | ".join(leads.get(before, "") for before in columns)
        assert re.sub(" +", " ", f"| `{event}` | {cells} |") in table
    assert all(f"| `{code}` |" in PAGE for code in get_args(events.RefusalCode))


def test_every_command_has_its_row_of_transitions() -> None:
    names = {kind.model_fields["type"].default for kind in kinds(commands.Command)}
    assert names == {event for event in TRANSITIONS if " " not in event}


def test_reads_what_a_page_sends() -> None:
    shot = read_message('{"type": "shoot", "id": "a1", "prompt": " a  fox\\nruns ", "seconds": 2}')
    assert shot == Shoot(id="a1", prompt=" a fox runs", seconds=2.0)
    assert isinstance(read_message('{"type": "hello", "protocol": 1}'), Hello)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("{", "this is no JSON: line 1: the file ends in the middle"),
        ('{"type": "sing", "id": "1"}', "sing"),
        ('{"type": "cut", "id": "1", "now": true}', "cut.now is unknown; leave it out"),
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


def test_the_schema_names_every_message_and_what_it_always_has() -> None:
    schema = messages.json_schema()
    named = schema["$defs"]
    assert [member["$ref"] for member in schema["anyOf"]] == ["#/$defs/ClientMessage", "#/$defs/Event"]
    for name, union in (("Command", commands.Command), ("Event", events.Event)):
        members = {member["$ref"] for member in named[name]["oneOf"]}
        assert members == {f"#/$defs/{kind.__name__}" for kind in kinds(union)}
    assert all("type" in named[kind.__name__]["required"] for kind in MESSAGES.values())
    assert set(named["Shoot"]["required"]) == {"type", "id", "prompt"}
    assert set(named["Receipt"]["required"]) == {"type", "id", "applies_from"}
    assert set(named["Limits"]["required"]) == set(events.Limits.model_fields)
    assert named["Shoot"]["additionalProperties"] is False
    assert named["Welcome"]["properties"]["size"]["items"] == [{"type": "integer"}] * 2
    assert named["Shoot"]["properties"]["after"]["description"].startswith("Wait until")


def test_the_studio_has_the_schema() -> None:
    """Write it anew with: python -m shotstream.serving.protocol.messages > studio/protocol.schema.json"""
    printed = subprocess.run(
        [sys.executable, "-m", "shotstream.serving.protocol.messages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == messages.json_schema()
    assert (STUDIO / "protocol.schema.json").read_text() == printed


def test_the_page_has_every_field_of_what_messages_are_made_of() -> None:
    text = PAGE.split("## To the page")[1].split("## States")[0]
    for kind in (events.Snapshot, events.ShotCard, events.MemoryFrame, events.Memory, events.Parent):
        for field, info in kind.model_fields.items():
            assert f"`{field}`" in text if info.is_required() else f"`{field}?`" in text, (kind, field)


def test_the_page_says_where_every_field_of_a_video_header_is() -> None:
    table = re.findall(r"^\| ([0-9-]+) \| `([a-z]+)` uint(\d+) \|", PAGE.split("## Video")[1], re.MULTILINE)
    assert [name for _, name, _ in table] == list(VideoHeader._fields)
    for place, name, bits in table:
        first, _, last = place.partition("-")
        ones = VideoHeader(0, 0, 0, 0, 0, 0)._replace(**{name: 2 ** int(bits) - 1}).pack()
        assert [at for at, byte in enumerate(ones) if byte] == list(range(int(first), int(last or first) + 1))


def test_a_video_header_is_22_bytes() -> None:
    header = VideoHeader(kind=1, shot=2, take=3, frame=4, flags=3, microseconds=10**12)
    assert len(header.pack()) == 22
    assert header.pack()[:5] == b"\x01\x02\x00\x00\x00"
    assert VideoHeader.unpack(header.pack() + b"payload") == header
