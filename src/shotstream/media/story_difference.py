"""How a film differs from the one that is asked for, in words: each with the old value and the new one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

_MOST_SHOWN = 6
_LONGEST_VALUE = 60
_NAMES = {
    "shots": "shots that are written (--shots)",
    "film_height": "height of the films (--film-height)",
    "shotstream": "version of ShotStream",
    "dtype": "number format (--dtype)",
    "text": "place of the text encoder (--text)",
    "mode": "way to compute (--mode)",
    "kv_cache": "keys and values (--kv-cache)",
    "lora": "LoRAs (--lora)",
    "memory_rule": "memory rule (--memory-rule)",
    "takes": "takes of a shot (--best-of, --min-continuity)",
}
"""What people call what decides how a film looks, beside the story."""
_ABSENT = {"film_height": "auto", "height": "as the model was trained", "width": "as the model was trained"}
"""What it means that a value is not there; nothing for all others."""


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """List the differences, a line each, and at last how many more there are.

    Args:
        there: What a film was made from, as `shotstream.media.story_folder.as_asked` has it.
        asked: The same of the film that is asked for; parts that it lacks are not compared.
    """
    stories = [story if isinstance(story := one.get("story"), Mapping) else {} for one in (there, asked)]
    found = list(_of_story(*stories))
    all_shots = [[1, len(_shots(story, "shots"))] for story in stories]
    for name, new in asked.items():
        if name == "story" or (name == "shots" and [there.get(name), new] == all_shots):
            continue
        if there.get(name) != new:
            if name == "weights":
                found.append("model: its weights are others than those that are asked for")
            else:
                found.append(_line(_NAMES.get(name, name), name, there.get(name), new))
    more = len(found) - _MOST_SHOWN
    return [*found[:_MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _of_story(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in {**new, **old}:
        if name not in ("shots", "outtakes") and old.get(name) != new.get(name):
            yield _line(name, name, old.get(name), new.get(name))
    for part in ("shots", "outtakes"):
        before, after = _shots(old, part), _shots(new, part)
        if len(before) != len(after):
            yield f"number of {part}: {len(before)} there, {len(after)} asked for"
        for number, (one, two) in enumerate(zip_longest(before, after), start=1):
            for name in {**(two or {}), **(one or {})} if one and two else ():
                if one.get(name) != two.get(name):
                    where = f"{name} of {part.removesuffix('s')} {number}"
                    yield _line(where, name, one.get(name), two.get(name))


def _shots(story: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """Shots or outtakes; of a record that was changed by hand, those that are some."""
    found = story.get(part)
    return [shot for shot in found if isinstance(shot, Mapping)] if isinstance(found, list) else []


def _line(where: str, name: str, old: Any, new: Any) -> str:
    return f"{where}: {_shown(name, old)} there, {_shown(name, new)} asked for"


def _shown(name: str, value: Any) -> str:
    """A value for people."""
    if value is None or value == "" or value == []:
        return _ABSENT.get(name, "none")
    if name == "shots" and isinstance(value, list):
        return "-".join(dict.fromkeys(map(str, value)))
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
