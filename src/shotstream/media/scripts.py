"""Scripts that people write (text, Markdown, Fountain, Final Draft): a title, scenes, and a line per shot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shotstream.media.final_draft import ACTION, CHARACTER, SCENE_HEADING, parse_final_draft
from shotstream.media.plain_text import one_line

SCRIPT_KINDS = ("txt", "md", "fountain", "fdx")
"""Endings of the files that `read_script` reads."""

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)[\s#]*$")
_LIST_ITEM = re.compile(r"^(?:[-*+]|\d{1,4}[.)])\s+")
_SCENE = re.compile(r"^(?:(?:INT|EXT|EST|INT\./EXT|INT/EXT|I/E)[. ]+|\.(?=\w))(.+)$", re.IGNORECASE)
_SCENE_NUMBER = re.compile(r"\s*#[\w.-]+#$")
_TITLE_KEY = re.compile(r"^(\w[\w ]*):\s*(.*)$")
_TRANSITION = re.compile(r"^(?:>.*[^<]|[^a-z]* TO:|FADE (?:IN|OUT)[.:]?)$")
_BONEYARD = re.compile(r"/\*.*?\*/|\[\[.*?\]\]", re.DOTALL)
_UNSEEN_VOICE = re.compile(r"\((?:V\.?O|O\.?[SC])\.?\)", re.IGNORECASE)
_EXTENSION = re.compile(r"\(.*?\)")
_LONGEST_NAME, _LONGEST_LOOKS = 80, 400
_EMPHASIS = re.compile(r"(?<!\\)[*_]+")


@dataclass
class Script:
    """What a script tells."""

    title: str = ""
    setting: str = ""
    """The first scene's heading; empty if shots come before any heading."""
    shots: list[str] = field(default_factory=list)
    """Prompts in order. A shot of another scene than the first begins with its scene's heading."""
    cast: dict[str, str] = field(default_factory=dict)
    """Name -> how they look, of who is seen speaking; empty where the script does not say."""


def read_script(text: str, kind: str) -> Script:
    """Read a script.

    Plain text and Markdown: a paragraph is a shot; without blank lines, every line is. Items of a list are
    shots of their own. In Markdown, the first heading of level 1 is the title and others begin scenes.
    Fountain: scene headings begin scenes, action paragraphs are shots, who is seen speaking is the cast.
    Dialogue, transitions, notes, sections and synopses are no pictures and are left out.
    Final Draft: the same of its paragraphs; characters who are seen speaking are named behind the setting.

    Args:
        text: The whole file.
        kind: One of `SCRIPT_KINDS`.

    Raises:
        ValueError: If there is no shot in it, or the kind is unknown.
    """
    if kind not in SCRIPT_KINDS:
        raise ValueError(f"scripts end in {', '.join(SCRIPT_KINDS)}, not in {kind!r}")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    cast: list[str] = []
    if kind == "fdx":
        title, pieces, cast = _final_draft(text)
    elif kind == "fountain":
        title, pieces, cast = _fountain(text)
    else:
        title, pieces = _plain(text, headings=kind == "md")
    script = _gather(pieces)
    if kind == "fdx":
        script.setting = " ".join(part for part in (script.setting, _with(cast)) if part)
    script.cast = {name: _introduced(name, script.shots) for name in cast if len(name) <= _LONGEST_NAME}
    if not script.shots:
        raise ValueError("the script has no shot: write what is to be seen, one line or paragraph each")
    script.title = title
    return script


@dataclass(frozen=True)
class _Piece:
    text: str
    opens_scene: bool = False


def _gather(pieces: Iterable[_Piece]) -> Script:
    """Put scenes and shots together: the first heading is the setting if no shot stands before it."""
    script, scene = Script(), ""
    for piece in pieces:
        if not piece.opens_scene:
            script.shots.append(f"{scene} {piece.text}" if scene else piece.text)
        elif script.shots or script.setting:
            scene = "" if piece.text == script.setting else piece.text
        else:
            script.setting = piece.text
    return script


def _plain(text: str, *, headings: bool) -> tuple[str, list[_Piece]]:
    title, pieces = "", []
    by_paragraph = bool(re.search(r"\S[ \t]*\n[ \t]*\n+[ \t]*\S", text))
    for paragraph in _paragraphs(text):
        shot: list[str] = []
        for line in paragraph:
            heading = _HEADING.match(line) if headings else None
            begins = heading or not by_paragraph or _LIST_ITEM.match(line)
            if begins:
                pieces += _shot(shot)
                shot = []
            if heading is None:
                shot.append(_LIST_ITEM.sub("", line))
            elif len(heading[1]) == 1 and not title:
                title = heading[2]
            else:
                pieces.append(_Piece(_sentence(heading[2]), opens_scene=True))
        pieces += _shot(shot)
    return title, pieces


