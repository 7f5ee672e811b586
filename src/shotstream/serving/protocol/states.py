"""The states of a story, and what takes it from one to another."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a story is doing."""

    IDLE = "idle"
    """No shot runs: there is none yet, or the newest is complete."""
    SHOOTING = "shooting"
    """Chunks are made up to the shot's length."""
    HOLDING = "holding"
    """Chunks are made until the shot is cut."""
    CUTTING = "cutting"
    """A running shot was ended by the next one, whose first chunk is still to come."""
    PAUSED = "paused"
    """Nothing is made until it is resumed; commands are taken as in the state beneath."""
    FAILED = "failed"
    """Something needs a person; only `resume` is taken."""


IDLE, SHOOTING, HOLDING, CUTTING = State.IDLE, State.SHOOTING, State.HOLDING, State.CUTTING

_ALWAYS = (
    "choose",
    "branch",
    "pin",
    "unpin",
    "reference",
    "edit",
    "move",
    "trim",
    "sound",
    "silence",
    "cast",
    "setting",
    "pause",
    "resume",
    "autoretake",
)

TRANSITIONS: dict[str, dict[State, State]] = {
    "shoot": {IDLE: SHOOTING, SHOOTING: CUTTING, HOLDING: CUTTING, CUTTING: CUTTING},
    "shoot after": {IDLE: SHOOTING, SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    "replan": {IDLE: SHOOTING, SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    "replan skipped": {IDLE: IDLE, SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    "retake": {IDLE: SHOOTING, SHOOTING: CUTTING, HOLDING: CUTTING, CUTTING: CUTTING},
    "reshoot": {IDLE: SHOOTING, SHOOTING: CUTTING, HOLDING: CUTTING, CUTTING: CUTTING},
    "cut": {SHOOTING: IDLE, HOLDING: IDLE, CUTTING: IDLE},
    "stop": {SHOOTING: IDLE, HOLDING: IDLE, CUTTING: IDLE},
    "redirect": {SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    "hold": {IDLE: HOLDING, SHOOTING: HOLDING, HOLDING: HOLDING, CUTTING: HOLDING},
    "extend": {IDLE: SHOOTING, SHOOTING: SHOOTING, HOLDING: SHOOTING, CUTTING: CUTTING},
    "delete": {IDLE: IDLE},
    "delete waiting": {IDLE: IDLE, SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    "undo": {IDLE: IDLE},
    "undo plan": {SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: CUTTING},
    **{command: {state: state for state in (IDLE, SHOOTING, HOLDING, CUTTING)} for command in _ALWAYS},
    "chunk made": {SHOOTING: SHOOTING, HOLDING: HOLDING, CUTTING: SHOOTING},
    "shot ended": {SHOOTING: IDLE, HOLDING: IDLE, CUTTING: IDLE},
    "next shot": {IDLE: SHOOTING},
}
"""What happens -> state before -> state after; what is not here is not possible now."""


class StateMachine:
    """The state of one story.

    Idle, shooting, holding and cutting follow `TRANSITIONS`. Paused and failed lie over them: ``pause`` and
    ``resume`` put on and take off the first, and what a story was doing beneath goes on afterwards.
    """

    def __init__(self) -> None:
        self.beneath = State.IDLE
        """Idle, shooting, holding or cutting."""
        self.paused = False
        self.reason: str | None = None
        """Why it failed, in a sentence."""

    @property
    def state(self) -> State:
        """What is to be seen."""
        if self.reason is not None:
            return State.FAILED
        return State.PAUSED if self.paused else self.beneath

    @property
    def running(self) -> bool:
        """Whether a shot is being made, or would be but for a pause or a failure."""
        return self.beneath is not State.IDLE

    def allows(self, event: str) -> bool:
        """Whether this can happen now."""
        if self.reason is not None:
            return event == "resume"
        return self.beneath in TRANSITIONS[event]

    def fire(self, event: str) -> None:
        """Go to the state that follows; the event must be allowed."""
        assert self.allows(event), f"{event} while {self.state}"
        self.beneath = TRANSITIONS[event][self.beneath]
        if event in ("pause", "resume"):
            self.paused = event == "pause"
            self.reason = None

    def fail(self, reason: str) -> None:
        """Stand still until a person resumes."""
        self.reason = reason
