"""What pydantic finds wrong with a value, in plain words: what it is, what it should be, how to write it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from shotstream.media.documents import did_you_mean, shortened
from shotstream.media.story_values import how_to_write
from shotstream.media.syntax_mistakes import explain_json

WANTED = {
    "string_type": "should be text; put it in quotes",
    "string_too_long": "should have at most {max_length} characters",
    "list_type": "should be a list",
    "model_type": "should be a mapping, such as {{...}}",
    "model_attributes_type": "should be a mapping, such as {{...}}",
    "dict_type": "should be a mapping, such as {{...}}",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "literal_error": "should be {expected}",
}
"""What a value should be, by pydantic's name for what is wrong; its context is filled in."""
_FORMS = {
    "size": "WIDTHxHEIGHT, such as 192x128",
    "story": "12 small letters and digits, as the library lists them",
    "video": "12 small letters and digits, as the list of videos has them",
    "id": "1 to 64 plain characters",
    "upload": "what an upload was answered with",
}
"""What fields with a pattern look like."""
_INSIDE = re.compile(r"[\w-]+\[.*\]")
"""What pydantic puts into places for its own functions."""


def is_number_fault(kind: str) -> bool:
    """Whether a number is wrong, so that an example of one helps."""
    return kind.startswith(("int_", "float_", "greater_", "less_", "finite_"))


def say_wanted(kind: str, context: Mapping[str, Any], message: str) -> str:
    """What a value should be.

    Args:
        kind: pydantic's name for what is wrong.
        context: What it says of it.
        message: Its own words, for kinds that have no other.
    """
    wanted = WANTED.get(kind)
    return message.removeprefix("Input ") if wanted is None else wanted.format_map({**context})


def say_fault(fault: Mapping[str, Any], known: Sequence[str] = ()) -> str:
    """Say one of pydantic's complaints in a sentence, without a full stop.

    Args:
        fault: One of ``ValidationError.errors()``.
        known: Names that may stand where an unknown one does.
    """
    kind, context = fault["type"], fault.get("ctx") or {}
    parts = [str(part) for part in fault["loc"] if not _INSIDE.fullmatch(str(part))]
    where = ".".join(parts) or "what was sent"
    name = next((part for part in reversed(parts) if not part.isdecimal()), "")
    value = fault.get("input")
    match kind:
        case "json_invalid":
            return say_no_json(value if isinstance(value, str | bytes) else "")
        case "missing" if not parts:
            return say_no_json("")
        case "missing":
            return f"{where} is missing; add it"
        case "extra_forbidden":
            return f"{where} is unknown{did_you_mean(name, known) if known else '; leave it out'}".rstrip(".")
        case "union_tag_not_found":
            return f"{where} has no {_tag(context)}; add one"
        case "union_tag_invalid":
            tags = context.get("expected_tags", "")
            return f"{_tag(context)} is {shortened(context.get('tag'))}, but should be one of {tags}"
        case "too_short" | "string_too_short":
            return f"{where} is empty; write something into it"
        case "too_long":
            return f"{where} has more than {context.get('max_length')} items; send fewer"
        case "value_error":
            said = fault["msg"].removeprefix("Value error, ")
            return f"{where} {said}"
        case "string_pattern_mismatch" if name in _FORMS:
            return f"{where} is {shortened(value)}, but should be {_FORMS[name]}"
    if name == "shots" and kind in ("model_type", "dict_type"):
        return f"{where} is {shortened(value)}, but should be a prompt, or a mapping with one"
    said = say_wanted(kind, context, fault["msg"])
    if is_number_fault(kind):
        said += how_to_write(name, value)
    return f"{where} is {shortened(value)}, but {said}"


def say_faults(faults: Sequence[Mapping[str, Any]]) -> str:
    """Say the first of pydantic's complaints; of a misspelt name that, and not which one is missing."""
    missing = [fault["loc"] for fault in faults if fault["type"] == "missing"]
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            beside = [str(place[-1]) for place in missing if place[:-1] == fault["loc"][:-1]]
            if get_close_matches(str(fault["loc"][-1]), beside, n=1):
                return say_fault(fault, beside)
    return say_fault(faults[0])


def say_no_json(text: str | bytes) -> str:
    """Say why a text is no JSON, with the line, without a full stop."""
    try:
        text = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError:
        return "this is no JSON: it is not UTF-8; send it in that encoding"
    if not text.strip():
        return "nothing was sent, where JSON is expected"
    if said := explain_json(text):
        return f"this is no JSON: line {said.line}: {said.sentence.rstrip('.')}"
    return "this is no JSON: an escape such as \\ud800 is half of a character; write the character itself"


def _tag(context: Mapping[str, Any]) -> str:
    return str(context.get("discriminator", "type")).strip("'")
