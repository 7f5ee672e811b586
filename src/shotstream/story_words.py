"""The words of a whole story: brought into its model's form, and looked at for what does not fit."""

from __future__ import annotations

from typing import NamedTuple

from shotstream.prompts.adapter import PromptAdapter
from shotstream.prompts.adapting import adapt_setting
from shotstream.prompts.checking import PromptMark, check_prompt_words, check_setting_words
from shotstream.prompts.prompt_form import PromptForm
from shotstream.story import Story


class Change(NamedTuple):
    """One text of a story that was adapted."""

    where: str
    """Such as "shot 1"."""
    written: str
    told: str
    notes: tuple[str, ...]


def adapt_story(story: Story, adapter: PromptAdapter) -> tuple[Story, list[Change], str | None]:
    """Bring the texts of a story into the form of a model.

    Args:
        story: As it was written.
        adapter: Of the model.

    Returns:
        The story that is told, what was changed, and why an endpoint did not do it, if one was asked.
    """
    setting = adapt_setting(adapter.form, story.setting, story.cast)
    prompts = [shot.prompt for shot in story.shots]
    places = [(number, at) for number, shot in enumerate(story.shots) for at in range(len(shot.redirects))]
    prompts += [story.shots[number].redirects[at].prompt for number, at in places]
    told = adapter.adapt(setting.prompt, story.cast, prompts)
    names = [f"shot {number + 1}" for number in range(len(story.shots))]
    names += [f"shot {number + 1}, redirect {at + 1}" for number, at in places]
    texts = [("the setting", story.setting, setting)]
    texts += list(zip(names, prompts, told.prompts, strict=True))
    changes = [
        Change(where, written, adapted.prompt, adapted.notes)
        for where, written, adapted in texts
        if adapted.prompt != written or adapted.notes
    ]
    count, shots = len(story.shots), []
    redirected = dict(zip(places, told.prompts[count:], strict=True))
    for number, shot in enumerate(story.shots):
        redirects = [
            redirect.model_copy(update={"prompt": redirected[number, at].prompt})
            for at, redirect in enumerate(shot.redirects)
        ]
        changed = {"prompt": told.prompts[number].prompt, "redirects": redirects}
        shots.append(shot.model_copy(update=changed))
    return story.model_copy(update={"setting": setting.prompt, "shots": shots}), changes, told.problem


def check_story(story: Story, form: PromptForm | None) -> list[tuple[str, PromptMark]]:
    """Look at all texts of a story.

    Args:
        story: The story.
        form: Of the model; None if it reads plain text, of which nothing is claimed.

    Returns:
        Where each thing stands that does not fit, such as "shot 1", and what it is.
    """
    marks = [("the setting", mark) for mark in check_setting_words(form, story.setting, story.cast)]
    for number, shot in enumerate(story.shots, 1):
        prompts = [(f"shot {number}", shot.prompt)]
        prompts += [
            (f"shot {number}, redirect {at}", redirect.prompt)
            for at, redirect in enumerate(shot.redirects, 1)
        ]
        for where, prompt in prompts:
            marks += [(where, mark) for mark in check_prompt_words(form, story.setting, story.cast, prompt)]
    return marks
