"""Plain sentences in the form of a model's prompts, by rules: the same text always becomes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotstream.prompts.english import EMPTY_WORDS, PLURAL_PRONOUNS, definite, listed, sentences, short
from shotstream.prompts.prompt_form import PromptForm
from shotstream.prompts.reading import (
    CastMember,
    Figure,
    Reading,
    names_in,
    read_text,
    story_figures,
    tokens_of,
)


@dataclass(frozen=True)
class AdaptedPrompt:
    """What a model gets instead of what a person wrote."""

    prompt: str
    notes: tuple[str, ...] = ()
    """What was left out or put in, in sentences."""


def adapt_prompt(
    form: PromptForm | None, setting: str, cast: Sequence[CastMember], prompt: str
) -> AdaptedPrompt:
    """Bring a sentence into the form of a model's prompts.

    A prompt that has this form stays as it is. Nothing is added to what happens: who is seen, and their
    looks, are taken from the setting and the cast, framing and action from the form where nothing is said.

    Args:
        form: Of the model; None if it reads plain text: names then become descriptions, all else stays.
        setting: Who and where.
        cast: Who the story names.
        prompt: What the person wrote.
    """
    if form is None:
        return AdaptedPrompt(_without_names(prompt, cast))
    read = read_text(form, prompt, cast)
    known = story_figures(form, setting, cast)
    if _has_form(form, read):
        return AdaptedPrompt(prompt)
    notes: list[str] = []
    if strangers := _strangers(read):
        note = f"It names {listed(strangers)}, whom the model does not know: it stays as it is."
        return AdaptedPrompt(prompt, (note,))
    seen = [_as_introduced(figure, known) for figure in read.figures]
    if not seen and known:
        several = any(token.word in PLURAL_PRONOUNS for token in read.tokens)
        seen = known[: form.most_figures] if several else known[:1]
        names = " and ".join(mention_of(form, figure) for figure in seen)
        if not any(token.word in ("he", "she", "it", "they") for token in read.tokens):
            notes.append(f"It named nobody whom the model knows: {names} was put in.")
    if not seen:
        return AdaptedPrompt(prompt, ("It names nobody, and nor does the setting: it stays as it is.",))
    said = {"figures": " and ".join(mention_of(form, figure) for figure in seen[: form.most_figures])}
    for slot in form.slots:
        if slot.role == "shot":
            value = read.first(slot.name) or form.defaults.get(slot.name)
            said[slot.name] = slot.values[value].say if value in slot.values else ""
    notes += _left_out(form, setting, read)
    return AdaptedPrompt(form.fill(form.prompt, said), tuple(notes))


def adapt_setting(form: PromptForm | None, setting: str, cast: Sequence[CastMember]) -> AdaptedPrompt:
    """Bring a setting into the form of a model's settings, with the cast in it.

    Args:
        form: Of the model; None if it reads plain text: the descriptions are put behind it.
        setting: Who and where, as the person wrote it.
        cast: Who the story names.
    """
    if form is None:
        return AdaptedPrompt(_with_descriptions(setting, cast))
    read = read_text(form, setting, cast)
    figures = story_figures(form, setting, cast)
    missing = [figure for figure in figures if figure.name and figure.name not in read.named.values()]
    is_known = all(token.word in form.known_words for token in read.tokens)
    if is_known and all(_is_in(figure, read) for figure in missing):
        return AdaptedPrompt(setting)
    told = figures[: form.most_figures]
    notes = [
        f"The model keeps {form.most_figures} apart in a story: {figure.name or figure.value} was left out."
        for figure in figures[form.most_figures :]
    ]
    said = {
        "figures": " and ".join(_introduction(form, figure) for figure in told),
        "is": "are" if len(told) > 1 else "is",
    }
    for slot in form.slots:
        if slot.role == "world":
            value = read.first(slot.name)
            said[slot.name] = slot.values[value].say if value else ""
    if not told:
        return AdaptedPrompt(setting, ("It names nobody whom the model knows: it stays as it is.",))
    notes += _unread(form, read)
    return AdaptedPrompt(form.fill(form.setting, said), tuple(notes))


def _has_form(form: PromptForm, read: Reading) -> bool:
    """Whether a prompt is in the model's own words and says who does what."""
    happens = any(one.slot.kind == "what" and one.likeness == "words" for one in read.found)
    is_known = all(token.word in form.known_words for token in read.tokens)
    return bool(read.figures) and happens and is_known and not read.named


