"""Scripts of Final Draft (.fdx): XML of paragraphs, each of a type such as Scene Heading or Action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

SCENE_HEADING, ACTION, CHARACTER = "Scene Heading", "Action", "Character"
_MOST_DEPTH = 50
_NO_XML = "".join(chr(code) for code in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF))


@dataclass
class FinalDraft:
    """What a file says."""

    title: str = ""
    """The first line of its title page."""
    paragraphs: list[tuple[str, str]] = field(default_factory=list)
    """(type, text) in order, without empty ones."""


def parse_final_draft(text: str) -> FinalDraft:
    """Read a file.

    A DTD is refused, and with it every entity of its own: a small file could grow without end, or read
    others.

    Args:
        text: The whole file.

    Raises:
        ValueError: If it is damaged, no script of Final Draft or has a DTD; the message has line and remedy.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except ExpatError as error:
        reason = str(error).partition(":")[0]
        raise ValueError(
            f"line {error.lineno}: the file is damaged there ({reason}); save it anew in Final Draft"
        ) from error
    return reader.script


def write_final_draft(title: str, setting: str, shots: Sequence[str]) -> str:
    """Write a script: the setting as its one scene heading, every shot as action.

    Returns:
        The text of an ``.fdx`` file. What XML has no place for, such as control characters, is left out.
    """
    paragraphs = [(SCENE_HEADING, setting)] if setting else []
    paragraphs += [(ACTION, shot) for shot in shots]
    lines = [
        '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>',
        '<FinalDraft DocumentType="Script" Template="No" Version="5">',
        "  <Content>",
        *(_paragraph(kind, text) for kind, text in paragraphs),
        "  </Content>",
    ]
    if title:
        lines += ["  <TitlePage>", "    <Content>"]
        lines += [_paragraph("", title), "    </Content>", "  </TitlePage>"]
    return "\n".join([*lines, "</FinalDraft>", ""])


def _paragraph(kind: str, text: str) -> str:
    said = text.translate(dict.fromkeys(map(ord, _NO_XML))).encode("utf-8", "ignore").decode()
    of_type = f" Type={quoteattr(kind)}" if kind else ""
    return f"    <Paragraph{of_type}><Text>{escape(said)}</Text></Paragraph>"


class _Reader:
    """Gathers paragraphs while a file is read."""

    def __init__(self) -> None:
        self.script = FinalDraft()
        self._open: list[str] = []
        self._kind = ""
        self._words: list[str] | None = None
        self.parser = ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._said

    def _doctype(self, *_: object) -> None:
        raise ValueError(
            f"line {self.parser.CurrentLineNumber}: the file has a DTD (<!DOCTYPE), which no script needs; "
            "remove it, or save the script anew in Final Draft"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if not self._open and name != "FinalDraft":
            raise ValueError(
                f"line {line}: this is <{name}>, not the <FinalDraft> of a script; save the script as .fdx "
                "in Final Draft"
            )
        if len(self._open) >= _MOST_DEPTH:
            raise ValueError(
                f"line {line}: elements are in one another more than {_MOST_DEPTH} deep; save the script "
                "anew in Final Draft"
            )
        self._open.append(name)
        if name == "Paragraph" and self._words is None:
            self._kind, self._words = attributes.get("Type", ""), []

    def _end(self, name: str) -> None:
        self._open.pop()
        if name != "Paragraph" or self._words is None or "Paragraph" in self._open:
            return
        text, self._words = " ".join("".join(self._words).split()), None
        if not text:
            return
        if "TitlePage" in self._open:
            self.script.title = self.script.title or text
        elif self._open == ["FinalDraft", "Content"]:
            self.script.paragraphs.append((self._kind, text))

    def _said(self, words: str) -> None:
        if self._words is not None and self._open[-1] == "Text" and "ScriptNote" not in self._open:
            self._words.append(words)
