"""What is refused though a director could follow it: too much, and retakes of what is deleted."""

from __future__ import annotations

from shotstream.serving.protocol.commands import (
    Branch,
    Command,
    Extend,
    Hold,
    Replan,
    Reshoot,
    Retake,
    Shoot,
    Sound,
)
from shotstream.serving.protocol.events import Limits
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.quotas import QuotaKeeper
from shotstream.serving.storage.store import Store
from shotstream.serving.story.director import Director
from shotstream.serving.story.waiting import planned_shots


class CommandLimits:
    """The limits of one story; a story that is told again is not asked.

    Args:
        story: Its id.
        store: Has its sounds.
        limits: What is refused.
        quotas: Sees whether more may be made; by default it may.
    """

    def __init__(self, story: str, store: Store, limits: Limits, quotas: QuotaKeeper | None) -> None:
        self._story, self._store, self._limits, self._quotas = story, store, limits, quotas

    def check(self, command: Command, director: Director) -> None:
        """See that a command asks for no more than there may be.

        Raises:
            Refusal: If it does.
        """
        most = self._limits
        if self._quotas and isinstance(command, Branch):
            self._quotas.check_branch(self._story)
        if self._quotas and isinstance(command, Shoot | Replan | Retake | Reshoot | Extend | Hold):
            self._quotas.check_disk()
        if isinstance(command, Sound) and not self._store.find_sound(self._story, command.sound):
            raise Refusal("not_found", f"there is no sound {command.sound} in this story; send it first")
        if isinstance(command, Retake):
            director.check_in_film(command.shot)
        if isinstance(command, Replan):
            shots = director.begun_shots + len(command.shots)
            if shots > most.shots:
                sentence = f"the story would have {shots} shots; {most.shots} are the most there can be"
                raise Refusal("limit", sentence)
            for shot in planned_shots(command):
                self._check_shot(shot, director)
            return
        if isinstance(command, Shoot) and director.planned_shots >= most.shots:
            raise Refusal("limit", f"the story has {most.shots} shots, the most there can be; begin another")
        self._check_shot(command, director)

    def _check_shot(self, command: Command, director: Director) -> None:
        """Refuse a prompt that is too long, and a shot that would be."""
        most, prompt = self._limits, getattr(command, "prompt", None)
        if prompt and len(prompt) > most.prompt_characters:
            sentence = f"the prompt has {len(prompt)} characters; at most {most.prompt_characters} are taken"
            raise Refusal("too_long", sentence)
        if _chunks_asked_for(command, director) > director.timing.chunks(most.shot_seconds):
            raise Refusal("limit", f"a shot lasts {most.shot_seconds:g} seconds at most; cut to the next")


def _chunks_asked_for(command: Command, director: Director) -> int:
    """Length of the shot that a command is about, if it says anything about that."""
    live = director.live
    if isinstance(command, Hold):
        return live.made + 1 if live else 0
    if not isinstance(command, Shoot | Extend):
        return 0
    former = live.length_chunks if isinstance(command, Extend) and live else 0
    if command.seconds is not None:
        return former + director.timing.chunks(command.seconds, after=former)
    return former + (command.chunks or 0)
