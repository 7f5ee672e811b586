"""Shots of which several takes are made so that the best one stands: what is still to be made or chosen.

The measuring is done elsewhere, and what follows from it is asked for by commands like a person's. Those are
journalled: a story that is told again makes the same choices without measuring anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from shotstream.serving.protocol.commands import AutoRetake, Choose, Retake
from shotstream.serving.protocol.events import AutoRetakeRule, TakeContinuity
from shotstream.serving.storage.stored import new_id

Scores = Mapping[tuple[int, int], TakeContinuity]
"""Continuity of takes that were measured, by (shot, take)."""


class Contests:
    """Which takes of which shots compete."""

    def __init__(self) -> None:
        self.first_takes: dict[int, int] = {}
        """Shot -> the first of the takes that compete."""
        self.whole: set[tuple[int, int]] = set()
        """Takes that have come to their end: (shot, take). Others do not compete."""
        self.rule: AutoRetakeRule | None = None
        """When shots are taken anew by themselves."""

    def begin(self, command: Retake, take: int) -> list[Retake]:
        """Take in that a take of a shot begins by this command; return the takes that are to follow it."""
        first = take if command.among is None else command.among
        if command.among is None and (command.takes or 1) == 1:
            self.first_takes.pop(command.shot, None)
        else:
            self.first_takes[command.shot] = first
        again = Retake(id=command.id, shot=command.shot, prompt=command.prompt, seed=command.seed)
        return [again] * ((command.takes or 1) - 1)

    def set_rule(self, command: AutoRetake) -> None:
        """Have shots taken anew by themselves from now on, or no longer."""
        least = command.min_continuity
        rule = AutoRetakeRule(min_continuity=least or 0, most_takes=command.most_takes)
        self.rule = None if least is None else rule

    def end(self, shot: int | None = None) -> None:
        """Let nothing be chosen for a shot any more, or for any."""
        if shot is None:
            self.first_takes.clear()
        else:
            self.first_takes.pop(shot, None)

    def competing(self, shot: int) -> list[int]:
        """The takes of a shot that compete, as far as they are whole."""
        first = self.first_takes.get(shot)
        return [] if first is None else sorted(t for s, t in self.whole if s == shot and t >= first)

    def choice(self, shot: int, scores: Scores) -> Choose | Retake | None:
        """What is to be done about a shot whose takes are all made: choose the best, or make one more.

        Returns:
            None while a score is missing, or if there is nothing to be done.
        """
        takes = self.competing(shot)
        if not takes or any((shot, take) not in scores for take in takes):
            return None
        best = max(takes, key=lambda take: (scores[shot, take].score, -take))
        rule = self.rule
        if rule and scores[shot, best].score < rule.min_continuity and len(takes) < rule.most_takes:
            return Retake(id=f"auto-{new_id()}", shot=shot, among=self.first_takes[shot])
        return Choose(id=f"best-{new_id()}", shot=shot, take=best)

    def automatic(self, shot: int, take: int, scores: Scores) -> Retake | None:
        """The retake of a shot whose take `take` is over and falls below the rule; None if it does not."""
        rule, known = self.rule, scores.get((shot, take))
        if rule is None or known is None or shot in self.first_takes or (shot, take) not in self.whole:
            return None
        if known.score >= rule.min_continuity:
            return None
        return Retake(id=f"auto-{new_id()}", shot=shot, among=take)
