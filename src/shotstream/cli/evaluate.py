"""`shotstream evaluate`: have a model tell stories, or take films, measure them and write a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shotstream import __version__
from shotstream.cli.shared.console import console, show_warnings
from shotstream.cli.shared.model import load
from shotstream.cli.shared.ray import RayAddress, join_if_asked

if TYPE_CHECKING:
    import torch

    from shotstream.evaluation.runner import Evaluation
    from shotstream.evaluation.sources import HeldOut, Source
    from shotstream.evaluation.suites import Task
    from shotstream.evaluation.tools import Tools
    from shotstream.streaming.pipeline import ShotStreamPipeline

    Opened = tuple[Source, dict[str, Any]]
    """Films, and what is written down about the model."""

app = typer.Typer(add_completion=False)

DRAWN = "drawn"
"""In place of a model: the true pictures of the story world."""
ABLATIONS = "ablations"
"""In place of films: the model, its teacher, and the model with a part taken away."""


@app.command()
def evaluate(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder of the results; what was stopped there goes on."
        ),
    ],
    clips: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CLIPS]",
            help="Judge these films: a video file, a folder of shots, or of such folders; or the held-out "
            "stories that data prepare made. The word ablations compares a model with its teacher and with "
            "what is left when parts are taken away.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model folder, a name on the hub, or drawn (the truth) \\[default: mini]"),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="held-out, story file(s), or what data prepare made \\[default: held-out]"),
    ] = None,
    stories: Annotated[int | None, typer.Option(min=1, help="Held-out stories \\[default: 40]")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of a held-out story \\[default: 5]")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the first held-out story \\[default: 1000]")
    ] = None,
    judge: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of a judge, instead of the shipped one.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="judge, dino, clip, laion, none; dino=FOLDER for weights of one's own \\[default: judge for "
            "the story world, else dino,clip,laion]"
        ),
    ] = None,
    retakes: Annotated[
        bool, typer.Option("--retakes", help="Also retakes of first shots, and shots from portraits.")
    ] = False,
    aesthetic_head: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For laion: the linear head, sa_0_4_vit_l_14_linear.pth."),
    ] = None,
    weights: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For ablations: the transformers of other stages; a run.")
    ] = Path("runs/mini-gpu"),
    tables: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="For ablations: a Markdown page to put them into.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    ray: RayAddress = None,
) -> None:
    """Measure a model on held-out stories, or films: metrics.json, and report.html with pictures.

    Ctrl-C keeps the films that were finished; the same command goes on.
    """
    from shotstream.evaluation import sources, suites
    from shotstream.evaluation.extractors import parse_features
    from shotstream.evaluation.measure import check_packages
    from shotstream.machine.device import choose_device

    check_packages()
    wanted = parse_features(features) if features else None
    place = choose_device("cpu" if ray else device).value
    options = {"--stories": stories, "--shots": shots, "--seed": seed}
    if retakes and (clips or model == DRAWN or suite not in (None, suites.HELD_OUT)):
        warn_unused({"--retakes": retakes}, "where no model tells held-out stories alone")
    first_seed = suites.FIRST_SEED if seed is None else seed

    def tools(world: bool) -> Tools:
        return prepare(wanted, world, place, judge, aesthetic_head)

    if clips == Path(ABLATIONS):
        if ray:
            raise ValueError(f"--ray does not measure {ABLATIONS}: leave it out, or measure a model alone.")
        warn_unused({"--suite": suite}, f"with {ABLATIONS}")
        asked = sources.HeldOut(stories or 24, shots or 5, first_seed)
        finished = compare(output, model or "mini", device, asked, weights, tables, tools(True))
        raise typer.Exit(0 if finished else 130)
    warn_unused({"--tables": tables}, f"without {ABLATIONS}")
    if clips:
        warn_unused({"--model": model, "--suite": suite, **options}, "where films are given")
        world, open_source = given_films(clips)
    elif suite in (None, suites.HELD_OUT):
        world, asked = True, sources.HeldOut(stories or 40, shots or 5, first_seed)
        told = partial(told_films, model, asked, retakes)
        open_source = partial(drawn_films, asked) if model == DRAWN else told
    else:
        warn_unused(options, "with stories from files")
        tasks = tasks_in(Path(suite))
        if model == DRAWN:
            raise ValueError(f"--model {DRAWN} draws held-out stories only; leave --suite out.")
        world, open_source = any(task.attributes for task in tasks), partial(told_tasks, model, suite, tasks)
    used = tools(world)
    load_there = partial(load_measures, wanted, world, judge, aesthetic_head)
    if not measure_source(open_source, used, output, device, ray, load_there):
        raise typer.Exit(130)


def given_films(clips: Path) -> tuple[bool, Callable[[str], Opened]]:
    """Find films; tell whether it is known what the story world shows in any, and what opens them."""
    from shotstream.evaluation.film_stories import FilmStories, holds_film_stories
    from shotstream.evaluation.video_folder import find_films, knows_the_world

    if holds_film_stories(clips):
        return FilmStories(clips).knows_the_world, partial(filmed_stories, clips)
    folders = find_films(clips)
    return any(map(knows_the_world, folders)), partial(films_in, clips, folders)


def tasks_in(suite: Path) -> list[Task]:
    """Read stories to be told from files, or from what films were cut into."""
    from shotstream.evaluation.film_stories import FilmStories, holds_film_stories
    from shotstream.evaluation.suites import from_files
    from shotstream.shipped import find_file

    return FilmStories(suite).tasks if holds_film_stories(suite) else from_files(find_file(suite, "stories"))


def films_in(clips: Path, folders: list[Path], device: str) -> Opened:
    """Take films from folders of clips, or files."""
    from shotstream.evaluation import sources

    return sources.from_clips(clips, folders), {"shotstream": __version__}


def filmed_stories(folder: Path, device: str) -> Opened:
    """Take the stories that films were cut into, as they were filmed."""
    from shotstream.evaluation import sources
    from shotstream.evaluation.film_stories import FilmStories

    return sources.from_film_stories(folder, FilmStories(folder)), {"shotstream": __version__}


def drawn_films(asked: HeldOut, device: str) -> Opened:
    """Draw held-out stories."""
    from shotstream.evaluation import sources

    return sources.from_drawing(asked), {"shotstream": __version__, "model": DRAWN}


def told_films(model: str | None, asked: HeldOut, retakes: bool, device: str) -> Opened:
    """Have a model tell held-out stories, and perhaps their first shots twice more."""
    from shotstream.evaluation import sources

    pipeline, facts = load_known(model or "mini", device)
    return sources.from_model(pipeline, asked, retakes=retakes), facts


def told_tasks(model: str | None, suite: str, tasks: list[Task], device: str) -> Opened:
    """Have a model tell stories from files."""
    from shotstream.evaluation import sources

    pipeline, facts = load_known(model or "mini", device)
    return sources.from_files(pipeline, Path(suite), tasks), facts


def load_measures(wanted: list[str] | None, world: bool, *folders: Path | None, device: str) -> Tools:
    """Load what films are measured with, in a process of a cluster."""
    from shotstream.evaluation.tools import load_tools
    from shotstream.machine.device import choose_device

    return load_tools(wanted, world, choose_device(device).value, *folders)


def measure_source(
    open_source: Callable[[str], Opened],
    tools: Tools,
    output: Path,
    device: str,
    ray: str | None,
    load_there: Callable[..., Tools],
) -> bool:
    """Measure films here or on a cluster; return whether all are measured.

    Args:
        open_source: Gives the films, to be made on a device.
        tools: What they are measured with here.
        output: Folder of the results.
        device: What films are made on.
        ray: Address of the cluster; None to measure here.
        load_there: Loads what they are measured with on a device of the cluster.
    """
    from shotstream.evaluation.runner import Evaluation, Examiner, Plan

    with join_if_asked(ray, device) as cluster:
        if cluster is None:
            source, facts = open_source(device)
            return measure(Evaluation(source, output, facts, tools))[1]
        place = cluster.device
        make = partial(Examiner, partial(open_source, place), partial(load_there, device=place), output)
        with cluster.workers(make) as processes:
            with console.status("waiting for the cluster"):
                [(_, plan)] = processes.map([None])
            assert isinstance(plan, Plan)
            known = tools._replace(hardware=plan.hardware)
            return measure(Evaluation(plan.source, output, plan.facts, known, processes))[1]


def prepare(wanted: list[str] | None, world: bool, device: torch.device, *folders: Path | None) -> Tools:
    """Load what films are measured with (see `load_tools`), and say what cannot be had."""
    from shotstream.evaluation.tools import load_tools

    with console.status("loading what features come from"):
        tools = load_tools(wanted, world, device, *folders)
    for name, reason in tools.extractors.refused.items():
        console.print(f"[yellow]Without {name}: {escape(reason)}[/yellow]")
    if tools.judge is None:
        warn_unused({"--judge": folders[0]}, "on films that are not known to be of the story world")
    return tools


def measure(evaluation: Evaluation) -> tuple[dict[str, Any] | None, bool]:
    """Measure the missing films with a progress bar, and write the report.

    Returns:
        The report, None without any film; and whether all films are measured, as Ctrl-C may end it early.
    """
    films, missing = evaluation.films, evaluation.missing
    if len(missing) < len(films):
        console.print(f"{len(films) - len(missing)} of {len(films)} films are measured already.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    finished = False
    with suppress(KeyboardInterrupt), show_warnings(), Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(missing))
        for number, film in enumerate(evaluation.measure()):
            progress.update(bar, description=escape(film.name), completed=number)
        progress.update(bar, completed=len(missing))
        finished = True
    return report(evaluation), finished


def report(evaluation: Evaluation) -> dict[str, Any] | None:
    """Write the report, and print it; None without any film."""
    films, missing = evaluation.films, evaluation.missing
    if missing:
        kept = f"{len(films) - len(missing)} of {len(films)} films are measured and kept"
        console.print(f"[yellow]Stopped.[/yellow] {kept}; the same command goes on.")
    written = evaluation.write_report()
    if written is None:
        return None
    table = Table("metric", "mean", "95 % interval", "films")
    for name, summary in written["summary"].items():
        known_interval = summary["low"] is not None
        interval = f"{summary['low']:.3f} to {summary['high']:.3f}" if known_interval else ""
        table.add_row(name, f"{summary['mean']:.3f}", interval, str(summary["n"]))
    console.print(table)
    folder = escape(str(evaluation.results.folder))
    console.print(f"Wrote {folder}/: report.html, metrics.json, stories.jsonl, stills/")
    return written


def compare(
    output: Path, model: str, device: str, asked: HeldOut, weights: Path, page: Path | None, tools: Tools
) -> bool:
    """Measure a model's variants on the same stories, and write the tables.

    Args:
        output: Folder of the variants' folders, ablations.json and tables.md.
        model: The model.
        device: What it runs on.
        asked: The stories.
        weights: Transformers of other training stages.
        page: A Markdown page that the tables are put into as well.
        tools: What films are measured with.

    Returns:
        False if Ctrl-C ended it early; the same command goes on.
    """
    from shotstream.evaluation.runner import Evaluation, evaluate_variants
    from shotstream.evaluation.variant_tables import insert, write_tables

    if page is not None:
        insert(page.read_text(encoding="utf-8"), "")  # complains now if it has no place for them
    pipeline, facts = load_known(model, device)
    reports: dict[str, Any] = {}
    for variant, evaluation in evaluate_variants(pipeline, asked, weights, output, facts, tools):
        if not isinstance(evaluation, Evaluation):
            console.print(f"[yellow]Without {escape(variant.title)}: {escape(str(evaluation))}[/yellow]")
            continue
        console.print(f"[bold]{escape(variant.title)}[/bold]")
        reports[variant.name], finished = measure(evaluation)
        if not finished:
            return False
    write_tables(output, reports, page)
    console.print(f"Wrote {escape(str(output))}/: tables.md, ablations.json, and a folder for every variant")
    return True


def load_known(model: str, device: str) -> tuple[ShotStreamPipeline, dict[str, Any]]:
    """Load a model, and tell its weights' hash: what was measured belongs to these weights alone."""
    from shotstream.loading.hashes import hash_weights

    pipeline, facts = load(model, device)
    return pipeline, facts | {"weights_sha256": hash_weights(pipeline.fetch(model))}


def warn_unused(options: Mapping[str, Any], where: str) -> None:
    """Warn of options that were given and change nothing."""
    for name, value in options.items():
        if value is not None:
            console.print(f"[yellow]{name} has no effect {where}.[/yellow]")
