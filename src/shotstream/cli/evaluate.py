"""`shotstream evaluate`: have a model tell stories, or take films, measure them and write a report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shotstream import __version__
from shotstream.cli.generate import console, load, show_warnings

if TYPE_CHECKING:
    import torch

    from shotstream.evaluation.extractors import Extractors
    from shotstream.evaluation.film import Film
    from shotstream.evaluation.results import Results
    from shotstream.streaming.pipeline import ShotStreamPipeline
    from shotstream.world.judge import Judge

app = typer.Typer(add_completion=False)

DRAWN = "drawn"
"""In place of a model: the true pictures of the story world."""
ABLATIONS = "ablations"
"""In place of films: the model, its teacher, and the model with a part taken away."""


@app.command()
def evaluate(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the results; goes on if begun.")
    ],
    clips: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CLIPS]",
            help="Judge these films: a folder of .mp4 shots, or of such folders. The word ablations compares "
            "a model with its teacher and with what is left when parts are taken away.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model folder, a name on the hub, or drawn (the truth) \\[default: mini]"),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="held-out, a story file, or a folder of them \\[default: held-out]")
    ] = None,
    stories: Annotated[int | None, typer.Option(min=1, help="Held-out stories \\[default: 40]")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of a held-out story \\[default: 5]")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the first held-out story \\[default: 1000]")
    ] = None,
    judge: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of a judge; none is shipped yet.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="judge, dino, clip, laion, none \\[default: judge for the story world, else dino,clip,laion]"
        ),
    ] = None,
    aesthetic_head: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For laion: the linear head, sa_0_4_vit_l_14_linear.pth."),
    ] = None,
    weights: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For ablations: the transformers of other stages; a run.")
    ] = Path("variants"),
    tables: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="For ablations: a Markdown page to put them into.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Measure a model on held-out stories, or films: metrics.json, and report.html with pictures.

    Ctrl-C keeps the films that were finished; the same command goes on.
    """
    from shotstream.evaluation.clips import find_films, knows_the_world
    from shotstream.evaluation.extractors import parse_features
    from shotstream.evaluation.measure import check_packages
    from shotstream.evaluation.results import Results
    from shotstream.evaluation.suites import HELD_OUT
    from shotstream.models.device import choose_device

    check_packages()
    wanted = parse_features(features) if features else None
    place = choose_device(device).value
    options = {"--stories": stories, "--shots": shots, "--seed": seed}
    if clips == Path(ABLATIONS):
        say_useless({"--suite": suite}, f"with {ABLATIONS}")
        told = Telling(model or "mini", device, stories or 24, shots or 5, first_seed(seed))
        finished = compare(
            output, told, weights, tables, prepare(wanted, True, judge, place, aesthetic_head), place
        )
        raise typer.Exit(0 if finished else 130)
    say_useless({"--tables": tables}, f"without {ABLATIONS}")
    if clips:
        say_useless({"--model": model, "--suite": suite, **options}, "where films are given")
        folders = find_films(clips)
        tools = prepare(wanted, any(map(knows_the_world, folders)), judge, place, aesthetic_head)
        source = from_clips(clips, folders)
    elif suite in (None, HELD_OUT):
        tools = prepare(wanted, True, judge, place, aesthetic_head)
        source = from_world(Telling(model or "mini", device, stories or 40, shots or 5, first_seed(seed)))
    else:
        say_useless(options, "with stories from files")
        tools = prepare(wanted, False, judge, place, aesthetic_head)
        source = from_files(model or "mini", device, Path(suite))
    settings = {"shotstream": __version__, **source.settings, **tools.settings}
    results = Results(output, settings)
    finished = measure_films(source.films, results, tools)
    report(source.films, results, settings, tools, place)
    if not finished:
        raise typer.Exit(130)


class Assignment(NamedTuple):
    """A film to be measured."""

    name: str
    key: str
    """Hash of what it is made from: the same key and settings give the same film."""
    make: Callable[[], Film]


class Telling(NamedTuple):
    """Which stories of the story world a model is to tell."""

    model: str
    device: str
    stories: int
    shots: int
    seed: int
    """Of the first story."""


class Source(NamedTuple):
    """Where films come from."""

    films: list[Assignment]
    settings: dict[str, Any]
    """What decides how they look."""


