"""Clips: the video of chunks, as it goes to browsers and as it is kept."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from shotstream.media.files import write_bytes
from shotstream.media.live import encode_chunk
from shotstream.serving.protocol.messages import HEADER_BYTES, VideoHeader
from shotstream.streaming.chunk import Chunk

H264 = 1
KEYFRAME = 1
LAST_OF_SHOT = 2

_LENGTH = struct.Struct("<I")


def encode_clip(chunk: Chunk) -> list[bytes]:
    """Encode a chunk: a message per frame, as browsers take them. It depends on no other chunk."""
    units = encode_chunk(chunk.frames, chunk.fps)
    messages = []
    for place, unit in enumerate(units):
        frame = chunk.first_frame + place
        flags = KEYFRAME * (place == 0) + LAST_OF_SHOT * (chunk.last and place == len(units) - 1)
        microseconds = round(frame / chunk.fps * 1e6)
        messages.append(VideoHeader(H264, chunk.shot, chunk.take, frame, flags, microseconds).pack() + unit)
    return messages


def write_clip(path: Path, messages: Sequence[bytes]) -> None:
    """Keep a clip: the messages one after another, each with its length before it (uint32, little-endian).

    Raises:
        MediaError: If it cannot be written.
    """
    write_bytes(path, b"".join(_LENGTH.pack(len(message)) + message for message in messages))


def read_clip(path: Path) -> list[bytes]:
    """Read the messages of a clip.

    Raises:
        OSError: If there is no such file.
    """
    data, messages, start = path.read_bytes(), [], 0
    while start < len(data):
        end = start + _LENGTH.size + _LENGTH.unpack_from(data, start)[0]
        messages.append(data[start + _LENGTH.size : end])
        start = end
    return messages


def access_units(messages: Iterable[bytes]) -> list[bytes]:
    """The H.264 of messages, without what stands before it."""
    return [message[HEADER_BYTES:] for message in messages]
