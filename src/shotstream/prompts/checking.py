"""What of a prompt does not fit its story or its model: a pure function of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from shotstream.prompts.adapting import mention_of
from shotstream.prompts.english import EMPTY_WORDS
from shotstream.prompts.prompt_form import PromptForm
from shotstream.prompts.reading import CastMember, Figure, Found, Reading, read_text, story_figures

PromptMarkCode = Literal["nobody", "stranger", "looks", "setting", "name", "unknown"]
_MOST_NEAR = 5
_SPELLED_ALIKE = 0.75
_KINDS = {"who": "who is seen", "where": "where it is", "what": "what happens", "how": "how it is seen"}


@dataclass(frozen=True)
class PromptMark:
    """One thing that does not fit."""

    code: PromptMarkCode
    words: str
    """What is said, as it stands there; empty for a shot that names nobody."""
    sentence: str
    near: tuple[str, ...] = ()
    """What to say instead, the nearest first."""


def check_prompt_words(
    form: PromptForm | None, setting: str, cast: Sequence[CastMember], prompt: str
) -> list[PromptMark]:
    """Look for what drifts from the cast, contradicts the setting, or is unknown to the model.

    Args:
        form: Of the model; None if it reads plain text, of which nothing is claimed.
        setting: Who and where.
        cast: Who the story names.
        prompt: What a shot is to show.

    Returns:
        What was found, in the order of the prompt; a shot that names nobody first.
    """
    if form is None:
        return []
    read = read_text(form, prompt, cast)
    known = story_figures(form, setting, cast)
    marks = [*_nobody(form, read, known), *_drifting(form, read, known, prompt)]
    marks += _contradicting(form, read, setting, prompt)
    marks += [*_names(form, read, known, prompt), *_unknown(form, read, prompt)]
    return sorted(marks, key=lambda mark: prompt.find(mark.words))


def check_setting_words(
    form: PromptForm | None, setting: str, cast: Sequence[CastMember] = ()
) -> list[PromptMark]:
    """Look for words of a setting that the model does not know."""
    return [] if form is None else list(_unknown(form, read_text(form, setting, cast), setting))


def _said(read: Reading, prompt: str, first: int, after: int) -> str:
    return prompt[read.tokens[first].start : read.tokens[after - 1].end]


def _nobody(form: PromptForm, read: Reading, known: Sequence[Figure]) -> Iterator[PromptMark]:
    if read.figures or read.named or not read.tokens:
        return
    near = tuple(mention_of(form, figure) for figure in known)
    say = f"say “{near[0]}”" if near else "say who it is"
    yield PromptMark("nobody", "", f"It names nobody: {say}, or somebody else may be drawn.", near)


def _drifting(form: PromptForm, read: Reading, known: Sequence[Figure], prompt: str) -> Iterator[PromptMark]:
    """Who is not in the cast, and whose looks are others than the story's."""
    near = tuple(mention_of(form, figure) for figure in known)
    nouns = [one for one in read.found if one.slot.role == "figure" and one.likeness != "near"]
    for noun in nouns if known else ():
        same = [figure for figure in known if figure.value == noun.value]
        said = _said(read, prompt, noun.first, noun.after)
        if not same:
            yield PromptMark("stranger", said, f"The story has no “{said}”: its cast is {_all(near)}.", near)
            continue
        for look in _looks_before(read, noun):
            of_cast = [figure.looks.get(look.slot.name) for figure in same]
            if look.value in of_cast or None in of_cast:
                continue
            words = _said(read, prompt, look.first, look.after)
            right = tuple(form.slot(look.slot.name).values[value].say for value in of_cast if value)
            sentence = f"The {said} of this story is {right[0]}, not {words.lower()}."
            yield PromptMark("looks", words, sentence, right)


def _looks_before(read: Reading, noun: Found) -> list[Found]:
    """The looks that stand right before a noun."""
    looks: list[Found] = []
    for one in read.found:
        if one.slot.role == "look before" and one.first < noun.first:
            looks.append(one)
        elif one.first < noun.first:
            looks.clear()
    return looks


def _contradicting(form: PromptForm, read: Reading, setting: str, prompt: str) -> Iterator[PromptMark]:
    of_story = read_text(form, setting)
    for one in read.found:
        right = of_story.first(one.slot.name)
        if one.slot.role != "world" or one.likeness == "near" or right in (None, one.value):
            continue
        words, say = _said(read, prompt, one.first, one.after), one.slot.values[right].say
        if say:
            sentence = f"“{words}” contradicts the setting, where {one.slot.called} is “{say}”."
            yield PromptMark("setting", words, sentence, (say,))


def _names(form: PromptForm, read: Reading, known: Sequence[Figure], prompt: str) -> Iterator[PromptMark]:
    """Names of the cast: the model has none."""
    told: set[str] = set()
    for at, name in sorted(read.named.items()):
        if name in told:
            continue
        told.add(name)
        near = tuple(mention_of(form, figure) for figure in known if figure.name == name)
        after = at + 1
        while read.named.get(after) == name:
            after += 1
        say = f"say “{near[0]}”" if near else "describe them on the cast sheet, in its words"
        yield PromptMark(
            "name", _said(read, prompt, at, after), f"The model knows no names: for {name}, {say}.", near
        )


def _unknown(form: PromptForm, read: Reading, prompt: str) -> Iterator[PromptMark]:
    told: set[str] = set()
    for at, token in enumerate(read.tokens):
        word = token.word
        if at in read.named or word in form.known_words or word in EMPTY_WORDS or word in told:
            continue
        told.add(word)
        said = prompt[token.start : token.end]
        within = next((one for one in read.found if one.first <= at < one.after), None)
        near, kind = _near(form, within, word)
        if near:
            about = f" for {kind}" if kind else ""
            sentence = f"The model does not know “{said}”; near it{about}: {_all(near)}."
        else:
            sentence = f"The model does not know “{said}” and leaves it out."
        yield PromptMark("unknown", said, sentence, near)


def _near(form: PromptForm, within: Found | None, word: str) -> tuple[tuple[str, ...], str]:
    """What the model knows that means nearly the same, of which kind it is; else what is spelled alike."""
    if within:
        own = within.slot.values[within.value].words
        others = [
            value.words[0]
            for name, value in within.slot.values.items()
            if name != within.value and value.words
        ]
        by_meaning = [*own, *(others if within.likeness == "near" else ())]
        return tuple(dict.fromkeys(filter(None, by_meaning)))[:_MOST_NEAR], _KINDS[within.slot.kind]
    alike = get_close_matches(word, sorted(form.known_words), n=3, cutoff=_SPELLED_ALIKE)
    return tuple(alike), ""


def _all(words: Sequence[str]) -> str:
    return ", ".join(words)
