"""`shotstream download`: published weights are fetched and become one model folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from shotstream.cli.shared.console import console, show_warnings
from shotstream.cli.shared.saving import check_output, parse_dtype, save

if TYPE_CHECKING:
    from shotstream.loading.hub import HubPart, PartStatus

app = typer.Typer(add_completion=False)


@app.command()
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to fetch: wan-1.3b.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The new model's folder.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    decoder: Annotated[
        bool, typer.Option("--decoder", help="The tiny decoder too, to watch live with.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Of ShotStream's repository; else its newest.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
) -> None:
    """Fetch a published model from the hub and put it together; files that are here are not fetched again."""
    from huggingface_hub import constants

    from shotstream.loading.hub import check_status, describe_source, fetch, locate_parts
    from shotstream.loading.wan import assemble
    from shotstream.machine.free_space import check_disk, check_memory
    from shotstream.streaming.pipeline import ShotStreamPipeline

    number_format, cache = parse_dtype(dtype), Path(constants.HF_HUB_CACHE)
    check_output(output, [cache])
    with console.status("asking the hub"):
        statuses = [check_status(part) for part in choose_parts(name, revision, decoder)]
    show(statuses)
    check_disk(
        {
            cache: sum(status.missing_bytes for status in statuses),
            output: written_bytes(statuses, dtype),
        }
    )
    check_memory(converting_bytes(statuses, dtype))
    if not yes and not agreed():
        raise typer.Exit(1)
    try:
        folders = [fetch(status) for status in statuses]
    except KeyboardInterrupt as stop:
        console.print(
            f"[yellow]Stopped.[/yellow] Files that were fetched whole are kept in {escape(str(cache))}; "
            "the same command goes on with the others."
        )
        raise typer.Exit(130) from stop
    with show_warnings(), console.status("reading the weights"):
        parts, tiny_decoder = locate_parts(*folders)
        pipeline = ShotStreamPipeline(**assemble(parts, tiny_decoder=tiny_decoder, dtype=number_format))
    save(pipeline, output, json.dumps([describe_source(status) for status in statuses], indent=2) + "\n")


def choose_parts(name: str, revision: str | None, decoder: bool) -> list[HubPart]:
    """Name the parts of a model.

    Raises:
        ValueError: If there is no such model.
    """
    from dataclasses import replace

    from shotstream.loading.hub import PUBLISHED, SHOTSTREAM, TINY_DECODER

    if name not in PUBLISHED:
        raise ValueError(f"there is no published model {name!r}; there is {', '.join(PUBLISHED)}.")
    parts = [
        replace(part, revision=revision) if revision and part is SHOTSTREAM else part
        for part in PUBLISHED[name]
    ]
    return [*parts, TINY_DECODER] if decoder else parts


def show(statuses: Sequence[PartStatus]) -> None:
    """Print what will be fetched, from where and under which licence; nothing of it is cut or broken."""
    for status in statuses:
        part, commit = status.part, status.commit or status.part.revision
        revision = commit if part.revision == commit else f"{commit} ({part.revision})"
        missing = (
            f"{gibibytes(status.missing_bytes)} still to fetch" if status.missing else "nothing to fetch"
        )
        for line in (
            part.title,
            f"  {part.repository} at {revision}",
            f"  licence: {part.licence}",
            f"  {gibibytes(sum(status.sizes.values()))}, {missing}",
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def agreed() -> bool:
    """Ask whether to go on.

    Raises:
        ValueError: If nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise ValueError("nobody can be asked here; give --yes to fetch these parts under these licences.")
    return typer.confirm("Fetch them, under these licences?")


def written_bytes(statuses: Sequence[PartStatus], dtype: str) -> int:
    """Bytes of the new folder, at most: the text encoder is published in bfloat16, the rest in float32."""
    return sum(sum(status.sizes.values()) for status in statuses) * (2 if dtype == "float32" else 1)


def converting_bytes(statuses: Sequence[PartStatus], dtype: str) -> int:
    """Memory for weights whose number format changes; others stay in their files until they are written."""
    wan, student = (sum(status.sizes.values()) for status in statuses[:2])
    return 2 * wan if dtype == "float32" else student // 2


def gibibytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 2**30:.2f} GiB"
