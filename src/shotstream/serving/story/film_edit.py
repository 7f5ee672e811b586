"""What the film shows of its takes, what is heard with it, and its cast; no picture is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shotstream.serving.protocol.commands import SheetCharacter
from shotstream.serving.protocol.refusal import Refusal


@dataclass(frozen=True)
class FilmEdit:
    """In and out points of takes, sounds, and the cast sheet. It is replaced, never changed."""

    trims: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    """(shot, take) -> first and last frame that are shown, of takes that are trimmed; None: up to the end."""

    sounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Sound -> when it begins, in seconds, and its gain in decibels."""

    cast: tuple[SheetCharacter, ...] = ()
    """Who is called by name in it."""

    def with_cast(self, cast: Sequence[SheetCharacter]) -> FilmEdit:
        """Have another cast sheet."""
        return replace(self, cast=tuple(cast))

    def place(self, sound: str, offset_seconds: float, gain_db: float) -> FilmEdit:
        """Let a sound be heard from a moment on, so much louder than its file."""
        return replace(self, sounds=self.sounds | {sound: (offset_seconds, gain_db)})

    def silence(self, sound: str) -> FilmEdit:
        """Let a sound no longer be heard."""
        return replace(self, sounds={name: how for name, how in self.sounds.items() if name != sound})

    def trim(self, shot: int, take: int, in_frame: int, out_frame: int | None) -> FilmEdit:
        """Show these frames of a take alone; all of it from frame 0 on without a last one."""
        trims = {place: points for place, points in self.trims.items() if place != (shot, take)}
        if in_frame or out_frame is not None:
            trims[shot, take] = (in_frame, out_frame)
        return replace(self, trims=trims)

    def points(self, shot: int, take: int) -> tuple[int, int | None]:
        """The first and the last frame of a take that are shown; see `trims`."""
        return self.trims.get((shot, take), (0, None))

    def branch(self, shot: int) -> FilmEdit:
        """What a story has of it that shares this one up to and including a shot."""
        trims = {place: points for place, points in self.trims.items() if place[0] <= shot}
        return replace(self, trims=trims)


def out_frame_of(in_frame: int, out_frame: int | None, last: int, name: str) -> int | None:
    """The out point of a shot that people call `name`: None where it is the last frame, however long it gets.

    Raises:
        Refusal: If the shot has no such frame.
    """
    if (given := max(in_frame, out_frame or 0)) > last:
        raise Refusal("invalid", f"{name} has no frame {given}; its last frame is {last}")
    return None if out_frame == last else out_frame
