"""Commands after which no picture of the story is another: what the film shows, sounds, cast, setting."""

from __future__ import annotations

from shotstream.serving.protocol.commands import Cast, Command, Move, Replan, Setting, Silence, Sound, Trim
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import StateMachine
from shotstream.serving.story.film_edit import FilmEdit, out_frame_of
from shotstream.serving.story.live_shot import LiveShot
from shotstream.serving.story.undo import BeforeDeletion, BeforeMove, UndoHistory
from shotstream.streaming.session import StorySession
from shotstream.streaming.timing import ShotTiming


class FilmDesk:
    """The part of a director that follows them; what it finds declared here, the director has."""

    session: StorySession
    timing: ShotTiming
    machine: StateMachine
    live: LiveShot | None
    stale: set[int]

    def __init__(self) -> None:
        self.edit = FilmEdit()
        self.written: dict[str, str] = {}
        """What a prompt was adapted from: the person's own words."""
        self._undoable: UndoHistory[BeforeDeletion] = UndoHistory()

    def note_written(self, command: Command) -> None:
        """Keep the person's own words for what a command tells."""
        for told in command.shots if isinstance(command, Replan) else (command,):
            own = getattr(told, "written", None)
            if own is not None:
                self.written[getattr(told, "prompt")] = own  # noqa: B009

    def _trim(self, command: Trim) -> None:
        shot, out_frame = command.shot, command.out_frame
        self._check_shot(shot)
        if self.machine.running and self.live and self.live.record.shot == shot:
            raise Refusal("not_now", "the shot is running; trim it after its end")
        if shot in self.session.context.left_out:
            raise Refusal("not_now", f"{self._name(shot)} is deleted; bring it back first, then trim it")
        record = self.session.script[shot]
        last = self.timing.frames(record.chunks) - 1
        end = out_frame_of(command.in_frame, out_frame, last, self._name(shot))
        self._edit_film(self.edit.trim(shot, record.take, command.in_frame, end))

    def _move(self, command: Move) -> None:
        shot, before, context = command.shot, command.before, self.session.context
        for number in [shot] if before is None else [shot, before]:
            self._check_shot(number)
            self._check_kept(number)
        name, live = self._name(shot), self.live.record.shot if self.live and self.machine.running else None
        if live == shot:
            raise Refusal("not_now", f"{name} is running; move it after its end")
        if shot in context.left_out:
            raise Refusal("not_now", f"{name} is deleted; bring it back first, then move it")
        others = [number for number in self.session.order if number != shot]
        running = self.session.running
        is_over = running is not None and running.was_over  # and was made longer
        if live is not None and live >= len(context.order) and not is_over:  # a new shot: the last
            if before is None:
                raise Refusal("not_now", f"{self._name(live)} is running and is the last until its end")
            others = [*(number for number in others if number != live), live]
        if before == shot:
            before = next((number for number in others if context.place(number) > context.place(shot)), None)
        place, former = len(others) if before is None else others.index(before), context.place(shot)
        if place == former:
            raise Refusal("not_now", f"{name} stands there already")
        before_move = BeforeMove(shot, former, frozenset(self.stale), len(self.session.takes))
        self.session.move(shot, place)
        self.stale |= self._from(min(former, place))
        self._undoable.moved(before_move)

    def _move_back(self, former: BeforeMove) -> None:
        """Take a move back; what was made since remembers the shots as they stood then."""
        place = self.session.context.place(former.shot)
        try:
            self.session.move(former.shot, former.place)
        except ValueError as error:
            self._undoable.moved(former)  # nothing was done
            name = self._name(former.shot)
            raise Refusal("not_found", f"{name} stays here: where it stood is too far back by now") from error
        made_since = len(self.session.takes) > former.takes
        self.stale = set(former.stale) | (self._from(min(place, former.place)) if made_since else set())

    def _sound(self, command: Sound) -> None:
        self._edit_film(self.edit.place(command.sound, command.offset_seconds, command.gain_db))

    def _silence(self, command: Silence) -> None:
        if command.sound not in self.edit.sounds:
            raise Refusal("not_found", "this sound is not heard with the film")
        self._edit_film(self.edit.silence(command.sound))

    def _cast(self, command: Cast) -> None:
        self._edit_film(self.edit.with_cast(command.cast))

    def _setting(self, command: Setting) -> None:
        self.session.change_setting(command.setting)

    def _edit_film(self, edit: FilmEdit) -> None:
        self._undoable.edited(self.edit)
        self.edit = edit

    def check_in_film(self, shot: int) -> None:
        """See that a retake of a shot would not bring it back unasked; older journals have such retakes.

        Raises:
            Refusal: If the shot is deleted.
        """
        if shot in self.session.context.left_out:
            sentence = "is deleted; choose one of its takes or undo to bring it back, then retake it"
            raise Refusal("not_now", f"{self._name(shot)} {sentence}")

    def number(self, shot: int) -> int:
        """The number of a shot that people see: its place in the film, from 1."""
        return self.session.context.place_in_film(shot) + 1

    def _name(self, shot: int) -> str:
        """What people call a shot; a deleted one has no number, as another shot has its place."""
        is_deleted = shot in self.session.context.left_out
        return "that shot" if is_deleted else f"shot {self.number(shot)}"

    def _check_shot(self, shot: int) -> None:
        if shot >= len(self.session.script):
            count = self.number(len(self.session.script)) - 1
            raise Refusal("not_found", f"there is no {self._name(shot)}; the story has {count}")

    def _check_kept(self, shot: int) -> None:
        context = self.session.context
        if context.place(shot) < context.oldest_retake:
            raise Refusal(
                "not_found", f"{self._name(shot)} is too far back: what it was made from is not kept"
            )

    def _from(self, place: int) -> set[int]:
        """The shots that stand at this place of the story, and after it."""
        context = self.session.context
        return {shot for shot in range(len(self.session.script)) if context.place(shot) >= place}
