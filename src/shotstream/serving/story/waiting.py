"""What waits for its turn in a story, and how it stood before it was planned anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shotstream.serving.protocol.commands import Replan, Retake, Shoot
from shotstream.serving.protocol.refusal import Refusal

_Waiting = list[Shoot | Retake]


class WaitingQueue:
    """New shots, and stale ones to be taken anew, in the order of their turns."""

    def __init__(self) -> None:
        self._commands: _Waiting = []
        self._former: list[_Waiting] = []
        """The queue before each change that can be undone; what has begun since is no longer in it."""

    def __iter__(self) -> Iterator[Shoot | Retake]:
        return iter(self._commands)

    def __bool__(self) -> bool:
        return bool(self._commands)

    @property
    def new_shots(self) -> list[Shoot]:
        """The new shots alone."""
        return [command for command in self if isinstance(command, Shoot)]

    def append(self, shot: Shoot) -> None:
        """Let a new shot wait behind all others."""
        self._commands.append(shot)

    def pop(self) -> Shoot | Retake:
        """Take out what has waited longest."""
        begun = self._commands.pop(0)
        for former in self._former:
            same = (place for place, command in enumerate(former) if _same(command, begun))
            if (place := next(same, None)) is not None:
                del former[place]
        return begun

    def clear(self) -> None:
        """Let nothing wait."""
        self._commands = []

    def drop_retakes(self, shot: int) -> None:
        """Take out the retakes of one shot: it is another one by now."""
        self._commands = [
            command for command in self if not (isinstance(command, Retake) and command.shot == shot)
        ]

    def put_first(self, retakes: Iterable[Retake], *, keep_others: bool = False) -> None:
        """Let these wait before the new shots, in the place of all other retakes or before those."""
        others = self._commands if keep_others else self.new_shots
        self._commands = [*retakes, *others]

    def remove(self, shot: Shoot) -> None:
        """Take out a new shot; it can be undone."""
        self._note()
        self._commands.remove(shot)

    def replace(self, shots: Iterable[Shoot]) -> None:
        """Let these new shots wait instead of the others, behind the retakes; it can be undone."""
        self._note()
        self._commands = [*(command for command in self if isinstance(command, Retake)), *shots]

    def undo(self) -> None:
        """Take back the newest change that can be undone.

        Raises:
            Refusal: If there is none.
        """
        if not self._former:
            raise Refusal("not_now", "there is nothing to take back: what waits has not changed")
        self._commands = self._former.pop()

    def forget_former(self) -> None:
        """Let no earlier change be undone."""
        self._former = []

    def _note(self) -> None:
        self._former.append(list(self._commands))


def _same(one: Shoot | Retake, other: Shoot | Retake) -> bool:
    """Whether two commands are about the same shot; one that was moved may have more fields written out."""
    if isinstance(one, Shoot) and isinstance(other, Shoot):
        return one.prompt == other.prompt
    return isinstance(one, Retake) and isinstance(other, Retake) and one.shot == other.shot


def planned_shots(command: Replan) -> list[Shoot]:
    """The new shots that a command plans."""
    return [Shoot(id=command.id, after=True, **dict(shot)) for shot in command.shots]
