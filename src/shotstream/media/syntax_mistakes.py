"""Why a text is no YAML or JSON, said so that a person who writes stories can mend it: with what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import NamedTuple

import yaml

_ITEM = re.compile(
    r"(?P<blanks> *)(?P<dashes>(?:-[ \t]+)*)(?:(?P<key>[^\s:\"'{\[#][^:\"]*):(?:[ \t]+|$))?(?P<value>.*)"
)
_QUOTED = {'"': re.compile(r'"(?:[^"\\]|\\.)*"'), "'": re.compile(r"'(?:[^']|'')*'")}
_BLOCK = re.compile(r"[>|][-+0-9]{0,2}[ \t]*(?:#.*)?$")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*$")
_BRACKETS = ("[", "{")
_BEGINS = "@%`*&!,]}"
"""No unquoted text begins with one of these."""
_LONGEST_EXAMPLE = 80


class Said(NamedTuple):
    """A mistake in words."""

    line: int | None
    """Counted from 1."""
    sentence: str


def quoted(text: str) -> str:
    """The text as it stands in a story file, in the quotes that need no backslash if there are such."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else json.dumps(text, ensure_ascii=False)


def example(text: str) -> str:
    """The text in quotes, or how that begins where it is long."""
    text = " ".join(text.split())
    return quoted(text) if len(text) <= _LONGEST_EXAMPLE else "with quotes before and behind all of it"


def explain_text(value: str, *, whole: bool = False) -> str | None:
    """Say why a text without quotes is not read as text.

    Args:
        value: What stands behind the dash or the key, to the end of the line.
        whole: Whether lists, mappings and comments are meant as text, too: where nothing but text may stand.

    Returns:
        A sentence with the text in quotes; None if nothing is wrong with it.
    """
    value = value.strip()
    first = value[:1]
    if not first:
        return None
    if first in _QUOTED:
        return _explain_quotes(value)
    if first in _BRACKETS:
        end = _closing(value)
        rest = value[end + 1 :] if end else ""
        begins = whole and bool(end) if not rest.strip() or _COMMENT.match(rest.strip()) else True
        begins = begins and not rest.lstrip().startswith(":")
        value = value if rest.strip() else value[: end + 1] if end else value
    elif first in "|>":
        begins = not _BLOCK.match(value)
    elif first in "?-":
        begins = value[1:2] in ("", " ", "\t") and (whole or len(value) > 1)
    else:
        begins = first in _BEGINS or (first == "#" and whole)
    if not begins:
        return None
    return f"text that begins with {first} must stand in quotes: {example(value)}"


def _explain_quotes(value: str) -> str | None:
    """Text that begins with a quote goes on behind the next one."""
    mark = value[0]
    found = _QUOTED[mark].match(value)
    rest = value[found.end() :] if found else ""
    if found is None or not rest.strip(" \t,]}") or rest.lstrip()[0] in ":#":
        return None
    inner = value[1:-1]
    second = inner.find(mark)  # one with a letter behind it closes nothing: it is inside
    inside = value.endswith(mark) and inner[second + 1 : second + 2].isalnum()
    meant = inner if inside else value
    return f"the text goes on behind its second {mark}; put all of it in other quotes: {example(meant)}"


def _closing(value: str) -> int:
    """Where the bracket closes that the text begins with; 0 if it does not."""
    depth = 0
    for place, sign in enumerate(value):
        depth += (sign in "[{") - (sign in "]}")
        if not depth:
            return place
    return 0


class _Item(NamedTuple):
    """A list item or the value of a key, which may go on in further lines."""

    first: int
    """Its line, from 0."""
    key: str
    """Empty for a list item without one."""
    lines: list[str]
    """What stands in its lines, without the dash and the key."""

    @property
    def text(self) -> str:
        return " ".join(line.strip() for line in self.lines)


