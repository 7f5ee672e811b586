"""What a director is told when a command cannot be followed."""

from __future__ import annotations

from shotstream.serving.protocol.events import RefusalCode


class Refusal(ValueError):
    """A command cannot be followed and has changed nothing.

    Args:
        code: What kind of reason.
        message: A sentence for the director.
    """

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