def _strangers(read: Reading) -> list[str]:
    """Those of whom the model knows something near at most, as they are said."""
    found = [one for one in read.found if one.slot.role == "figure" and one.likeness == "near"]
    return [" ".join(token.word for token in read.tokens[one.first : one.after]) for one in found]


def _as_introduced(figure: Figure, known: Sequence[Figure]) -> Figure:
    """Somebody with the looks that the story gives them, where the shot says no others."""
    for other in known:
        same_name = figure.name is not None and figure.name == other.name
        if same_name or (figure.name is None and figure.value == other.value):
            return Figure(other.value, other.looks | figure.looks, other.name)
    return figure


def _is_in(figure: Figure, read: Reading) -> bool:
    return any(
        other.value == figure.value and figure.looks.items() <= other.looks.items() for other in read.figures
    )


def mention_of(form: PromptForm, figure: Figure) -> str:
    """How a prompt says somebody."""
    return form.fill(form.mention, _looks(form, figure)).lower()


def _introduction(form: PromptForm, figure: Figure) -> str:
    return form.fill(form.introduction, _looks(form, figure)).lower()


def _looks(form: PromptForm, figure: Figure) -> dict[str, str]:
    who = form.figure_slot
    looks = {slot: form.slot(slot).values[value].say for slot, value in figure.looks.items()}
    return {who.name: who.values[figure.value].say, **looks}


def _left_out(form: PromptForm, setting: str, read: Reading) -> list[str]:
    """What of a prompt has no place in the model's form."""
    notes = _unread(form, read)
    of_story = read_text(form, setting)
    for one in read.found:
        said = " ".join(token.word for token in read.tokens[one.first : one.after])
        if one.likeness == "near":
            continue
        if one.slot.role == "shot" and read.first(one.slot.name) != one.value:
            notes.append(f"Left out: “{said}”; a shot has one of it. Give it a shot of its own.")
        if one.slot.role == "world" and of_story.first(one.slot.name) != one.value:
            notes.append(f"Left out: “{said}”; {one.slot.called} is told by the setting alone.")
    return notes


def _unread(form: PromptForm, read: Reading) -> list[str]:
    """What the model has no words for."""
    within = {
        at for one in read.found if one.likeness != "near" for at in range(one.first, one.after)
    } | read.named.keys()
    unread = [
        token.word
        for at, token in enumerate(read.tokens)
        if at not in within and token.word not in EMPTY_WORDS and token.word not in form.known_words
    ]
    return (
        [f"Left out: {listed(list(dict.fromkeys(unread)))}; the model has no words for it."] if unread else []
    )


def _without_names(prompt: str, cast: Sequence[CastMember]) -> str:
    """Descriptions in the place of names: models do not know them."""
    described = {member.name: definite(member.description) for member in cast if member.description}
    tokens = tokens_of(prompt)
    named = names_in(tokens, [member for member in cast if member.description])
    text, told, copied = "", set[str](), 0
    for at in sorted(named):
        name = named[at]
        if named.get(at - 1) == name:  # a name of several words
            copied = tokens[at].end
            continue
        text += prompt[copied : tokens[at].start]
        text += short(described[name]) if name in told else described[name]
        has_possessive = tokens[at].end - tokens[at].start > len(tokens[at].word)
        text += "’s" if has_possessive else ""
        told.add(name)
        copied = tokens[at].end
    return sentences(text + prompt[copied:]) if told else prompt


def _with_descriptions(setting: str, cast: Sequence[CastMember]) -> str:
    """The setting with the descriptions that it lacks, a sentence each."""
    there = setting.lower()
    lacking = [
        member.description.strip().rstrip(".")
        for member in cast
        if member.description.strip() and member.description.strip().rstrip(".").lower() not in there
    ]
    if not lacking:
        return setting
    told = f"{setting.strip().rstrip('.')}." if setting.strip() else ""
    return sentences(" ".join([told, *(f"{one}." for one in lacking)]))
