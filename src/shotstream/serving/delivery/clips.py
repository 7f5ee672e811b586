"""Clips: the video of chunks, as it goes to browsers and as it is kept."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

from shotstream.media.live import encode_chunk
from shotstream.serving.protocol.messages import HEADER_BYTES, VideoHeader
from shotstream.serving.storage.stored import StoredChunk
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


class DamagedClip(OSError):
    """A clip is not what was written; it is as good as missing, and made again like one."""


def pack_clip(messages: Sequence[bytes]) -> bytes:
    """The file of a clip: the messages one after another, each after its length (uint32, little-endian)."""
    return b"".join(_LENGTH.pack(len(message)) + message for message in messages)


def read_clip(chunk: StoredChunk) -> list[bytes]:
    """Read the messages of a chunk's clip.

    Raises:
        DamagedClip: If it is not what was written.
        OSError: If there is none.
    """
    data = chunk.clip.read_bytes()
    if chunk.clip_sha256 and hashlib.sha256(data).hexdigest() != chunk.clip_sha256:
        raise DamagedClip(f"{chunk.clip} is damaged: its checksum is another one")
    messages, start = [], 0
    while start + _LENGTH.size <= len(data):
        end = start + _LENGTH.size + _LENGTH.unpack_from(data, start)[0]
        messages.append(data[start + _LENGTH.size : end])
        start = end
    if start != len(data) or len(messages) != chunk.frames:
        raise DamagedClip(f"{chunk.clip} is damaged: it has not the {chunk.frames} frames of its chunk")
    return messages


def is_whole(chunk: StoredChunk) -> bool:
    """Whether a chunk has a clip that is what was written."""
    try:
        return bool(read_clip(chunk))
    except OSError:
        return False


def access_units(messages: Iterable[bytes]) -> list[bytes]:
    """The H.264 of messages, without what stands before it."""
    return [message[HEADER_BYTES:] for message in messages]
