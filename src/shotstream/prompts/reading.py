"""What a text says in a model's terms: who is in it, how they look, and what else its words mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shotstream.prompts.prompt_form import LIKENESSES, Likeness, Phrase, PromptForm, Slot, key_of

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?", re.UNICODE)


class CastMember(BaseModel):
    """One of a story's cast, as the sheet names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    description: Annotated[str, Field(max_length=400)] = ""


@dataclass(frozen=True)
class Token:
    """A word of a text."""

    word: str
    """In lower case, without a possessive s."""
    start: int
    end: int


@dataclass(frozen=True)
class Found:
    """A stretch of words that says something."""

    slot: Slot
    value: str
    likeness: Likeness
    first: int
    """Number of its first token."""
    after: int
    """Number of the token behind it."""


@dataclass(frozen=True)
class Figure:
    """Somebody who is seen."""

    value: str
    looks: dict[str, str] = field(default_factory=dict)
    """Slot -> value."""
    name: str | None = None
    """What the cast sheet calls them."""
    likeness: Likeness = "words"


@dataclass(frozen=True)
class Reading:
    """What a text says."""

    tokens: tuple[Token, ...]
    found: tuple[Found, ...]
    figures: tuple[Figure, ...]
    """In the order in which they are named, the cast's by name too; each once."""
    named: dict[int, str]
    """Tokens that are names of the cast -> the name."""

    def first(self, slot: str) -> str | None:
        """The value of a slot that is said first, if any."""
        return next(
            (one.value for one in self.found if one.slot.name == slot and one.likeness != "near"), None
        )


def tokens_of(text: str) -> tuple[Token, ...]:
    """The words of a text."""
    return tuple(
        Token(re.sub(r"['’]s?$", "", match[0].lower()), match.start(), match.end())
        for match in _WORD.finditer(text)
    )


def read_text(form: PromptForm, text: str, cast: Sequence[CastMember] = ()) -> Reading:
    """Read a text; names of the cast stand for their descriptions."""
    tokens = tokens_of(text)
    named = names_in(tokens, cast)
    found: list[Found] = []
    place = 0
    while place < len(tokens):
        phrase = None if place in named else _longest(form, tokens, place, named)
        if phrase is None:
            place += 1
            continue
        after = place + len(phrase.words)
        found.append(Found(phrase.slot, phrase.value, phrase.likeness, place, after))
        place = after
    described = {member.name: _described(form, member) for member in cast}
    figures = _figures(found, named, described)
    return Reading(tokens, tuple(found), tuple(figures), named)


def story_figures(form: PromptForm, setting: str, cast: Sequence[CastMember]) -> list[Figure]:
    """Who is in a story: those of its setting, then those of its cast sheet who are not among them."""
    figures = [one for one in read_text(form, setting, cast).figures if one.likeness != "near"]
    for member in cast:
        figure = _described(form, member)
        if figure is None:
            continue
        same = [one for one in figures if _may_be(one, figure)]
        if not same:
            figures.append(figure)
        elif same[0].name is None:
            place = figures.index(same[0])
            figures[place] = Figure(figure.value, same[0].looks | figure.looks, member.name)
    return figures


def _may_be(one: Figure, other: Figure) -> bool:
    """Whether two may be the same: the same kind of figure, and no look that differs."""
    shared = one.looks.keys() & other.looks.keys()
    return one.value == other.value and all(one.looks[slot] == other.looks[slot] for slot in shared)


def names_in(tokens: Sequence[Token], cast: Sequence[CastMember]) -> dict[int, str]:
    """Which tokens are names of the cast."""
    named: dict[int, str] = {}
    for member in sorted(cast, key=lambda member: -len(member.name)):
        words = [token.word for token in tokens_of(member.name)]
        for place in range(len(tokens) - len(words) + 1) if words else ():
            span = range(place, place + len(words))
            if [tokens[at].word for at in span] == words and not any(at in named for at in span):
                named |= dict.fromkeys(span, member.name)
    return named


def _described(form: PromptForm, member: CastMember) -> Figure | None:
    """Whom a description shows; None if that is nobody whom the model knows."""
    if not member.description:
        return None
    figures = read_text(form, member.description).figures
    return Figure(figures[0].value, figures[0].looks, member.name, figures[0].likeness) if figures else None


def _longest(form: PromptForm, tokens: Sequence[Token], place: int, named: dict[int, str]) -> Phrase | None:
    """The longest phrase that begins with a token."""
    word = tokens[place].word
    fitting: list[Phrase] = []
    for key in (key_of(word, "who"), key_of(word, "what")):
        for phrase in form.phrases.get(key, ()):
            span = range(place, place + len(phrase.words))
            if span.stop > len(tokens) or any(at in named for at in span):
                continue
            if phrase.words == tuple(key_of(tokens[at].word, phrase.slot.kind) for at in span):
                fitting.append(phrase)
                break
    rank = LIKENESSES.index
    return min(fitting, key=lambda one: (-len(one.words), rank(one.likeness)), default=None)


def _figures(
    found: Sequence[Found], named: dict[int, str], described: dict[str, Figure | None]
) -> list[Figure]:
    """Put nouns and looks together; a colour before something worn or held is that thing's."""
    figures: list[Figure] = []
    before: dict[str, str] = {}
    places: list[tuple[int, Found | str]] = [(one.first, one) for one in found]
    places += [(at, name) for at, name in named.items() if named.get(at - 1) != name]
    for _, one in sorted(places, key=lambda place: place[0]):
        if isinstance(one, str):
            if (figure := described.get(one)) and all(other.name != one for other in figures):
                figures.append(figure)
            before = {}
        elif one.slot.role == "figure":
            figures.append(Figure(one.value, before, None, one.likeness))
            before = {}
        elif one.slot.role == "look before":
            before = before | {one.slot.name: one.value}
        else:
            before = {}
            if one.slot.role == "look behind" and figures and one.slot.name not in figures[-1].looks:
                last = figures[-1]
                looks = last.looks | {one.slot.name: one.value}
                figures[-1] = Figure(last.value, looks, last.name, last.likeness)
    return _each_once(figures)


def _each_once(figures: Sequence[Figure]) -> list[Figure]:
    """Drop those who were named already."""
    kept: list[Figure] = []
    for figure in figures:
        if not any(_may_be(other, figure) for other in kept):
            kept.append(figure)
    return kept
