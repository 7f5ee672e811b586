"""`shotstream train`: run a stage of a recipe, or all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def train(
    stage: Annotated[
        str,
        typer.Argument(
            help="autoencoder, decoder, teacher, causal-init, intra-shot, inter-shot, judge, export or all."
        ),
    ],
    recipe: Annotated[Path, typer.Argument(help="A recipe, for example recipes/mini/nano.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted overrides: teacher.loop.steps=200 ...")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    dry_run: Annotated[bool, typer.Option(help="Print the resolved recipe and stop.")] = False,
) -> None:
    """Train a stage of a recipe in runs/NAME; the same command goes on where it was stopped.

    Stages run in the order above; judge and decoder only need autoencoder. export puts what they made into
    runs/NAME/model, a folder that `shotstream generate --model` opens; all is everything.
    """
    import yaml

    from shotstream.training.settings import RecipeError, read_recipe

    settings = read_recipe(recipe, overrides or [])
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    if dry_run:
        return

    from shotstream.models.device import choose_device
    from shotstream.training.workspace import STAGES, Workspace

    if stage not in (*STAGES, "export", "all"):
        raise RecipeError(
            f"There is no stage {stage!r}; choose from {', '.join((*STAGES, 'export', 'all'))}."
        )
    workspace = Workspace(settings, runs / settings.name, choose_device(device).value)
    for name in STAGES if stage == "all" else (stage,):
        if name != "export":
            typer.echo(f"{name}: {workspace.run(name)}")
    if stage in ("export", "all"):
        typer.echo(f"model: {workspace.save_pipeline()}")
