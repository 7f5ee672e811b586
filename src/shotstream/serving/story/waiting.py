"""What waits for its turn in a story, and how it stood before it was planned anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shotstream.serving.protocol.commands import PlannedShot, Replan, Retake, Shoot
from shotstream.serving.protocol.refusal import Refusal


class PlannedShoot(Shoot, PlannedShot):
    """A shot of a plan, as the queue has it."""


_Waiting = list[Shoot | Retake]


class WaitingQueue:
    """New shots, and stale ones to be taken anew, in the order of their turns.

    Skipped shots wait there, too, in their places. Their turn never comes.
    """

    def __init__(self) -> None:
        self._commands: _Waiting = []
        self._former: list[_Waiting] = []
        """The queue before each change that can be undone; what has begun since is no longer in it."""

    def __iter__(self) -> Iterator[Shoot | Retake]:
        return iter(self._commands)

    def __bool__(self) -> bool:
        """Whether anything waits whose turn will come."""
        return any(not is_skipped(command) for command in self)

    @property
    def new_shots(self) -> list[Shoot]:
        """The new shots alone, those that are skipped too."""
        return [command for command in self if isinstance(command, Shoot)]

    @property
    def coming_shots(self) -> list[Shoot]:
        """The new shots without those that are skipped."""
        return [shot for shot in self.new_shots if not is_skipped(shot)]

    @property
    def may_undo_idly(self) -> bool:
        """Whether the newest change can be undone without a shot that would begin by it."""
        return bool(self._former) and all(map(is_skipped, self._former[-1]))

    def shot_at(self, place: int) -> Shoot | None:
        """The new shot at a place among those that wait, from 0; None if there is none."""
        waiting = self.new_shots
        return waiting[place] if 0 <= place < len(waiting) else None

    def is_idle_plan(self, plan: Replan) -> bool:
        """Whether no shot would begin by a plan, though it changes something."""
        changes = bool(plan.shots or self.new_shots)
        return changes and all(shot.skipped for shot in plan.shots)

    def append(self, shot: Shoot) -> None:
        """Let a new shot wait behind all others."""
        self._commands.append(shot)

    def pop(self) -> Shoot | Retake:
        """Take out what has waited longest."""
        place = next(place for place, command in enumerate(self) if not is_skipped(command))
        begun = self._commands.pop(place)
        for former in self._former:
            same = [place for place, command in enumerate(former) if _same(command, begun)]
            if same:
                del former[min(same, key=lambda place: (is_skipped(former[place]), place))]
        return begun

    def clear(self) -> None:
        """Let nothing wait but what is skipped."""
        self._commands = [command for command in self if is_skipped(command)]

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
        place = next(place for place, command in enumerate(self) if command is shot)
        del self._commands[place]

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


def is_skipped(command: Shoot | Retake) -> bool:
    """Whether the turn of what waits never comes, as long as no plan says otherwise."""
    return isinstance(command, PlannedShoot) and command.skipped


def _same(one: Shoot | Retake, other: Shoot | Retake) -> bool:
    """Whether two commands are about the same shot; one that was moved may have more fields written out."""
    if isinstance(one, Shoot) and isinstance(other, Shoot):
        return one.prompt == other.prompt
    return isinstance(one, Retake) and isinstance(other, Retake) and one.shot == other.shot


def planned_shots(command: Replan) -> list[Shoot]:
    """The new shots that a command plans."""
    return [PlannedShoot(id=command.id, after=True, **dict(shot)) for shot in command.shots]
