"""Who brings prompts into a model's form: rules, or an endpoint that a person names."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from shotstream.prompts.adapting import AdaptedPrompt, adapt_prompt
from shotstream.prompts.chat_endpoint import ChatEndpoint, EndpointError, EndpointRefusal, Whom
from shotstream.prompts.prompt_form import PromptForm, split_words
from shotstream.prompts.reading import CastMember

log = logging.getLogger(__name__)

KEY_VARIABLES = ("SHOTSTREAM_ADAPTER_KEY", "OPENAI_API_KEY")
"""Environment variables that the key is taken from."""
MOST_CHARACTERS = 2_000
"""Of a prompt; an endpoint's longer answers are not taken."""
_TASK = (
    "You rewrite shots of a film for a model that makes them from text. Keep what happens. Say who is seen "
    "by their looks, not by names. One shot, one or two sentences, present tense. Add no events."
)
_FORM = (
    "The model knows these words only, and no others: {words}. Write each shot in the form of these "
    "examples: {examples}"
)
_ANSWER = (
    'Answer with JSON only: {"prompts": ["shot 1", ...]}, with exactly as many shots as there are, in order.'
)

By = Literal["rules", "endpoint"]


@dataclass(frozen=True)
class AdaptedPrompts:
    """What a model gets instead of what a person wrote."""

    prompts: tuple[AdaptedPrompt, ...]
    by: By
    problem: str | None = None
    """Why the endpoint did not do it, if one was asked."""


class PromptAdapter:
    """Brings prompts into the form that a model was trained with.

    Args:
        form: Of the model; None if it reads plain text.
        endpoint: Does it, if given; where it fails, the rules do.
    """

    def __init__(self, form: PromptForm | None, endpoint: ChatEndpoint | None = None) -> None:
        self.form, self.endpoint = form, endpoint

    @property
    def by(self) -> By | None:
        """Who does it; None if nobody but the cast sheet's names is changed."""
        return "endpoint" if self.endpoint else "rules" if self.form else None

    def adapt(self, setting: str, cast: Sequence[CastMember], prompts: Sequence[str]) -> AdaptedPrompts:
        """Adapt prompts, by the endpoint if there is one.

        Args:
            setting: Who and where.
            cast: Who the story names.
            prompts: What the person wrote.

        Returns:
            As many, in order.
        """
        problem = None
        if self.endpoint and prompts:
            try:
                told = self.endpoint.ask(
                    self._messages(setting, cast, prompts), lambda text: self._read(text, len(prompts))
                )
                return AdaptedPrompts(tuple(AdaptedPrompt(prompt) for prompt in told), "endpoint")
            except EndpointError as error:
                problem = self._say_failed(error)
                log.warning("%s", problem)
        adapted = tuple(adapt_prompt(self.form, setting, cast, prompt) for prompt in prompts)
        return AdaptedPrompts(adapted, "rules", problem)

    def _say_failed(self, error: EndpointError) -> str:
        assert self.endpoint
        said = str(error)
        if not isinstance(error, EndpointRefusal):
            said = (
                f"The endpoint {self.endpoint.whom.url} adapted no prompt in "
                f"{self.endpoint.whom.tries} tries: {said}."
            )
        return f"{said} The rules did it instead."

    def _messages(
        self, setting: str, cast: Sequence[CastMember], prompts: Sequence[str]
    ) -> list[dict[str, str]]:
        form = ""
        if self.form:
            words, examples = ", ".join(sorted(self.form.known_words)), " / ".join(self.form.examples)
            form = _FORM.format(words=words, examples=examples)
        story = {
            "setting": setting,
            "cast": {member.name: member.description for member in cast},
            "shots": list(prompts),
        }
        return [
            {"role": "system", "content": " ".join(part for part in (_TASK, form, _ANSWER) if part)},
            {"role": "user", "content": json.dumps(story, ensure_ascii=False)},
        ]

    def _read(self, text: str, count: int) -> list[str] | None:
        """Understand an answer, also one with words around its JSON; None if it will not do."""
        found = re.search(r"\{.*\}", text, re.DOTALL)
        try:
            told = json.loads(found[0])["prompts"] if found else None
        except (KeyError, TypeError, ValueError):
            return None
        if not isinstance(told, list) or len(told) != count:
            return None
        prompts = [" ".join(prompt.split()) for prompt in told if isinstance(prompt, str)]
        fits = [
            prompt for prompt in prompts if prompt and len(prompt) <= MOST_CHARACTERS and self._knows(prompt)
        ]
        return fits if len(fits) == count else None

    def _knows(self, prompt: str) -> bool:
        return self.form is None or self.form.known_words.issuperset(split_words(prompt))


def open_endpoint(
    url: str | None, model: str | None, sleep: Callable[[float], None] = time.sleep
) -> ChatEndpoint | None:
    """The endpoint that a person names, if any.

    Raises:
        ValueError: If the address or the model's name is missing, or is none.
    """
    if url is None and model is None:
        return None
    if not url or not model:
        raise ValueError("--adapter URL and --adapter-model NAME go together; give both, or neither.")
    if not re.match(r"https?://[^/\s]+", url):
        raise ValueError(
            f"--adapter is {url!r}, which is no address; give for example http://localhost:8000/v1."
        )
    return ChatEndpoint(Whom(url, model, KEY_VARIABLES), sleep)
