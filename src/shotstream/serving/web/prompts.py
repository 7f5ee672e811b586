"""HTTP for what is written: brought into the model's form, and looked at for what does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from shotstream.prompts.adapter import PromptAdapter
from shotstream.prompts.adapting import AdaptedPrompt, adapt_setting
from shotstream.prompts.checking import PromptMark, check_prompt_words, check_setting_words
from shotstream.serving.web.answers import PROBLEMS, TheStudio
from shotstream.serving.web.bodies import (
    PromptAdapted,
    PromptMarkRead,
    PromptRead,
    PromptsRead,
    PromptsWritten,
)

router = APIRouter(prefix="/api", tags=["stories"], responses=PROBLEMS)


@router.post("/prompts")
async def read_prompts(studio: TheStudio, written: PromptsWritten) -> PromptsRead:
    """Say what the model would get of prompts, and what does not fit the story; nothing is told or kept."""
    return await studio.aside(read_written, studio.model.adapter, written)


def read_written(adapter: PromptAdapter, written: PromptsWritten) -> PromptsRead:
    """Look at what a person wrote; an endpoint is waited for."""
    form, setting, cast = adapter.form, written.setting, written.cast
    told = adapter.adapt(setting, cast, written.prompts if written.adapt else [])

    def read(prompt: str, adapted: AdaptedPrompt | None) -> PromptRead:
        def marks(text: str) -> list[PromptMark]:
            return check_prompt_words(form, setting, cast, text)

        return PromptRead(
            written=prompt,
            marks=_said(marks(prompt)),
            adapted=_changed(prompt, adapted, marks(adapted.prompt) if adapted else ()),
        )

    adapted = told.prompts if written.adapt else [None] * len(written.prompts)
    of_setting = adapt_setting(form, setting, cast) if written.adapt else None
    marked = check_setting_words(form, of_setting.prompt, cast) if of_setting else []
    return PromptsRead(
        setting=PromptRead(
            written=setting,
            marks=_said(check_setting_words(form, setting, cast)),
            adapted=_changed(setting, of_setting, marked),
        ),
        prompts=[read(prompt, one) for prompt, one in zip(written.prompts, adapted, strict=True)],
        by=told.by,
        problem=told.problem,
    )


def _changed(
    written: str, adapted: AdaptedPrompt | None, marks: Sequence[PromptMark]
) -> PromptAdapted | None:
    if adapted is None or (adapted.prompt == written and not adapted.notes):
        return None
    return PromptAdapted(prompt=adapted.prompt, notes=list(adapted.notes), marks=_said(marks))


def _said(marks: Sequence[PromptMark]) -> list[PromptMarkRead]:
    return [
        PromptMarkRead(code=mark.code, words=mark.words, sentence=mark.sentence, near=list(mark.near))
        for mark in marks
    ]
