"""What commands share that bring a story's words into its model's form, or look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shotstream.cli.shared.console import console
from shotstream.loading.folders import read_form
from shotstream.prompts.adapter import PromptAdapter, open_endpoint
from shotstream.story import Story
from shotstream.story_words import adapt_story, check_story

Adapt = Annotated[
    bool,
    typer.Option("--adapt", help="Bring prompts into the form that the model was trained with; shows both."),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Look at the words alone, and make nothing: 1 if something does not fit."),
]
AdapterUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Endpoint of OpenAI's chat completions that adapts prompts, such as http://localhost:8000/v1; "
        "its key is in SHOTSTREAM_ADAPTER_KEY or OPENAI_API_KEY.",
    ),
]
AdapterModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="What that endpoint calls the model that adapts.")
]


def adapt_and_check(
    story: Story, model: str, url: str | None, name: str | None, *, adapt: bool, check: bool
) -> Story:
    """Adapt a story and look at its words, as the command line says, and print what came of it.

    Args:
        story: What the file says.
        model: The model's folder.
        url: Address of an endpoint that adapts.
        name: What it calls its model.
        adapt: Whether its prompts are adapted.
        check: Whether its words are looked at, and the command ends.

    Returns:
        The story that is told.

    Raises:
        ValueError: If the options do not go together, or the model is not on this disk.
        typer.Exit: After a check; with 1 if something does not fit.
    """
    endpoint = open_endpoint(url, name)
    if endpoint and not adapt:
        raise ValueError("--adapter adapts nothing without --adapt; give both, or neither.")
    if not (adapt or check):
        return story
    form = read_form(Path(model))
    if adapt:
        story, changes, problem = adapt_story(story, PromptAdapter(form, endpoint))
        if problem:
            console.print(f"[yellow]{escape(problem)}[/yellow]")
        for change in changes:
            console.print(f"{change.where}: {change.written}\n  -> {change.told}", markup=False)
            for note in change.notes:
                console.print(f"  {note}", markup=False)
        if not changes:
            console.print("All prompts have the model's form already.")
    if check:
        marks = check_story(story, form)
        for where, mark in marks:
            console.print(f"{where}: {mark.sentence}", markup=False)
        if not marks:
            said = "reads plain text, of which nothing is claimed" if form is None else "knows all words"
            console.print(f"Nothing to mark: the model {said}.", markup=False)
        raise typer.Exit(1 if marks else 0)
    return story
