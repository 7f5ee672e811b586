"""What is wrong with a story file, and what may be meant otherwise, each in a sentence at its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shotstream.media.documents import Document, Location, Mistake, did_you_mean, shortened
from shotstream.media.faults import is_number_fault, say_wanted
from shotstream.media.scripts import SCRIPT_KINDS
from shotstream.media.story_values import how_to_write, is_text, looks_like_story
from shotstream.media.syntax_mistakes import quoted

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


def explain_unquoted(document: Document, known: Sequence[str]) -> None:
    """Say of every shot that was meant as a prompt and reads as a mapping that it must be in quotes."""
    shots: list[Any] = document.data.get("shots")
    if not isinstance(shots, list):
        return
    for index, shot in enumerate(shots):
        if not isinstance(shot, dict) or "prompt" in shot:
            continue
        for key, value in shot.items():
            if key in known or isinstance(value, dict | list):
                continue
            near = did_you_mean(key, known)
            if " " in key or "did you mean" not in near or (value is None and "'prompt'" not in near):
                text = f"{key}: {document.written.get(('shots', index, key), value or '')}".rstrip()
                begun = document.explain_text(("shots", index))
                sentence = (
                    f'": " makes a key of the words before it; put the prompt in quotes: {quoted(text)}'
                )
                document.complain(("shots", index, key), f"{begun or sentence}.")
                shots[index] = {"prompt": text} | {name: shot[name] for name in shot if name in known}
                break


def explain_kind(document: Document) -> None:
    """Say of a script or a table that it is one, instead of what YAML finds in it."""
    kind = document.path.suffix[1:].lower()
    if kind not in (*SCRIPT_KINDS, "csv") or isinstance(document.data, dict) or not document.text:
        return
    if not looks_like_story(document.text):
        what = "a table" if kind == "csv" else "a script, which the studio reads"
        sentence = (
            f"this is {what}; here a story is YAML or JSON with 'setting' and 'shots' (docs/stories.md)."
        )
        document.mistakes = [Mistake(None, sentence)]


def cut_off_texts(document: Document) -> Iterator[str]:
    """Say of every text that a comment cuts it off."""
    for location, comment in document.comments:
        if is_text(location) or location[-1] in _VALUES:
            sentence = (
                f"the text ends before {shortened(comment)}, because a # after a blank begins a comment; if "
                "it belongs to the text, put the text in quotes."
            )
            yield document.at(document.line(location), sentence)


def _move(document: Document, old: Location, new: Location) -> None:
    for location in [location for location in document.lines if location[: len(old)] == old]:
        document.lines[new + location[len(old) :]] = document.lines.pop(location)
    for values in (document.written, document.unread):
        for location in [location for location in values if location[: len(old)] == old]:
            place = new + location[len(old) :]
            if isinstance(values, set):
                values.remove(location)
                values.add(place)
            else:
                values[place] = values.pop(location)
    document.comments = [
        (new + location[len(old) :] if location[: len(old)] == old else location, comment)
        for location, comment in document.comments
    ]


def explain(
    error: ValidationError, document: Document, keys: Mapping[str, Sequence[str]], *, published: bool
) -> None:
    """Say each of pydantic's complaints in a sentence, at its line; of a misspelt key only that it is."""
    faults = [(fault["loc"], fault["type"], fault) for fault in error.errors(include_url=False)]
    meant: set[Location] = set()
    for location, kind, _ in faults:
        if kind == "extra_forbidden":
            hint = did_you_mean(str(location[-1]), _keys(location, keys, published))
            document.complain(location, f"the key {str(location[-1])!r} is unknown{hint}")
            near = hint.removeprefix("; did you mean ").strip("'?") if "did you mean" in hint else ""
            meant.add((*location[:-1], _OURS.get(near, near)))
    for location, kind, fault in faults:
        name = name_place(location, published)
        if kind == "extra_forbidden" or (kind in ("missing", "too_short") and location in meant):
            continue
        if kind == "missing" and (*location[:-1], "") in document.unread:
            continue  # it may be the key that could not be read
        if kind == "places":
            for place, said in fault.get("ctx", {})["faults"]:
                document.complain(place, f"{name_place(place, published)}: {said}.")
            continue
        document.complain(location, f"{name} {_explain_value(location, kind, fault, document)}.")


