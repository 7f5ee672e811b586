"""What a browser and a telling say to one another, on the wire: JSON both ways, pictures in binary."""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from shotstream.serving.commands import ClientMessage, Command, Hello, Playhead
from shotstream.serving.events import Event

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
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        raise ProtocolError(f"{where}: {first['msg']}; see docs/protocol.md, version {VERSION}") from None


def read_command(body: dict[str, Any]) -> Command:
    """Read a command from JSON that was read already.

    Raises:
        ProtocolError: If it is none of this version.
    """
    message = read_message(json.dumps(body))
    if isinstance(message, Hello | Playhead):
        raise ProtocolError(f"{message.type} is no command; see docs/protocol.md, version {VERSION}")
    return message


def json_schema() -> dict[str, Any]:
    """The JSON schema of all messages: ``{"$defs": ..., "client": ..., "event": ...}``."""
    kinds = [("client", "validation", _CLIENT), ("event", "serialization", _EVENT)]
    roots, definitions = TypeAdapter.json_schemas(kinds)  # pyright: ignore[reportArgumentType]
    return {**definitions, **{kind: schema for (kind, _), schema in roots.items()}}


class VideoHeader(NamedTuple):
    """What stands before the payload of a binary message, little-endian, 22 bytes."""

    kind: int
    """1: H.264 access unit (Annex B); 2: JPEG thumbnail."""
    shot: int
    take: int
    frame: int
    flags: int
    """1: keyframe; 2: last of its shot."""
    microseconds: int
    """When it is to be shown, from the start of its shot."""

    def pack(self) -> bytes:
        """The header as bytes."""
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Read the header of a binary message."""
        return cls(*_HEADER.unpack_from(message))


_HEADER = struct.Struct("<BIIIBQ")
HEADER_BYTES = _HEADER.size