class Tools(NamedTuple):
    """What films are measured with."""

    extractors: Extractors
    judge: Judge | None
    judge_facts: dict[str, Any] | None
    settings: dict[str, Any]
    """What decides the figures."""


def prepare(
    wanted: list[str] | None,
    world: bool,
    folder: Path | None,
    device: torch.device,
    aesthetic_head: Path | None = None,
) -> Tools:
    """Load the judge and the extractors, as far as they are needed.

    Args:
        wanted: Names of features; None chooses them by `world`.
        world: Whether it is known of the films what the story world shows in them.
        folder: The judge's, if not the one shipped.
        device: Where they run.
        aesthetic_head: What scores how pictures look.
    """
    from shotstream.evaluation.extractors import choose_extractors
    from shotstream.evaluation.judging import judge_facts, load_judge, locate_judge
    from shotstream.evaluation.origin import commit

    names = (["judge"] if world else ["dino", "clip", "laion"]) if wanted is None else wanted
    judge = facts = None
    if world or "judge" in names:
        folder = locate_judge(folder)
        judge, facts = load_judge(folder, device), judge_facts(folder)
    else:
        say_useless({"--judge": folder}, "on films that are not known to be of the story world")
    with console.status("loading what features come from"):
        extractors = choose_extractors(names, judge, device, aesthetic_head)
    for name, reason in extractors.refused.items():
        console.print(f"[yellow]Without {name}: {escape(reason)}[/yellow]")
    judge_sha256 = facts["weights_sha256"] if facts else None
    settings = {"features": extractors.names, "judge_sha256": judge_sha256, "commit": commit()}
    return Tools(extractors, judge, facts, settings)


def from_clips(folder: Path, films: Sequence[Path]) -> Source:
    """Take films from folders of clips."""
    from shotstream.evaluation.clips import fingerprint, read_folder

    assignments = []
    for film in films:
        name = film.resolve().name
        key = hashlib.sha256(f"{name} {fingerprint(film)}".encode()).hexdigest()
        assignments.append(Assignment(name, key, partial(read_folder, film)))
    return Source(assignments, {"clips": str(folder)})


def from_world(asked: Telling) -> Source:
    """Have a model tell held-out stories, or draw them.

    How many stories is no setting that must match: a later run may have more of them.
    """
    from shotstream.evaluation.film import drawn
    from shotstream.evaluation.suites import held_out

    if asked.model == DRAWN:
        tasks = held_out(asked.stories, asked.shots, first_seed=asked.seed)
        films = [Assignment(task.name, task.key, partial(drawn, task.world)) for task in tasks if task.world]
        return Source(films, {"model": DRAWN, **suite_settings(asked)})
    pipeline, facts = load(asked.model, asked.device)
    return Source(told_films(pipeline, asked), facts | suite_settings(asked))


def told_films(pipeline: ShotStreamPipeline, asked: Telling, **how: Any) -> list[Assignment]:
    """Films of held-out stories, which a pipeline has yet to tell; `how` goes to `film.tell`."""
    from shotstream.evaluation import film
    from shotstream.evaluation.suites import held_out

    frames = pipeline.tempo.frames(pipeline.transformer.config["window_chunks"])
    return [
        Assignment(
            task.name, task.key, partial(film.tell, pipeline, task.story, attributes=task.attributes, **how)
        )
        for task in held_out(asked.stories, asked.shots, first_seed=asked.seed, frames=frames)
    ]


def suite_settings(asked: Telling) -> dict[str, Any]:
    """What of it decides how films look; how many there are is not part of it."""
    from shotstream.evaluation.suites import HELD_OUT

    return {"suite": HELD_OUT, "shots": asked.shots, "seed": asked.seed}


def first_seed(seed: int | None) -> int:
    """The seed asked for; by default one beyond the held-out stories that are looked at while training."""
    from shotstream.evaluation.suites import FIRST_SEED

    return FIRST_SEED if seed is None else seed


def from_files(model: str, device: str, path: Path) -> Source:
    """Have a model tell stories from files.

    Raises:
        ValueError: If there are none, or they are to be drawn.
    """
    from shotstream.evaluation import suites
    from shotstream.evaluation.film import tell

    tasks = suites.from_files(path)
    if model == DRAWN:
        raise ValueError(f"--model {DRAWN} draws held-out stories only; leave --suite out, or name a model.")
    pipeline, facts = load(model, device)
    films = [Assignment(task.name, task.key, partial(tell, pipeline, task.story)) for task in tasks]
    return Source(films, facts | {"suite": str(path)})