def _explain_value(location: Location, kind: str, fault: Mapping[str, Any], document: Document) -> str:
    """What is wrong with the value at a place."""
    key = next((str(part) for part in reversed(location) if isinstance(part, str)), "")
    is_item = bool(location) and isinstance(location[-1], int)
    wanted = _ITEMS.get(key) if is_item else _VALUES.get(key)
    match kind:
        case "missing":
            return "is missing; add it"
        case "too_long" if "lora" in location:
            return "names more than 16 LoRAs; name fewer"
        case "too_short" if location == ("shots",):
            return "is empty; add at least one shot, such as - The fox runs"
        case "too_short":
            return f"is empty; {f'give {wanted}' if key in _VALUES else 'say what is to be seen'}"
        case "value_error":
            return fault["msg"].removeprefix("Value error, ")
    shown = document.shown(location, fault["input"])
    if (
        fault["input"] is None
        and shown != "nothing"
        and is_text(location)
        and not document.explain_text(location)
    ):
        return f"is {shown}, which stands for nothing; write a text, or put it in quotes: {quoted(shown)}"
    match kind:
        case "string_type" | "model_type" if is_text(location) and (begun := document.explain_text(location)):
            return f"is read as something else: {begun}"
        case "string_type" | "model_type" if wanted:
            said = f"should be {wanted}"
        case "list_type" if re.match(r"-\S", str(fault["input"])):
            first = str(fault["input"])[1:30].split(" -")[0]
            said = f"should be a list; put a blank behind each dash: - {first}"
        case "list_type":
            said = "should be a list, each item after a dash (-) or in brackets" + _LISTS.get(key, "")
        case _:
            said = say_wanted(kind, fault.get("ctx") or {}, fault["msg"])
    if is_number_fault(kind):
        said += how_to_write(key, fault["input"])
    return f"is {shown}, but {said}"


_ITEMS = {
    "shots": "a prompt, or a mapping with a prompt",
    "outtakes": "a mapping with a prompt and a number, for example {prompt: The fox runs., number: 0}",
    "references": "the path of a picture, for example fox.png",
    "sounds": "the path of a sound file, for example rain.wav",
    "redirects": "a mapping, for example {chunk: 1, prompt: The fox sleeps.}",
    "pins": "a mapping, for example {shot: 0, frame: 12}",
    "remembers": "a mapping, for example {shot: 0, frame: 12}",
    "lora": "NAME or NAME:SCALE, for example style:0.8",
}
"""What an item of a list should be."""
_VALUES = {
    "picture": "the path of a picture, for example fox.png",
    "sound": "the path of a sound file, for example rain.wav",
}
_LISTS = {
    "references": ", for example [fox.png]",
    "sounds": ", for example [rain.wav]",
    "lora": ", for example [style:0.8]",
}
_OURS = {"global_caption": "setting", "shot1": "shots"}
"""What the authors' keys are called in `Story`."""
_BESIDE_PUBLISHED = ("title", "seed", "height", "width", "references", "sounds")


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
    if not rest:
        return where
    return f"{'' if isinstance(rest[-1], int) else 'the '}{_path(rest)} of {where}"


def _path(keys: Sequence[str | int]) -> str:
    """``["pins", 1, "frame"]`` is the frame of pin 2."""
    names: list[str] = []
    for key in keys:
        if isinstance(key, int):
            names[-1] = f"{names[-1].removesuffix('s')} {key + 1}"
        else:
            names.append(key)
    return " of ".join(reversed(names))
