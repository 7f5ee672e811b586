"""`shotstream train`: run a stage of a recipe, or all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from shotstream.cli.shared.ray import RayAddress
from shotstream.shipped import shipped_names

if TYPE_CHECKING:
    from shotstream.training.settings import Recipe
    from shotstream.training.workspace import Workspace

app = typer.Typer(add_completion=False)

RECIPES = ", ".join(shipped_names("recipes"))
WATCH_SECONDS = 1.0
"""How often the figures of a training on a cluster are looked for."""
MEASURED_STORIES = 4
"""Held-out stories by which an autoencoder is measured."""


@app.command()
def train(
    stage: Annotated[
        str,
        typer.Argument(
            help="captions, autoencoder, decoder, teacher, causal-init, intra-shot, inter-shot, "
            "student-pictures, student-decoder, judge, export or all."
        ),
    ],
    recipe: Annotated[
        Path,
        typer.Argument(help=f"A recipe file, or the name of one that comes with the package: {RECIPES}."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted overrides: teacher.loop.steps=200 ...")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    dry_run: Annotated[
        bool, typer.Option(help="Print the resolved recipe, parameters, memory and steps, and stop.")
    ] = False,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many devices train together: what --dry-run estimates for, or what --ray starts "
            "\\[default: 1, or all of the cluster]",
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Keep copies of checkpoints there: s3://BUCKET/FOLDER, any other address of fsspec, or a "
            "folder. A run whose own folder is lost goes on from them.",
        ),
    ] = None,
    ray: RayAddress = None,
) -> None:
    """Train a stage of a recipe in runs/NAME; the same command goes on where it was stopped.

    A summary says what is trained; all settings are in runs/NAME/STAGE/settings.yaml, and told by --dry-run.

    Stages run in the order above; judge and decoder only need autoencoder. export puts what they made into
    runs/NAME/model, a folder that `shotstream generate --model` opens; all is everything.

    On several devices: torchrun --nproc-per-node 8 --no-python shotstream train ...

    On those of a Ray cluster: shotstream train ... --ray ADDRESS. Its machines see the run folder.
    """
    from shotstream.machine.remote_folder import plain_address
    from shotstream.training.settings import RecipeError, read_recipe

    settings = read_recipe(recipe, overrides or [])
    if checkpoints is not None:
        checkpoints = plain_address(checkpoints)  # a cluster's processes are elsewhere
    if devices is not None and not dry_run and not ray:
        raise RecipeError("--devices needs --dry-run or --ray; without Ray torchrun starts the processes.")

    from shotstream.training.workspace import STAGES, stages_of

    if stage not in (*STAGES, "export", "all"):
        raise RecipeError(
            f"There is no stage {stage!r}; choose from {', '.join((*STAGES, 'export', 'all'))}."
        )
    chosen = (*stages_of(settings), "export") if stage == "all" else (stage,)
    if dry_run:
        if os.environ.get("RANK", "0") == "0":
            _foretell(settings, chosen, devices or int(os.environ.get("WORLD_SIZE", "1")))
        return
    if ray:
        _run_there(settings, chosen, runs / settings.name, device, ray, devices, checkpoints)
    else:
        _run(settings, chosen, runs / settings.name, device, checkpoints)


def _foretell(settings: Recipe, stages: tuple[str, ...], devices: int) -> None:
    import yaml

    from shotstream.training.estimate import estimate
    from shotstream.training.workspace import stages_of

    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    for name in stages:
        if name in stages_of(settings):
            typer.echo("\n".join(estimate(settings, name, devices).lines()))
        elif name != "export":
            typer.echo(f"The recipe {settings.name} has no stage {name}.")


def _run(
    settings: Recipe, stages: tuple[str, ...], folder: Path, device: str, checkpoints: str | None = None
) -> None:
    from shotstream.machine.device import choose_device
    from shotstream.training.distributed import join
    from shotstream.training.summary import summarise
    from shotstream.training.workspace import Workspace

    with join(choose_device(device).value) as world:
        workspace = Workspace(settings, folder, world.device, world, checkpoints)
        if world.writes:
            _fetch(workspace)
        world.wait()
        for name in stages:
            if name != "export":
                workspace.check(name)
                if world.writes and not workspace.was_fetched(name):
                    typer.echo("\n".join(summarise(settings, name, folder, world.size)))
                made = workspace.run(name)
                if name in ("autoencoder", "decoder") and world.writes:
                    _measure(workspace, made)
            elif world.writes:
                made = workspace.save_pipeline()
            else:
                continue
            if world.writes:
                typer.echo(f"{'model' if name == 'export' else name}: {made}")


def _fetch(workspace: Workspace) -> None:
    if names := workspace.fetch():
        typer.echo(f"Finished elsewhere, and fetched: {', '.join(names)}.")


def _run_there(
    settings: Recipe,
    stages: tuple[str, ...],
    folder: Path,
    device: str,
    address: str,
    devices: int | None,
    checkpoints: str | None,
) -> None:
    """Run the stages on a cluster, one after the other; what the first process says is told here."""
    from shotstream.machine.cluster import join_cluster
    from shotstream.machine.device import choose_device
    from shotstream.training.workspace import SMALL_STAGES, Workspace

    workspace = Workspace(settings, folder, choose_device("cpu").value, checkpoints=checkpoints)
    _fetch(workspace)
    with join_cluster(address, device) as cluster:
        for name in stages:
            if name != "export":
                workspace.check(name)
            if workspace.was_fetched(name):
                continue
            if name == "causal-init":
                workspace.record_on(cluster)
            count = 1 if name in (*SMALL_STAGES, "export") else devices or cluster.size
            typer.echo(f"{name}: {count} on {cluster.device}")
            with _watching(folder / name / "metrics.jsonl"):
                entry = partial(_run, settings, (name,), folder, cluster.device, checkpoints)
                cluster.train(entry, count, folder / "ray")
            typer.echo(f"{name}: {folder / ('model' if name == 'export' else f'{name}/export')}")


@contextmanager
def _watching(metrics: Path) -> Iterator[None]:
    """Tell what the processes of a cluster log, as it comes."""
    ended = Event()

    def told() -> list[str]:
        return metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []

    def watch(known: int) -> None:
        last = False
        while not last:
            last = ended.wait(WATCH_SECONDS)
            lines = told()
            for line in lines[known:]:
                figures = json.loads(line)
                typer.echo(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
            known = max(known, len(lines))

    watcher = Thread(target=watch, args=(len(told()),), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _measure(workspace: Workspace, folder: Path) -> None:
    """Write beside an autoencoder how well it gives held-out stories back."""
    from shotstream.evaluation.reconstruction import measure_reconstruction
    from shotstream.media.files import write_text
    from shotstream.world.sampler import sample_story

    world = workspace.recipe.world
    stories = [
        sample_story(seed, split="held-out", shots=world.shots, frames=world.shot_frames)
        for seed in range(min(MEASURED_STORIES, world.validation_stories))
    ]
    size = {"height": world.height, "width": world.width, "fps": world.fps, "device": workspace.device}
    measured = measure_reconstruction(workspace.autoencoder, stories, **size)
    figures = {name: round(value, 3) for name, value in measured.items()}
    write_text(folder / "reconstruction.json", json.dumps(figures, indent=2) + "\n")
    typer.echo(", ".join(f"{name} {value}" for name, value in figures.items()))
