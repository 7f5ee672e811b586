"""Files that people write (YAML, JSON): plain data, the line of every value, and every mistake in them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from shotstream.media.syntax_mistakes import (
    example,
    explain_json,
    explain_text,
    explain_yaml,
    find_json_comment,
)

Location = tuple[str | int, ...]
"""Where a value stands, e.g. ``("shots", 2, "prompt")``: pydantic's ``loc``."""

_MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20
_MAX_SHOWN = 20
_MOST_DIGITS = 300
_COMMENT = re.compile(r"[ \t]*(#[^\r\n\x85\u2028\u2029\0]*)")
_LINE_END = re.compile(r"[\r\n\x85\u2028\u2029]")
_HALF = re.compile(r"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")
_UNSEEN_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\[0abefv])(?=[^\W\d_])")
"""In double quotes, what a path like C:\\fox makes a character of that nobody sees."""


class Mistake(NamedTuple):
    """What is wrong at one place, as a sentence that says what to do."""

    line: int | None
    """Counted from 1; None when it concerns the file as a whole."""
    sentence: str


@dataclass
class Document:
    """What a file says, and where it says it."""

    path: Path
    text: str = ""
    """All of it, as it was read."""
    data: Any = None
    """Dictionaries, lists, text, numbers; None when the file could not be read."""
    lines: dict[Location, int] = field(default_factory=dict)
    """Line of every key and list item, counted from 1."""
    mistakes: list[Mistake] = field(default_factory=list)
    """What is wrong with the file as a file: syntax, duplicate keys, unreadable values."""
    comments: list[tuple[Location, str]] = field(default_factory=list)
    """Comments in the line of a text without quotes, which they cut off: where, and what they say."""
    written: dict[Location, str] = field(default_factory=dict)
    """How every value that is no text is written in the file; of a list or mapping, its first line."""
    unread: set[Location] = field(default_factory=set)
    """Values that could not be read, each with a mistake of its own; a key has "" in its place."""

    def line(self, location: Location) -> int | None:
        """Line of `location`, or of the nearest thing around it; None when the file is empty."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)

    def complain(self, location: Location, sentence: str) -> None:
        """Note a mistake at `location`, unless what stands there could not be read anyhow."""
        if not any(location[:depth] in self.unread for depth in range(1, len(location) + 1)):
            self.mistakes.append(Mistake(self.line(location), sentence))

    def say_unread(self, location: Location, sentence: str) -> None:
        """Note that what stands at `location` cannot be read; nothing else is said of it."""
        self.complain(location, sentence)
        self.unread.add(location)

    def shown(self, location: Location, value: Any) -> str:
        """A value as it is written in the file, 40 characters at most."""
        written = self.written.get(location, "")
        plain = written and not isinstance(value, str | dict | list)
        return _cut(written) if plain else shortened(value)

    def explain_text(self, location: Location) -> str | None:
        """Say why what should be text is read as something else; None if it does not look like text."""
        return explain_text(self.written.get(location, ""), whole=True)

    def report(self) -> str:
        """The first 20 mistakes by their lines, each as ``file:line: sentence``; then how many more."""
        ordered = sorted(self.mistakes, key=lambda mistake: mistake.line or 0)
        entries = [self.at(line, sentence) for line, sentence in ordered[:_MAX_SHOWN]]
        if len(entries) == 1:
            return entries[0]
        if more := len(ordered) - len(entries):
            entries.append(f"and {more} more.")
        return "\n  ".join([f"{self.path} has {len(ordered)} mistakes:", *entries])

    def at(self, line: int | None, sentence: str) -> str:
        """The sentence after the file's name and the line."""
        return f"{self.path}:{line}: {sentence}" if line else f"{self.path}: {sentence}"


def read_document(path: Path, keys: Collection[str] = ()) -> Document:
    """Read a YAML or JSON file; whatever is wrong with it ends up in ``mistakes``, nothing is raised.

    Args:
        path: The file.
        keys: The keys that may stand in it, for sentences about its syntax.
    """
    document = Document(Path(path))
    text = _read_text(document)
    document.text = text
    if document.mistakes:
        return document
    if document.path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML may not; else JSON is YAML
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        said = explain_json(text) if _is_json(document.path, text) and "deep" not in str(error) else None
        document.mistakes.append(Mistake(*(said or explain_yaml(error, text, keys))))
        return document
    if node is None:
        document.mistakes.append(Mistake(None, "the file is empty."))
        return document
    if _is_json(document.path, text) and (said := find_json_comment(text)):
        document.mistakes.append(Mistake(*said))
        return document
    document.lines[()] = node.start_mark.line + 1
    document.data = _value(node, (), loader, document)
    return document