def _fountain(text: str) -> tuple[str, list[_Piece], list[str]]:
    """Title, pieces and cast."""
    paragraphs = list(_paragraphs(_BONEYARD.sub("", text)))
    title = ""
    if paragraphs and _TITLE_KEY.match(paragraphs[0][0]) and not _TRANSITION.match(paragraphs[0][0]):
        title = _title(paragraphs.pop(0))
    pieces: list[_Piece] = []
    cast: dict[str, None] = {}
    for paragraph in paragraphs:
        first = paragraph[0]
        if len(paragraph) == 1 and (scene := _SCENE.match(first)):
            is_as_written = first.startswith(".") and not scene[1].isupper()
            heading = _sentence(scene[1]) if is_as_written else _scene(scene[1])
            pieces.append(_Piece(heading, opens_scene=True))
        elif first.startswith("!"):
            pieces += _shot([first[1:], *paragraph[1:]])
        elif _is_dialogue(paragraph):
            if not _UNSEEN_VOICE.search(first):
                cast[_name(first)] = None
        elif not _is_unseen(first):
            pieces += _shot(paragraph)
    return title, pieces, [name for name in cast if name]


def _final_draft(text: str) -> tuple[str, list[_Piece], list[str]]:
    """Title, pieces and cast."""
    document = parse_final_draft(text)
    pieces: list[_Piece] = []
    cast: dict[str, None] = {}
    for kind, words in document.paragraphs:
        if kind == SCENE_HEADING:
            scene = _SCENE.match(words)
            pieces.append(_Piece(_scene(scene[1]) if scene else words, opens_scene=True))
        elif kind == ACTION:
            pieces.append(_Piece(words))
        elif kind == CHARACTER and not _UNSEEN_VOICE.search(words):
            cast[_name(words)] = None
    return document.title, pieces, [name for name in cast if name]


def _name(cue: str) -> str:
    """``@ROSIE (whispers) ^`` -> ``Rosie``"""
    return _EXTENSION.sub("", cue).strip(" @^").title()


def _introduced(name: str, shots: Iterable[str]) -> str:
    """How a script says that somebody looks: ``ROSIE, a red fox, runs`` or ``Rosie (a red fox) runs``."""
    told = re.compile(rf"\b{re.escape(name)}\b(?:,\s+|\s*\()(an?\s[^,.;()]+)(?=[,.;)])", re.IGNORECASE)
    found = (match for shot in shots if (match := told.search(shot)))
    return next((match[1].strip()[:_LONGEST_LOOKS] for match in found), "")


def _with(cast: list[str]) -> str:
    """Who is seen, as a sentence."""
    names = " and ".join(part for part in (", ".join(cast[:-1]), *cast[-1:]) if part)
    return f"With {names}." if names else ""


def _title(lines: list[str]) -> str:
    """The title of a title page."""
    for number, line in enumerate(lines):
        key = _TITLE_KEY.match(line)
        if key and key[1].lower() == "title":
            return _words([key[2] or (lines[number + 1] if number + 1 < len(lines) else "")])
    return ""


def _is_dialogue(lines: list[str]) -> bool:
    """A name in capitals, or after @, and what is said under it."""
    name = lines[0].split("(")[0].rstrip("^ ")
    return len(lines) > 1 and (name.startswith("@") or (name.isupper() and not _SCENE.match(name)))


def _is_unseen(line: str) -> bool:
    """Whether a paragraph is a transition, centred text, lyrics, a section, a synopsis or a page break."""
    return bool(_TRANSITION.match(line)) or line.startswith((">", "~", "#", "="))


def _scene(heading: str) -> str:
    """``BEACH - NIGHT #3#`` as a sentence: ``Beach, night.``"""
    parts = re.split(r"\s+[-–—]+\s+", _SCENE_NUMBER.sub("", heading))
    return _sentence(", ".join(parts).lower())


def _sentence(words: str) -> str:
    words = _words([words])
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def _shot(lines: list[str]) -> list[_Piece]:
    words = _words(lines)
    return [_Piece(words)] if one_line(words) else []


def _words(lines: Iterable[str]) -> str:
    return " ".join(_EMPHASIS.sub("", " ".join(lines)).split())


def _paragraphs(text: str) -> Iterator[list[str]]:
    for block in re.split(r"\n[ \t]*\n", text):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        if lines:
            yield lines