def measure_films(films: Sequence[Assignment], results: Results, tools: Tools) -> bool:
    """Measure the films that are not in `results` yet, and show how it goes.

    Returns:
        False if Ctrl-C ended it early; what was measured until then is in the results.
    """
    from shotstream.evaluation.measure import examine

    missing = [film for film in films if results.find(film.key) is None]
    if len(missing) < len(films):
        console.print(f"{len(films) - len(missing)} of {len(films)} films are measured already.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with show_warnings(), Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=len(missing))
            for assignment in missing:
                progress.update(bar, description=escape(assignment.name))
                film = assignment.make()
                found = examine(film, tools.extractors, tools.judge)
                results.add(assignment.key, assignment.name, film, found)
                progress.advance(bar)
    except KeyboardInterrupt:
        return False
    return True


def report(
    films: Sequence[Assignment],
    results: Results,
    settings: dict[str, Any],
    tools: Tools,
    device: torch.device,
) -> dict[str, Any] | None:
    """Write the report of the films that are in `results`, say so and return it; None without any film."""
    from shotstream.evaluation.origin import hardware
    from shotstream.evaluation.report import write_report

    known = [results.find(film.key) for film in films]
    records = [record for record in known if record is not None]
    if len(records) < len(films):
        kept = f"{len(records)} of {len(films)} films are measured and kept; the same command goes on."
        console.print(f"[yellow]Stopped.[/yellow] {kept}")
    if not records:
        return None
    written = write_report(
        results.folder,
        records,
        settings=settings,
        hardware=hardware(device),
        asked_for=len(films),
        extractors=tools.extractors,
        judge=tools.judge_facts,
    )
    table = Table("metric", "mean", "95 % interval", "films")
    for name, summary in written["summary"].items():
        known_interval = summary["low"] is not None
        interval = f"{summary['low']:.3f} to {summary['high']:.3f}" if known_interval else ""
        table.add_row(name, f"{summary['mean']:.3f}", interval, str(summary["n"]))
    console.print(table)
    console.print(f"Wrote {results.folder}/: report.html, metrics.json, stories.jsonl, stills/")
    return written


def compare(
    output: Path, asked: Telling, weights: Path, page: Path | None, tools: Tools, device: torch.device
) -> bool:
    """Measure a model's variants on the same stories, each in a folder of its own, and write the tables.

    Args:
        output: Folder of those folders, ablations.json and tables.md.
        asked: The model and the stories.
        weights: Transformers of other training stages.
        page: A Markdown page that the tables are put into as well.
        tools: What films are measured with.
        device: What computes.

    Returns:
        False if Ctrl-C ended it early; the same command goes on.
    """
    from shotstream.evaluation.results import Results
    from shotstream.evaluation.tables import insert, write_tables
    from shotstream.evaluation.variants import VARIANTS, build
    from shotstream.streaming.loading import ModelError

    if page is not None:
        insert(page.read_text(encoding="utf-8"), "")  # complains now if it has no place for them
    pipeline, facts = load(asked.model, asked.device)
    reports = {}
    for variant in VARIANTS:
        try:
            built = build(variant, pipeline, weights)
        except ModelError as error:
            console.print(f"[yellow]Without {escape(variant.title)}: {escape(str(error))}[/yellow]")
            continue
        console.print(f"[bold]{escape(variant.title)}[/bold]")
        own = asked._replace(**variant.suite(asked.stories))
        settings = {"variant": variant.name, **facts, **suite_settings(own), **tools.settings}
        results = Results(output / variant.name, settings)
        films = told_films(built, own, telling=variant.telling)
        finished = measure_films(films, results, tools)
        reports[variant.name] = report(films, results, settings, tools, device)
        if not finished:
            return False
    write_tables(output, reports, page)
    console.print(f"Wrote {output}/: tables.md, ablations.json, and a folder for every variant")
    return True


def say_useless(options: Mapping[str, Any], where: str) -> None:
    """Warn of options that were given and change nothing."""
    for name, value in options.items():
        if value is not None:
            console.print(f"[yellow]{name} has no effect {where}.[/yellow]")
