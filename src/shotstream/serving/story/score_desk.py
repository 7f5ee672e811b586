"""Where scores of takes come in, and which commands of the studio's own follow from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from shotstream.serving.protocol.commands import Choose, Retake
from shotstream.serving.protocol.events import TakeContinuity
from shotstream.serving.story.director import Director


class ScoreDesk:
    """Takes in what was measured of one story, and says which commands follow from it.

    Any thread may call `put`; all else belongs to the engine's.
    """

    def __init__(self) -> None:
        self._measured: deque[tuple[int, TakeContinuity]] = deque(maxlen=256)
        self._open: set[int] = set()
        """Shots about which something may still be to be done."""

    def put(self, shot: int, continuity: TakeContinuity) -> None:
        """Hand in what was measured of a take of a shot."""
        self._measured.append((shot, continuity))

    def take_in(self, scores: dict[tuple[int, int], TakeContinuity]) -> bool:
        """Add what was handed in to a story's scores; return whether there was anything."""
        found = False
        while self._measured:
            shot, continuity = self._measured.popleft()
            scores[shot, continuity.take] = continuity
            self._open.add(shot)
            found = True
        return found

    def due(self, director: Director) -> Iterator[Choose | Retake]:
        """What is to be done now; what must wait until no shot is made is said later."""
        for shot in sorted(self._open):
            command, waits = _next_step(director, shot)
            if not waits:
                self._open.discard(shot)
            if command:
                yield command


def _next_step(director: Director, shot: int) -> tuple[Choose | Retake | None, bool]:
    """What is to be done about a shot, if anything, and whether that must wait."""
    live, contests = director.live, director.contests
    running = director.machine.running
    if any(isinstance(command, Retake) and command.shot == shot for command in director.waiting):
        return None, True
    if running and live and live.record.shot == shot:
        return None, True
    if shot >= len(director.session.script) or shot in director.session.context.left_out:
        return None, False
    if shot in contests.first_takes:
        command = contests.choice(shot, director.scores)
    else:
        command = contests.automatic(shot, director.session.script[shot].take, director.scores)
    if running and isinstance(command, Retake):
        return None, True  # it would cut the shot that runs
    return command, command is None and shot in contests.first_takes
