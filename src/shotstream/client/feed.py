"""What a studio says over a socket, put together; it does no input or output itself."""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from shotstream.media.live import decode_chunk
from shotstream.serving.protocol.commands import ChunkPlace, Command, Hello, Playhead
from shotstream.serving.protocol.events import (
    Deleted,
    Dropped,
    ErrorMessage,
    Event,
    Figures,
    MemoryChanged,
    Receipt,
    Refused,
    ShotCard,
    ShotChanged,
    StateChanged,
    Turned,
    Welcome,
)
from shotstream.serving.protocol.messages import HEADER_BYTES, VERSION, VideoHeader, read_command
from shotstream.serving.protocol.states import State

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_KEYFRAME, _LAST_OF_SHOT = 1, 2


class StudioError(RuntimeError):
    """A studio has refused something, or a story stands still; the message is its sentence.

    Args:
        message: The sentence.
        code: What kind of reason: a `RefusalCode`, an HTTP status, or the code of a closed socket.
    """

    def __init__(self, message: str, code: str | int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Clip:
    """The frames of one chunk, as they came."""

    shot: int
    take: int
    first_frame: int
    """Number of its first frame in the shot."""
    last: bool
    """Whether its shot was planned to end with it; one that is cut ends without."""
    units: list[bytes]
    """H.264 access units, one a frame."""

    @property
    def end_frame(self) -> int:
        """Number of the frame after its last one."""
        return self.first_frame + len(self.units)

    @property
    def frames(self) -> np.ndarray:
        """Its pictures, uint8 ``[T, H, W, 3]``, decoded each time it is asked for.

        Raises:
            ValueError: If they are damaged.
        """
        return decode_chunk(self.units)


class Feed:
    """One story, told by the messages of its socket.

    A clip is whole when its shot's card has counted its last frame, when the next clip begins, or when
    something else is said: the messages of a clip come in one piece.

    Args:
        story: Its id.
    """

    def __init__(self, story: str) -> None:
        self.story = story
        self.welcome: Welcome | None = None
        self.state = State.IDLE
        self.reason: str | None = None
        """Why it stands still."""
        self.cards: dict[int, ShotCard] = {}
        self.figures: Figures | None = None
        self.clips: deque[Clip] = deque()
        """Whole clips that nobody has taken yet, in order."""
        self.answers: dict[str, Receipt | Refused] = {}
        """Answers that nobody has taken yet, by the ids of their commands."""
        self.dropped_frames = 0
        """Frames that were left out because this viewer was too slow."""
        self._part: list[tuple[VideoHeader, bytes]] = []
        self._seen: dict[tuple[int, int], int] = {}
        """(shot, take) -> number of the frame after the newest that came."""
        self._expected: set[int] = set()
        """Shots that ran or waited since the socket was opened: all their frames come."""
        self._names = (f"{secrets.token_hex(4)}-{number}" for number in itertools.count())

    # ---- to the studio ----

    def hello(self, after: ChunkPlace | None = None) -> str:
        """The first message of the socket; with `after`, what came behind that chunk is sent again."""
        return Hello(protocol=VERSION, story=self.story, after=after).model_dump_json(exclude_none=True)

    def command(self, kind: str, **fields: Any) -> Command:
        """Make a command with an id of its own; fields that are None are left out.

        Raises:
            ProtocolError: If docs/protocol.md has no such command.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        return read_command({"type": kind, "id": next(self._names), **given})

    def playhead(self, clip: Clip, frame: int) -> str:
        """Say that this frame of the clip's take is shown."""
        playhead = Playhead(shot=clip.shot, take=clip.take, frame=frame)
        return playhead.model_dump_json()

    # ---- from the studio ----

    def hear(self, message: str | bytes) -> Event | VideoHeader:
        """Take in a message of the socket; return what it says.

        Raises:
            ValueError: If it is none of this version of the protocol.
        """
        if isinstance(message, bytes):
            return self._see(message)
        self._end_clip()
        event = _EVENT.validate_json(message)
        match event:
            case Welcome():
                self.welcome = event
                self.state, self.reason = event.snapshot.state, event.snapshot.reason
                self.cards = {}
                for card in event.snapshot.shots:
                    self._draw(card)
            case Receipt() | Refused():
                self.answers[event.id] = event
            case StateChanged():
                self.state, self.reason = event.state, event.reason
            case ShotChanged():
                self._draw(event)
            case Deleted():
                self.cards.pop(event.shot, None)
            case Turned():
                self._let_go(event)
            case Figures():
                self.figures = event
            case Dropped():
                self.dropped_frames += event.frames
            case ErrorMessage():
                raise StudioError(event.message, "error")
            case MemoryChanged():
                pass
        return event

    def _let_go(self, turned: Turned) -> None:
        """Forget what came of a take and is no longer part of it."""
        take, first = (turned.shot, turned.take), turned.frame
        self.clips = deque(
            clip for clip in self.clips if (clip.shot, clip.take) != take or clip.first_frame < first
        )
        self._seen[take] = min(self._seen.get(take, 0), first)

    def _draw(self, card: ShotCard) -> None:
        self.cards[card.number] = card
        if card.state in ("queued", "live"):
            self._expected.add(card.number)

    def _see(self, message: bytes) -> VideoHeader:
        header = VideoHeader.unpack(message)
        if header.flags & _KEYFRAME:
            self._end_clip()
        self._part.append((header, message[HEADER_BYTES:]))
        take = header.shot, header.take
        self._seen[take] = max(self._seen.get(take, 0), header.frame + 1)
        card = self.cards.get(header.shot)
        counted = card is not None and (card.take, card.frames) == (header.take, header.frame + 1)
        if counted or header.flags & _LAST_OF_SHOT:
            self._end_clip()
        return header

    def _end_clip(self) -> None:
        if self._part:
            (first, _), (last, _) = self._part[0], self._part[-1]
            units = [unit for _, unit in self._part]
            is_last = bool(last.flags & _LAST_OF_SHOT)
            self.clips.append(Clip(first.shot, first.take, first.frame, is_last, units))
            self._part.clear()

    def next_take(self, shot: int) -> int:
        """The number that the next take of a shot gets."""
        card = self.cards.get(shot)
        return max((take for take, _ in card.made), default=-1) + 1 if card else 0

    def next_clip(self, shot: int, take: int = 0) -> Clip | None:
        """Take the oldest clip of the newest take of a shot; those of others that came before are let go.

        Args:
            shot: Its number.
            take: The oldest take that is wanted: the card may still be that of the take before.
        """
        while self.clips:
            clip = self.clips.popleft()
            card = self.cards.get(shot)
            if clip.shot == shot and clip.take >= max(take, card.take if card else 0):
                return clip
        return None

    def has_ended(self, shot: int) -> bool:
        """Whether a shot is made, and all that will come of it has come.

        Raises:
            StudioError: If the story stands still, so that it will not end by itself.
        """
        if self.state is State.FAILED:
            raise StudioError(self.reason or "the story stands still", "not_now")
        card = self.cards.get(shot)
        if card is None:
            return True
        has_come = self._seen.get((shot, card.take), 0) >= card.frames
        return card.state in ("done", "stale", "deleted") and (has_come or shot not in self._expected)

    def accepted(self, answer: Receipt | Refused) -> Receipt:
        """A receipt as it is.

        Raises:
            StudioError: If it is none.
        """
        if isinstance(answer, Refused):
            raise StudioError(answer.message, answer.code)
        return answer