def _item_around(lines: list[str], line: int, keys: Collection[str]) -> _Item:
    """Find the item that a line belongs to."""
    first = line
    while True:
        match = _ITEM.match(lines[first])
        assert match is not None
        key = match["key"] or ""
        known = key.strip().strip("'\"") in keys
        if match["dashes"] or known or not first:
            break
        first -= 1
    value = match["value"] if known or not key else lines[first][match.end("dashes") :]
    deep = len(match["blanks"])
    more = []
    for following in lines[first + 1 :]:
        inside = _ITEM.match(following)
        assert inside is not None
        name = (inside["key"] or "").strip()
        if not following.strip() or inside["dashes"] or name in keys or len(inside["blanks"]) <= deep:
            break
        more.append(following)
    return _Item(first, key if known else "", [value, *more])


def explain_yaml(error: yaml.YAMLError, text: str, keys: Collection[str]) -> Said:
    """Say why a text is no YAML.

    Args:
        error: What the parser says.
        text: All of the text.
        keys: The keys that may stand in it.
    """
    if not isinstance(error, yaml.MarkedYAMLError):  # a ReaderError: a character that no text file holds
        position = getattr(error, "position", 0)
        sentence = f"the character {text[position]!r} is not allowed; remove it."
        return Said(text.count("\n", 0, position) + 1, sentence)
    problem = error.problem or error.context or ""
    mark = error.problem_mark
    if _is_open(problem):
        mark = error.context_mark or mark
    line = mark.line if mark else 0
    lines = text.split("\n")
    if line < len(lines) and "deep" not in problem and (found := _explain_item(lines, line, keys, problem)):
        return found
    known = [sentence for part, sentence in _REMEDIES.items() if part in problem]
    if known or mark is None or line >= len(lines):
        return Said(line + 1 if mark else None, f"{known[0] if known else 'this cannot be read as YAML'}.")
    return Said(line + 1, f"{at}.") if (at := _explain_at(error, lines)) else _explain_any(lines, line, keys)


def _explain_any(lines: list[str], line: int, keys: Collection[str]) -> Said:
    """Say what helps most often: of the item in a line, or of the one before it if its bracket is open."""
    item = _item_around(lines, line, keys)
    before = _item_around(lines, item.first - 1, keys) if item.first else item
    if before.lines[0].strip()[:1] in _BRACKETS and not _closing(before.text):
        item, line = before, before.first
    return Said(
        line + 1,
        f"this cannot be read as YAML; if it is text, put it in quotes: {example(item.text)}; if it is not, "
        "look for a bracket, comma or quote too many.",
    )


def _explain_item(lines: list[str], line: int, keys: Collection[str], problem: str) -> Said | None:
    """Look for text that should stand in quotes, where the parser stumbled and in the line above."""
    item = _item_around(lines, line, keys)
    for place in (line, line - 1):
        begun = (
            re.match(rf"\s*(?:-\s+)?({'|'.join(sorted(keys))}):(?=[^\s])", lines[place])
            if place >= 0 and keys
            else None
        )
        if begun:
            rest = lines[place][begun.end() :].strip()
            return Said(place + 1, f"a blank is missing behind the colon: {begun[1]}: {rest}.")
    value = item.lines[0].strip()
    if problem in ("an alias (*)", "an anchor (&)"):
        shown = f": {example(value)}" if value.startswith(("*", "&")) else ""
        return Said(line + 1, f"{_REMEDIES[problem]}{shown}.")
    if sentence := explain_text(value) or (explain_text(item.text) if value[:1] in _QUOTED else None):
        return Said(item.first + 1, f"{sentence}.")
    plain = value[:1] not in ("", "[", "{", *_QUOTED) and not _BLOCK.match(value)
    if not plain or _is_open(problem):
        return None
    for place, inside in enumerate(item.lines[:-1]):
        if comment := _COMMENT.search(inside):
            words = f"a # behind a blank begins a comment, which cuts the text off before {comment[0][:40]!r}"
            return Said(item.first + place + 1, f"{words}; put the text in quotes: {example(item.text)}.")
    if re.search(r":(?:\s|$)", item.text):
        return Said(line + 1, f'a ": " stands in the text; put the text in quotes: {example(item.text)}.')
    return None


