"""The form of a model's prompts: which kinds of words it knows, and how its training captions put them.

A model folder has it in its ``model_index.json``. A model that reads plain text has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from shotstream.media.faults import say_fault
from shotstream.prompts.english import sentences, singular, stem

Kind = Literal["who", "where", "what", "how"]
Role = Literal["figure", "look before", "look behind", "world", "shot"]
Likeness = Literal["words", "also", "near"]
LIKENESSES: tuple[Likeness, ...] = ("words", "also", "near")
"""How near what is said comes to a value, the nearest first; see `Wording`."""
_OPTION = re.compile(r"\[([^\[\]]*)\]")
_PLACE = re.compile(r"\{(\w+)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wording(_Part):
    """One value of a slot, such as dancing: all ways in which it is said."""

    say: str
    """How prompts that are put together say it."""
    words: tuple[str, ...]
    """How the training captions said it; what is offered first comes first."""
    also: tuple[str, ...] = ()
    """What people say for the same, and the model does not know."""
    near: tuple[str, ...] = ()
    """What people say for something else, nearest to it: offered, never put in."""


class Slot(_Part):
    """One kind of words."""

    name: str
    kind: Kind
    role: Role
    """Who is seen, a look before or behind the noun, what stays all story, or what a shot does."""
    called: str
    """What a sentence calls it, such as "the place"."""
    values: dict[str, Wording]


class Phrase(NamedTuple):
    """One way of saying a value."""

    words: tuple[str, ...]
    slot: Slot
    value: str
    likeness: Likeness


class PromptForm(_Part):
    """The form of a model's prompts.

    Templates have ``{slot}``, ``{figures}`` (who is seen) and, in settings, ``{is}``. What stands in brackets
    is left out where it has nothing to say.
    """

    slots: tuple[Slot, ...]
    prompt: str
    setting: str
    mention: str
    """How a prompt says somebody whom the setting has introduced."""
    introduction: str
    """How a setting says somebody."""
    defaults: dict[str, str] = {}
    """Values of slots that every prompt has."""
    most_figures: int = 2
    """Of one story."""
    other_words: tuple[str, ...] = ()
    """Words that the model knows and that change nothing."""
    examples: tuple[str, ...] = ()
    """Prompts of the training data."""

    def slot(self, name: str) -> Slot:
        """The slot of a name."""
        return next(slot for slot in self.slots if slot.name == name)

    @property
    def figure_slot(self) -> Slot:
        """The slot of who is seen."""
        return next(slot for slot in self.slots if slot.role == "figure")

    @cached_property
    def known_words(self) -> frozenset[str]:
        """Every word that the model knows, in lower case."""
        texts = [text for slot in self.slots for wording in slot.values.values() for text in wording.words]
        return frozenset(word for text in (*texts, *self.other_words) for word in split_words(text))

    @cached_property
    def phrases(self) -> Mapping[str, tuple[Phrase, ...]]:
        """All ways of saying something by their first word, the longest first; verbs by their stems."""
        found: dict[str, list[Phrase]] = {}
        for phrase in self._phrases():
            key = phrase.words[0]
            found.setdefault(key, []).append(phrase)
        rank = LIKENESSES.index
        return {
            key: tuple(sorted(phrases, key=lambda one: (-len(one.words), rank(one.likeness))))
            for key, phrases in found.items()
        }

    def _phrases(self) -> Iterator[Phrase]:
        for slot in self.slots:
            for name, wording in slot.values.items():
                ways: tuple[tuple[Likeness, tuple[str, ...]], ...] = (
                    ("words", (*wording.words, wording.say)),
                    ("also", wording.also),
                    ("near", wording.near),
                )
                for likeness, texts in ways:
                    for text in texts:
                        if words := tuple(key_of(word, slot.kind) for word in split_words(text)):
                            yield Phrase(words, slot, name, likeness)

    def fill(self, template: str, said: Mapping[str, str]) -> str:
        """Fill a template in, as sentences.

        Args:
            template: One of those of this form.
            said: What is said for each place; one that is missing or empty says nothing.
        """

        def option(match: re.Match[str]) -> str:
            places = _PLACE.findall(match[1])
            return match[1] if all(said.get(place) for place in places) else ""

        text = _PLACE.sub(lambda match: said.get(match[1], ""), _OPTION.sub(option, template))
        return re.sub(r"\s+([.,])", r"\1", sentences(text))


def read_prompt_form(data: Mapping[str, Any]) -> PromptForm:
    """Read the form of a model's prompts.

    Raises:
        ValueError: In a sentence, if it cannot be used.
    """
    try:
        return PromptForm.model_validate(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ValueError(
            f"prompt_form in model_index.json cannot be used: {say_fault(fault)}; export the model again"
        ) from error


def split_words(text: str) -> list[str]:
    """The lower-case words of a text, without punctuation."""
    return re.findall(r"[a-z]+", text.lower())


def key_of(word: str, kind: Kind) -> str:
    """What a word of a kind is looked up by: what happens by the stem, all else by the singular."""
    return f"~{stem(word)}" if kind == "what" else singular(word)
