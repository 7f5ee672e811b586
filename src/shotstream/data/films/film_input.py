"""A film as it is named in a list, and the files that such lists are read from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


class InputError(ValueError):
    """A list of films cannot be used; the message names the file, the place and the remedy."""


@dataclass(frozen=True)
class FilmInput:
    """A film, or a story of which every shot is a file."""

    files: tuple[Path, ...]
    """The film; or of several files one for each shot."""
    spans: tuple[tuple[float, float], ...] | None = None
    """Begin and end of the shots of a single file, or of the shot in each of several; None: to be found,
    or are whole files."""
    unit: Literal["seconds", "frames"] = "seconds"
    """What spans count."""
    caption: str = ""
    """What holds for all of it: who and where."""
    shot_captions: tuple[str, ...] | None = None
    """What each shot shows, in their order; None if nobody has said."""
    licence: str = ""
    source: str = ""
    """Where it comes from, an address for example."""


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty.

    Raises:
        InputError: If it is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text ({error}).") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: If it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).") from error