def _is_json(path: Path, text: str) -> bool:
    return path.suffix == ".json" or text.lstrip().startswith("{")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """``"; did you mean 'prompt'?"``, or the list of what is known when nothing is near."""
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(known)}."


class _Loader(yaml.SafeLoader):
    """SafeLoader without anchors, aliases (which blow up a small file), bottomless nesting, tags and guesses.

    A plain value is a number as people write it (``010`` is ten, ``1_000`` a thousand), true, false or
    nothing. All else is text: yes, 12:30, 0x1F, 2026-01-01.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.tags: dict[tuple[int, bool], str] = {}
        """Every tag that was written out, by where its value begins, and whether that is a scalar."""
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias (*)", problem_mark=event.start_mark)
        if event.anchor is not None:  # it would be cut off the text behind it, without a word
            raise yaml.MarkedYAMLError(problem="an anchor (&)", problem_mark=event.start_mark)
        if self._depth == _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="too deep", problem_mark=event.start_mark)
        if event.tag is not None:
            self.tags[event.start_mark.index, isinstance(event, yaml.ScalarEvent)] = event.tag.replace(
                "tag:yaml.org,2002:", "!!"
            )
            event.tag, event.implicit = None, _UNTAGGED.get(type(event), True)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int:
        """Read a whole number to base ten; of one that is far too long, the beginning."""
        return int(node.value.replace("_", "")[:_MOST_DIGITS])


_UNTAGGED = {yaml.ScalarEvent: (True, False)}
_NUMBER_STARTS = list("-+.0123456789")
for _tag, _pattern, _starts in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"[-+]?(?:[0-9]+|[0-9]{1,3}(?:_[0-9]{3})+)$", _NUMBER_STARTS),
    (
        "float",
        r"[-+]?(?:[0-9]+(?:[.][0-9]*)?(?:[eE][-+]?[0-9]+)?|[.][0-9]+(?:[eE][-+]?[0-9]+)?|[.](?:inf|Inf|INF))$"
        r"|[.](?:nan|NaN|NAN)$",
        _NUMBER_STARTS,
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _starts)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that puts in quotes what `_Loader` or a reader of YAML 1.1 would not take for text."""


for _first, _resolvers in _Loader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _pattern, [_first])


def as_yaml(data: Any) -> str:
    """Write plain data as YAML that `read_document` reads back as the same."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _read_text(document: Document) -> str:
    path = document.path
    try:
        raw = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
    except FileNotFoundError:
        siblings = [file.name for file in path.parent.glob("*.*")]
        near = get_close_matches(path.name, siblings, n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "check the path."
        document.mistakes.append(Mistake(None, f"there is no such file; {hint}"))
        return ""
    except OSError as error:
        remedy = "name a file in it." if path.is_dir() else "check the path and its permissions."
        document.mistakes.append(Mistake(None, f"it cannot be read ({error.strerror}); {remedy}"))
        return ""
    if raw is None:
        sentence = f"the file is larger than {_MAX_BYTES // 1024} KiB; is it the right one?"
        document.mistakes.append(Mistake(None, sentence))
    else:
        return decode_text(raw, document)
    return ""


def decode_text(raw: bytes, document: Document) -> str:
    """Read bytes as UTF-8, or as UTF-16 with its mark; what is wrong with them ends up in ``mistakes``."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        document.mistakes.append(Mistake(None, "the file is UTF-32; save it with the encoding UTF-8."))
        return ""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError:
            document.mistakes.append(
                Mistake(None, "the file is damaged UTF-16; save it with the encoding UTF-8.")
            )
            return ""
    if b"\0" in raw:
        sentence = (
            "this is not text but a binary file, or UTF-16 without its mark; give a YAML or JSON file, or a "
            "script, in the encoding UTF-8."
        )
        document.mistakes.append(Mistake(None, sentence))
        return ""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        sentence = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file with the encoding UTF-8."
        document.mistakes.append(Mistake(line, sentence))
        return ""


