"""What a browser and a story say to one another, on the wire: JSON both ways, pictures in binary."""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from shotstream.media.faults import say_faults
from shotstream.serving.protocol.commands import ClientMessage, Command, Hello, Playhead
from shotstream.serving.protocol.events import Event

VERSION = 1

_CLIENT: TypeAdapter[Hello | Playhead | Command] = TypeAdapter(ClientMessage)
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class ProtocolError(ValueError):
    """A message cannot be read; the sentence says which field and why."""


def read_message(text: str | bytes) -> Hello | Playhead | Command:
    """Read what a browser sent.

    Raises:
        ProtocolError: If it is no message of this version.
    """
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        said = say_faults(error.errors(include_url=False))
        raise ProtocolError(f"{said}; see docs/protocol.md, version {VERSION}") from None


def read_command(body: dict[str, Any]) -> Command:
    """Read a command from JSON that was read already.

    Raises:
        ProtocolError: If it is none of this version.
    """
    message = read_message(json.dumps(body))
    if isinstance(message, Hello | Playhead):
        raise ProtocolError(f"{message.type} is no command; see docs/protocol.md, version {VERSION}")
    return message


class _Schema(GenerateJsonSchema):
    """Draft 7, from which `json-schema-to-typescript` makes good types."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Only messages have names; a title is a type of its own there."""
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        """What tells messages apart is always there, and so is what an event has a value for anyway."""
        inner = field["schema"]
        if inner["type"] == "default" and inner["schema"]["type"] == "literal":
            return True
        if inner["type"] == "default" and self.mode == "serialization":
            return inner["default"] is not None
        return super().field_is_required(field, total)

    def tuple_schema(self, schema: Any) -> dict[str, Any]:
        """Draft 7 has the places of a tuple under another name."""
        made = super().tuple_schema(schema)
        return {"items" if name == "prefixItems" else name: value for name, value in made.items()}


def json_schema() -> dict[str, Any]:
    """The JSON schema of all messages, draft 7.

    Its root is any of ``ClientMessage`` and ``Event``, which stand under ``$defs`` with ``Command`` and every
    kind of message.
    """
    kinds = [
        ("ClientMessage", "validation", _CLIENT),
        ("Command", "validation", TypeAdapter(Command)),
        ("Event", "serialization", _EVENT),
    ]
    roots, schema = TypeAdapter.json_schemas(kinds, schema_generator=_Schema)  # pyright: ignore[reportArgumentType]
    unions = {kind: {**union, "title": kind} for (kind, _), union in roots.items()}
    client = [{"$ref": f"#/$defs/{kind}"} for kind in ("Hello", "Playhead", "Command")]
    unions["ClientMessage"] = {"title": "ClientMessage", "anyOf": client}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Protocol",
        "description": f"Version {VERSION}: all that a browser and a story say to one another in JSON.",
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/Event"}],
        "$defs": {**schema["$defs"], **unions},
    }


class VideoHeader(NamedTuple):
    """What stands before a frame of video in a binary message, little-endian, 22 bytes.

    Every chunk is a closed group of pictures: its first frame is a keyframe (SPS, PPS, IDR), and it needs no
    other chunk.
    """

    kind: int
    """1: an H.264 access unit (Annex B), which is one frame. There is no other kind yet."""
    shot: int
    take: int
    frame: int
    flags: int
    """The sum of 1: keyframe; 2: last of its shot."""
    microseconds: int
    """When it is to be shown, from the start of its shot: ``frame / fps``."""

    def pack(self) -> bytes:
        """The header as bytes."""
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Read the header of a binary message."""
        return cls(*_HEADER.unpack_from(message))


_HEADER = struct.Struct("<BIIIBQ")
HEADER_BYTES = _HEADER.size

if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, sort_keys=True))
