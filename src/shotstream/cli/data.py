"""`shotstream data`: turn films into what models learn from, look at it, check it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from shotstream.cli.shared.ray import RayAddress, join_if_asked

if TYPE_CHECKING:
    from shotstream.data.films.captioning import Captioner
    from shotstream.data.films.prepare import PrepareSummary

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Turn films into what models learn from.")
_Item = TypeVar("_Item")

Shards = Annotated[Path, typer.Argument(metavar="SHARDS", help="What `shotstream data prepare` made.")]


@app.command()
def prepare(
    films: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...",
            help="Films, folders of films, or lists of them (.txt, .csv, .json, .jsonl, .parquet, .arrow).",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="SHARDS", help="Folder of the shards; what was stopped there goes on."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Who will learn from them: mini, a model folder, a name on the hub.")
    ] = "mini",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What is kept, such as least_shots=1."),
    ] = None,
    caption: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Who captions films that have none: folder=FOLDER of a vision-language model, or "
            "url=ADDRESS and model=NAME of an endpoint, with limits such as most_cost=5.",
        ),
    ] = None,
    embed: Annotated[
        bool | None,
        typer.Option(help="Keep embeddings of captions, too \\[default: if the text encoder is big]"),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of films that do not say; kept with every story.")] = "",
    source: Annotated[str, typer.Option(help="Of films that do not say; kept with every story.")] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that look at films \\[default: one a core]")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where latents are made: auto, cpu, cuda, cuda:1, ...")
    ] = "auto",
    ray: RayAddress = None,
) -> None:
    """Cut films into stories of neighbouring shots, filter and encode them.

    Ctrl-C or a kill loses nothing that is finished; the same command goes on.
    """
    from shotstream.data.films.inputs import read_inputs
    from shotstream.data.films.settings import read_settings

    chosen, found = read_settings(settings or []), read_inputs(films, licence, source)
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output} is a file; name a folder, which need not exist yet.")
    import os

    import av  # noqa: F401  (what is missing is told before anything is done)
    import cv2  # noqa: F401
    import scenedetect  # noqa: F401

    from shotstream.data.films.model import open_encoder
    from shotstream.data.films.prepare import prepare as prepare_films
    from shotstream.machine.device import choose_device

    place = choose_device("cpu" if ray else device).value
    captioner = _captioner(caption or [], place)
    count = workers or (None if ray else max(1, min(len(found), os.cpu_count() or 1)))
    with _bill_of(captioner), join_if_asked(ray, device) as cluster, _progress() as bar:
        summary = prepare_films(
            found,
            output,
            open_encoder(model, place, embed),
            chosen,
            captioner=captioner,
            workers=count,
            cluster=cluster,
            watch=lambda items, doing, total: _watched(bar, items, doing, total),
        )
    _tell(summary, output)


@app.command()
def report(
    shards: Shards,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file \\[default: SHARDS/report.html]")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all shots as a table, too: .parquet, .arrow.")
    ] = None,
) -> None:
    """Write a page with contact sheets, histograms, and samples of what was left out, with the reasons."""
    from shotstream.data.films.report import write_report, write_table

    if table is not None:
        write_table(shards, table)
        typer.echo(f"Wrote {table}")
    typer.echo(f"Wrote {write_report(shards, output or shards / 'report.html')}")


@app.command()
def check(shards: Shards) -> None:
    """Compare every story with its checksum and shapes, and look for files that belong to nothing."""
    from shotstream.data.films.check import check_shards

    wrong, stories = 0, 0
    for name, problem in check_shards(shards):
        stories += problem is None
        if problem is not None:
            wrong += 1
            typer.echo(f"{name}: {problem}")
    typer.echo(f"{stories} stories are whole, {wrong} things are wrong")
    if wrong:
        raise typer.Exit(1)


def _captioner(words: list[str], device: Any) -> Captioner | None:
    from shotstream.data.films.settings import read_caption_settings

    settings = read_caption_settings(words)
    if settings is None:
        return None
    if isinstance(settings, Path):
        from shotstream.data.films.local_captions import LocalCaptioner

        return LocalCaptioner(settings, device)
    from shotstream.data.films.endpoint import EndpointCaptioner

    typer.echo(f"Stills of films without captions are sent to {settings.url}.")
    return EndpointCaptioner(settings)


@contextmanager
def _bill_of(captioner: Captioner | None) -> Iterator[None]:
    """Say at the end of the block what captions took, also if it is stopped or fails."""
    try:
        yield
    finally:
        if captioner is not None and captioner.asked:
            typer.echo(captioner.bill)


def _tell(summary: PrepareSummary, output: Path) -> None:
    from shotstream.data.films.prepare import reasons_in_words

    stories = ", ".join(f"{count} {split}" for split, count in summary.stories.items())
    typer.echo(
        f"{summary.files} files, {summary.hours:.2f} hours, {summary.shots} shots; "
        f"kept {summary.kept_shots} shots in stories: {stories}"
    )
    if summary.rejected:
        typer.echo(f"left out: {reasons_in_words(summary.rejected)} ({output / 'rejected.jsonl'})")
    if summary.agreement:
        typer.echo("cuts: " + ", ".join(f"{name} {count}" for name, count in summary.agreement.items()))
    typer.echo(f"new in this run: {summary.scanned} scanned, {summary.encoded} stories encoded; {output}")


def _watched(bar: Progress, items: Iterable[_Item], doing: str, total: int) -> Iterator[_Item]:
    task = bar.add_task(doing, total=total)
    for item in items:
        yield item
        bar.advance(task)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn())