def _value(
    node: yaml.Node, location: Location, loader: _Loader, document: Document, in_flow: bool = False
) -> Any:
    if tag := loader.tags.get((node.start_mark.index, isinstance(node, yaml.ScalarNode))):
        text = _first_line(node, in_flow)
        meant = (
            f"; if it belongs to the text, put that in quotes: {example(text)}"
            if text.startswith("!")
            else ""
        )
        document.say_unread(location, f"the tag {shortened(tag)} is not read here; remove it{meant}.")
    if isinstance(node, yaml.CollectionNode):
        if location:
            document.written[location] = _first_line(node, in_flow)
        flow = bool(node.flow_style)
        if isinstance(node, yaml.MappingNode):
            return _mapping(node, location, loader, document, flow)
        for index, item in enumerate(node.value):
            document.lines[(*location, index)] = item.start_mark.line + 1
        return [
            _value(item, (*location, index), loader, document, flow) for index, item in enumerate(node.value)
        ]
    assert isinstance(node, yaml.ScalarNode)
    if node.style is None and (comment := _comment_after(node)):
        document.comments.append((location, comment))
    value = loader.construct_object(node)
    if isinstance(value, str):
        if damage := _damage(node):
            document.say_unread(location, damage)
            return value
        value = _joined(value)
    if not isinstance(value, str):
        document.written[location] = node.value or _first_line(node, in_flow)
    return value


def _first_line(node: yaml.Node, in_flow: bool) -> str:
    """What a value begins with in the text: in brackets the value itself, else the rest of its line."""
    mark = node.start_mark
    text = mark.buffer or ""
    end = node.end_mark.pointer if in_flow else len(text) - 1
    line_end = _LINE_END.search(text, mark.pointer, end)
    return text[mark.pointer : line_end.start() if line_end else end].strip()


def _comment_after(node: yaml.ScalarNode) -> str:
    """The comment in the line in which a plain value ends, with its ``#``; empty without one."""
    mark = node.end_mark
    found = _COMMENT.match(mark.buffer, mark.pointer) if mark.buffer else None
    return found[1].rstrip() if found else ""


def _mapping(
    node: yaml.MappingNode, location: Location, loader: _Loader, document: Document, flow: bool
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            said = document.explain_text(location) or "a key must be a single word, such as 'prompt'"
            document.mistakes.append(Mistake(line, f"{said}."))
            document.unread.add(location)
            continue
        if damage := _damage(key_node):
            document.mistakes.append(Mistake(line, damage))
            document.unread.add((*location, ""))
            continue
        key = _joined(key_node.value)
        if tag := loader.tags.get((key_node.start_mark.index, True)):
            sentence = f"the tag {shortened(tag)} is not read here; remove it from before the key."
            document.mistakes.append(Mistake(line, sentence))
            document.unread.add(location)
        if key in values:
            first = document.lines[(*location, key)]
            sentence = f"the key {key!r} stands here a second time (first in line {first}); remove one."
            document.mistakes.append(Mistake(line, sentence))
            continue
        document.lines[(*location, key)] = line
        values[key] = _value(value_node, (*location, key), loader, document, flow)
    return values


def _damage(node: yaml.ScalarNode) -> str | None:
    """Say which escape in a text makes something that nobody means; None if there is none."""
    if half := _HALF.search(node.value):
        return (
            f"\\u{ord(half[0]):04x} is half of a character, and its other half is missing; write the "
            "character itself, or leave it out."
        )
    mark = node.start_mark
    buffer = mark.buffer if node.style == '"' else None
    written = buffer[mark.pointer : node.end_mark.pointer] if buffer else ""
    if found := _UNSEEN_ESCAPE.search(written):
        return (
            f"{found[1]} in double quotes is a character that nobody sees; write \\\\ for a backslash, or "
            "use single quotes."
        )
    return None


def _joined(text: str) -> str:
    """The text with halves of characters joined: JSON writes an emoji as two escapes, which YAML keeps."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def shortened(value: Any) -> str:
    """The value as a person would write it, 40 characters at most."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a mapping"
    words = {"None": "nothing", "True": "true", "False": "false"}
    return _cut(repr(value) if isinstance(value, str) else words.get(str(value), str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
