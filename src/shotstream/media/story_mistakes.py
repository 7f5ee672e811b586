"""What is wrong with a story file, and what may be meant otherwise, each in a sentence at its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shotstream.media.documents import Document, Location, did_you_mean, shortened

_PUBLISHED_SHOT = re.compile(r"shot(0|[1-9][0-9]{0,3})")


def rename_published(document: Document) -> bool:
    """Turn the authors' keys (global_caption, shot1, ...) into ours, lines too; False if it has none."""
    data = document.data
    numbers = sorted(int(match[1]) for key in data if (match := _PUBLISHED_SHOT.fullmatch(key)))
    if not numbers and "global_caption" not in data:
        return False
    for number, key in enumerate(numbers, start=1):
        if key != number:
            sentence = f"shot{key} stands where shot{number} is expected; number the shots 1, 2, 3, ..."
            document.complain((f"shot{key}",), sentence)
            break
    if "shots" in data:
        document.complain(("shots",), "'shots' and numbered shots do not go together; keep one of them.")
    if "global_caption" in data:
        _move(document, ("global_caption",), ("setting",))
        data["setting"] = data.pop("global_caption")
    data["shots"] = [data.pop(f"shot{number}") for number in numbers]
    for index, number in enumerate(numbers):
        _move(document, (f"shot{number}",), ("shots", index))
    return True


def take_unknown(document: Document, known: Sequence[str]) -> list[str]:
    """Take keys that mean nothing beside the authors' keys out of the document, and say so."""
    data = document.data
    if "setting" not in data or not data["shots"]:
        return []  # one of them may be a misspelt key that is missing
    unknown = [key for key in data if key not in known]
    if not unknown:
        return []
    line = document.line((unknown[0],))
    for key in unknown:
        del data[key]
    keys = ", ".join(map(repr, unknown))
    taken = ", ".join(["global_caption", "shot1, shot2, ...", *_BESIDE_PUBLISHED])
    return [document.at(line, f"keys without a meaning here are passed over: {keys}; known here: {taken}.")]


def explain_colons(document: Document, known: Sequence[str]) -> None:
    """Say of every shot that was meant as a prompt with a colon in it that it must be in quotes."""
    shots: list[Any] = document.data.get("shots")
    if not isinstance(shots, list):
        return
    for index, shot in enumerate(shots):
        if not isinstance(shot, dict) or "prompt" in shot:
            continue
        for key, value in shot.items():
            if key in known or isinstance(value, dict | list):
                continue
            if " " in key or "did you mean" not in did_you_mean(key, known):
                text = f"{key}: {'' if value is None else value}".rstrip()
                quoted = json.dumps(text, ensure_ascii=False)
                sentence = f'": " makes a key of the words before it; put the prompt in quotes: {quoted}'
                document.complain(("shots", index, key), sentence)
                shots[index] = {"prompt": text} | {name: shot[name] for name in shot if name != key}
                break


def cut_off_texts(document: Document) -> Iterator[str]:
    """Say of every text that a comment cuts it off."""
    for location, comment in document.comments:
        if location[-1] in _TEXTS or (len(location) == 2 and location[0] == "shots"):
            sentence = (
                f"the text ends before {shortened(comment)}, because a # after a blank begins a comment; if "
                "it belongs to the text, put the text in quotes."
            )
            yield document.at(document.line(location), sentence)


def _move(document: Document, old: Location, new: Location) -> None:
    for location in [location for location in document.lines if location[: len(old)] == old]:
        document.lines[new + location[len(old) :]] = document.lines.pop(location)
    document.comments = [
        (new + location[len(old) :] if location[: len(old)] == old else location, comment)
        for location, comment in document.comments
    ]


def explain(
    error: ValidationError, document: Document, keys: Mapping[str, Sequence[str]], *, published: bool
) -> None:
    """Say each of pydantic's complaints in a sentence, at its line."""
    for fault in error.errors(include_url=False):
        location, kind, message = fault["loc"], fault["type"], fault["msg"]
        name = name_place(location, published)
        match kind:
            case "missing":
                sentence = f"{name} is missing; add it."
            case "extra_forbidden":
                key = str(location[-1])
                sentence = f"the key {key!r} is unknown{did_you_mean(key, _keys(location, keys, published))}"
            case "places":
                for place, said in fault.get("ctx", {})["faults"]:
                    document.complain(place, f"{name_place(place, published)}: {said}.")
                continue
            case "too_long" if "lora" in location:
                sentence = f"{name} names more than 16 LoRAs; name fewer."
            case "too_short" if location == ("shots",):
                sentence = "there are no shots; add at least one."
            case "too_short":
                sentence = f"{name} is empty; say what is to be seen."
            case "value_error":
                sentence = f"{name} {message.removeprefix('Value error, ')}."
            case _:
                wanted = _WANTED.get(kind, message.removeprefix("Input "))
                sentence = f"{name} is {shortened(fault['input'])}, but {wanted}."
        document.complain(location, sentence)


_WANTED = {
    "string_type": "should be text; put it in quotes",
    "string_too_long": "should have at most 200 characters",
    "list_type": "should be a list, each item after a dash (-) or in brackets",
    "model_type": "should be a prompt, or a mapping with a prompt",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
}
_TEXTS = ("prompt", "setting", "title", "picture")
_BESIDE_PUBLISHED = ("title", "seed", "height", "width", "references")


def _keys(location: Location, keys: Mapping[str, Sequence[str]], published: bool) -> Sequence[str]:
    """The keys that are known at a place."""
    part = next((str(part) for part in reversed(location[:-1]) if part in keys), "")
    return ["global_caption", "shot1", *_BESIDE_PUBLISHED] if published and not part else keys[part]


def name_place(location: Location, published: bool = False) -> str:
    """What people call the place: ``("shots", 2, "seed")`` is the seed of shot 3."""
    match location:
        case (*_, "lora", int()):
            part = name_place(location[:-2], published) if len(location) > 2 else ""
            return f"a LoRA of {part}" if part else "a LoRA"
        case ("shots", int(index), *rest):
            where = f"shot {index + 1}"
        case (str(part), int(index), *rest):
            where = f"{part.removesuffix('s')} {index + 1}"
        case ("setting",) if published:
            return "global_caption"
        case _:
            return str(location[-1]) if location else "the story"
    return f"the {_path(rest)} of {where}" if rest else where


def _path(keys: Sequence[str | int]) -> str:
    """``["pins", 1, "frame"]`` is the frame of pin 2."""
    names: list[str] = []
    for key in keys:
        if isinstance(key, int):
            names[-1] = f"{names[-1].removesuffix('s')} {key + 1}"
        else:
            names.append(key)
    return " of ".join(reversed(names))
