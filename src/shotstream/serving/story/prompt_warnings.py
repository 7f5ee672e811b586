"""What the session says of prompts, for the director instead of the log."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from shotstream.streaming.model import PromptWarning


@contextmanager
def prompt_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect what the session says of prompts; no log shall have it. Only the engine's thread does this."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PromptWarning)
        yield told