def _explain_at(error: yaml.MarkedYAMLError, lines: list[str]) -> str | None:
    """Look at the very place where the parser stumbled, which may be inside of brackets."""
    mark, problem = error.problem_mark, error.problem or ""
    assert mark is not None
    here = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    word = re.split(r"[,\]}]", here)[0]
    if word[:1] in ("@", "%", "`", "*", "&", "!", ">", "|") and (sentence := explain_text(word)):
        return sentence
    if "escape" in problem:
        return "a \\ in double quotes belongs to the character behind it; write \\\\, or use single quotes"
    if "<block end>" in problem or "block mapping" in (error.context or ""):
        blanks = len(lines[mark.line]) - len(lines[mark.line].lstrip())
        return (
            f"the line begins with {blanks} blanks, which fits none of the lines above; let the keys of one "
            "shot, and the dashes of one list, stand under one another"
        )
    return None


def _is_open(problem: str) -> bool:
    """Whether the text ends inside of quotes or brackets."""
    return "end of stream" in problem or "<stream end>" in problem


_REMEDIES = {
    "an alias (*)": "an alias (*) is not allowed; write the text out, or put it in quotes",
    "an anchor (&)": "an anchor (&) is not allowed; put text that begins with one in quotes",
    "too deep": "this is nested more than 20 deep; a story needs 3",
    "mapping values": 'a second ": " in one line; put text that contains ": " in quotes',
    "found character '\\t'": "the line is indented with a tab; use spaces",
    "found unexpected end of stream": "this quote is never closed; add the closing quote",
    "'<stream end>'": "this bracket is never closed; add the closing one, or put text with # in quotes, as "
    "that begins a comment",
    "but found another document": "a second document (---) starts here; a file holds one story",
}


def explain_json(text: str) -> Said | None:
    """Say why a text is no JSON; None if it is."""
    try:
        json.JSONDecoder(strict=False).decode(text)
    except RecursionError:
        return None
    except json.JSONDecodeError as error:
        return Said(error.lineno, f"{_json_sentence(error, text)}.")
    return None


def find_json_comment(text: str) -> Said | None:
    """Say that a comment stands in JSON if one is its first mistake: YAML reads it as a part of a key."""
    said = explain_json(text)
    return said if said and said.sentence.startswith(_NO_COMMENTS) else None


_NO_COMMENTS = "JSON has no comments"


def _json_sentence(error: json.JSONDecodeError, text: str) -> str:
    here, before = text[error.pos :].lstrip(), text[: error.pos].rstrip()
    if here.startswith(("//", "/*")):
        return f"{_NO_COMMENTS} ({here[:2]}); remove it, or write the story as YAML, where # begins one"
    if not here:
        return "the file ends in the middle; add the brackets and quotes that are not closed"
    match error.msg.partition(" ")[0], error.msg:
        case _, "Expecting ',' delimiter" if before.endswith('"') and (here[0].isalnum() or here[0] in "'-"):
            return 'a quote inside of a text ends it; write \\" for each one inside: "the \\"fox\\" runs"'
        case _, "Expecting ',' delimiter":
            return f"a comma is missing before {here.splitlines()[0][:20]!r}; add it"
        case "Unterminated", _:
            return "this quote is never closed; add the closing quote"
        case "Invalid", _:
            return "a \\ belongs to the character behind it, and none goes with that one; write \\\\ for it"
        case "Extra", _:
            return "the story ends before this; remove what stands behind its last bracket"
        case "Expecting", message if "property name" in message:
            return 'a key is missing here, such as "prompt":, in double quotes; add it, or remove the comma'
        case _, "Expecting ':' delimiter":
            return "a colon is missing behind the key; add it"
        case _:
            return 'a value is missing here, such as "The fox runs."; add it, or remove the comma before it'
