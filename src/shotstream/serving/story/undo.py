"""What a story can undo, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from shotstream.serving.protocol.commands import UNDO_SURVIVES, Command, Replan
from shotstream.serving.story.film_edit import FilmEdit
from shotstream.streaming.take import SessionSnapshot

Deletion = TypeVar("Deletion")
"""What it takes to bring a deleted shot back; it is of no concern here."""


@dataclass(frozen=True)
class BeforeDeletion:
    """A story as it was before a shot was deleted."""

    session: SessionSnapshot
    edits: dict[int, str]
    stale: set[int]


@dataclass(frozen=True)
class BeforeMove:
    """What takes a move of a shot back."""

    shot: int
    place: int
    """Where it stood."""
    stale: frozenset[int] = frozenset()
    """What was stale then."""
    takes: int = 0
    """How many takes the story had then."""


class UndoHistory(Generic[Deletion]):
    """Deleted and moved shots, former edits of the film and changes of the queue, oldest first.

    No deletion or move lies under a change of the queue: what makes a shot run forgets deletions, and what
    changes the queue forgets moves. So a journal, which does not know when a shot runs, finds the same.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[Deletion] | FilmEdit | BeforeMove | None] = []
        """None is a change of the queue, which the queue itself takes back."""

    def deleted(self, deletion: Deletion) -> None:
        """Note that a shot was deleted."""
        self._entries.append((deletion,))

    def moved(self, former: BeforeMove) -> None:
        """Note that a shot was moved."""
        self._entries.append(former)

    def edited(self, former: FilmEdit) -> None:
        """Note how the film was edited before."""
        self._entries.append(former)

    def planned(self) -> None:
        """Note that the queue was changed."""
        self._entries = [entry for entry in self._entries if not isinstance(entry, BeforeMove)]
        self._entries.append(None)

    def after(self, command: Command) -> bool:
        """Forget what cannot be undone after a command; return whether that is all of it."""
        if isinstance(command, Replan):
            self._entries = [entry for entry in self._entries if not isinstance(entry, tuple)]
        elif command.type not in UNDO_SURVIVES:
            self._entries.clear()
            return True
        return False

    def pop(self, *, running: bool) -> tuple[Deletion] | FilmEdit | BeforeMove | None:
        """Take out what was done last: a deletion, move or edit, or None for a change of the queue.

        Args:
            running: Whether a shot runs. If none does, nothing waits: changes of the queue are passed over.

        Raises:
            LookupError: If there is nothing.
        """
        for place in reversed(range(len(self._entries))):
            entry = self._entries[place]
            if entry is not None or running:
                del self._entries[place:]
                return entry
        raise LookupError(
            "there is nothing to undo: nothing was deleted, moved, edited or planned since the story last "
            "changed otherwise"
        )
