"""Values of a story file as they are meant: text without quotes as it is written, numbers with or without."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from shotstream.media.documents import Document, Location

_TEXTS = ("prompt", "setting", "title")
_NUMBERS_OF_FRAMES = ("frame", "in_frame", "out_frame")
_WHOLE = ("seed", "height", "width", "chunks", "take", "number", "chunk", "shot", *_NUMBERS_OF_FRAMES)
_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*(?:s|secs?|seconds?)?", re.IGNORECASE)
_MINUTES = re.compile(r"([0-9]{1,4}):([0-5]?[0-9])|([0-9]{1,4})\s*(?:m|mins?|minutes?)", re.IGNORECASE)
_COMMA = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")


def is_text(location: Location) -> bool:
    """Whether words belong at a place; the path of a picture is not meant."""
    match location:
        case ("shots" | "outtakes", int()) | (*_, "lora", int()):
            return True
        case (*_, name):
            return name in _TEXTS
    return False


def looks_like_story(text: str) -> bool:
    """Whether a text of any name is a story file: whether it has keys of one at the start of lines."""
    return all(re.search(rf"^[ \t{{]*[\"']?(?:{keys})[\"']?[ \t]*:", text, re.MULTILINE) for keys in _KEYS)


_KEYS = ("setting|global_caption|title|seed", "shots|shot1")


def read_as_meant(document: Document) -> None:
    """Change values into what can only be meant, in place.

    Where words belong, a number or true is the text as it is written (007, 1e3). Where a number belongs, a
    whole one may have quotes or a point ('7', 7.0), and seconds their unit (2s).
    """

    def change(part: Any, location: Location) -> Any:
        if isinstance(part, dict | list):
            for key, value in part.items() if isinstance(part, dict) else enumerate(part):
                part[key] = change(value, (*location, key))
            return part
        written = document.written.get(location)
        if written and isinstance(part, int | float) and is_text(location):
            return written
        read = _READERS.get(str(location[-1])) if location else None
        return part if read is None or isinstance(part, bool | None) else read(part)

    change(document.data, ())


def read_whole(value: Any) -> Any:
    """Read a whole number that has quotes or a point; anything else stays as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value.strip()) else value


def read_seconds(value: Any) -> Any:
    """Read seconds that have quotes or their unit; anything else stays as it is."""
    found = _SECONDS.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found[1]) if found else value


_READERS: dict[str, Callable[[Any], Any]] = {name: read_whole for name in _WHOLE} | {"seconds": read_seconds}


def how_to_write(name: str, value: Any) -> str:
    """Show a number as it should be written, as the end of a sentence.

    Args:
        name: The key.
        value: What stands there instead.
    """
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,13}", text):
        return f"; to base ten that is {name}: {int(text, 16)}"
    if name == "seconds" and (found := _MINUTES.fullmatch(text)):
        return f"; in seconds that is seconds: {60 * int(found[1] or found[3]) + int(found[2] or 0)}"
    if name == "seconds" and (found := _COMMA.fullmatch(text)):
        return f"; with a point that is seconds: {found[1]}.{found[2]}"
    known = name in _WHOLE or name == "seconds"
    return f", for example {name}: {_EXAMPLES.get(name, 7)}" if known else ""


_EXAMPLES = {
    "seconds": 2.5,
    "chunks": 6,
    "height": 128,
    "width": 192,
    "take": 0,
    "number": 3,
    "chunk": 1,
    "shot": 0,
}
