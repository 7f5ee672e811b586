"""Whether a model can read a prompt: what it does not know, and what it leaves out."""

from __future__ import annotations

import warnings

from shotstream.streaming.model import StoryModel


class PromptWarning(UserWarning):
    """A prompt has words that the model does not know, or is too long to be read; it is told all the same."""


def check_prompt(model: StoryModel, setting: str, prompt: str, shot: int) -> None:
    """Warn of what the model does not know of a prompt, or leaves out, on behalf of the caller's caller.

    Args:
        model: Reads it.
        setting: Goes with it.
        prompt: The prompt.
        shot: Number of its shot, from 0.

    Raises:
        ValueError: If it is empty.
    """
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what is to be seen")
    where = f"shot {shot + 1}"
    report_unknown_words(model, where, prompt)
    cut_off = model.cut_off(model.caption(setting, shot, prompt))
    if cut_off:
        sentence = f"{where}: setting and prompt are too long for the model, which leaves out: {cut_off}"
        warnings.warn(sentence, PromptWarning, stacklevel=3)


def report_unknown_words(model: StoryModel, where: str, text: str) -> None:
    """Warn of words that the model does not know; `where` they stand is said first."""
    unknown = model.unknown_words(text)
    if unknown:
        words = [f"{word} (near: {', '.join(near)})" if near else word for word, near in unknown.items()]
        sentence = f"{where}: the model does not know these words: {', '.join(words)}"
        warnings.warn(sentence, PromptWarning, stacklevel=4)
