"""What commands print to, and warnings as they print them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from shotstream.story import StoryWarning

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def show_warnings() -> Iterator[None]:
    """Print what sessions and weight files warn of, such as unknown words, as it comes."""
    from shotstream.loading.weight_files import CheckpointWarning
    from shotstream.streaming.model import PromptWarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"[yellow]{escape(str(message))}[/yellow]")

    with warnings.catch_warnings():
        for kind in (PromptWarning, StoryWarning, CheckpointWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = show
        yield
