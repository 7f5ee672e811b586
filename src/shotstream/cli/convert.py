"""`shotstream convert`: published weights become one model folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from shotstream.cli.generate import show_warnings
from shotstream.loading.folder_code import FOLDER_CODE

if TYPE_CHECKING:
    import torch

    from shotstream.streaming.pipeline import ShotStreamPipeline

app = typer.Typer(add_completion=False)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def convert(
    wan: Annotated[
        Path, typer.Argument(metavar="WAN", help="Folder of Wan 2.1 T2V 1.3B, its authors' or diffusers'.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The new model's folder.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ShotStream's released weights, for Wan's transformer."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Which network of the checkpoint \\[default: generator, averaged if there]"),
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="Merge a LoRA; may be given again.")
    ] = None,
    tiny_decoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tiny decoder for watching live (taew2_1), for --decoder tiny."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
) -> None:
    """Put published weights together as a folder that `shotstream generate --model` opens."""
    from shotstream.loading.lora import Lora
    from shotstream.loading.wan import assemble, find_parts
    from shotstream.streaming.pipeline import ShotStreamPipeline

    number_format = parse_dtype(dtype)
    loras = [Lora.parse(text) for text in lora or []]
    sources = (wan, checkpoint, tiny_decoder, *(given.path for given in loras))
    check_output(output, [source for source in sources if source is not None])
    with show_warnings(), console.status("reading the weights"):
        components = assemble(
            find_parts(wan),
            checkpoint,
            wrapper=network,
            loras=loras,
            tiny_decoder=tiny_decoder,
            dtype=number_format,
        )
        pipeline = ShotStreamPipeline(**components)
    save(pipeline, output)
    if checkpoint is None:
        console.print(
            "[yellow]This is Wan 2.1 itself, which has not learnt to tell stories in four steps: train "
            "from it (base: in a recipe), or give --checkpoint.[/yellow]"
        )


def check_output(folder: Path, sources: Iterable[Path]) -> None:
    """Refuse a folder that a new model cannot simply be put in the place of.

    Args:
        folder: The folder, which need not exist.
        sources: Files and folders that the model is made from.

    Raises:
        ValueError: If it is no folder, if there is something in it that is no model, or if it is, holds or
            lies in one of the sources.
    """
    place = folder.resolve()
    found = next(path for path in (place, *place.parents) if path.exists())
    if not found.is_dir():
        raise ValueError(f"{folder} cannot be a folder, because {found} is a file; choose a new folder.")
    if found == place and {entry.name for entry in place.iterdir()} - _names_in_model(place):
        raise ValueError(
            f"{folder} holds something other than a model, which would be lost; choose a new folder."
        )
    for source in sources:
        input_place = source.resolve()
        if place in (input_place, *input_place.parents) or input_place in place.parents:
            raise ValueError(
                f"{folder} is, holds or lies in {source}, which the model is made from; choose a new folder."
            )


def _names_in_model(folder: Path) -> set[str]:
    """What may lie in a model's folder; nothing if its index cannot be read."""
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8") if path.is_file() else "")
        parts = {name for name, value in index.items() if isinstance(value, list)}
    except (OSError, ValueError, AttributeError):
        return set()
    return parts | {"model_index.json", "sources.json", "README.md", *FOLDER_CODE}


def save(pipeline: ShotStreamPipeline, output: Path, record: str | None = None) -> None:
    """Write a model's folder, whole or not at all, and say how to use it.

    Args:
        pipeline: The model.
        output: The folder.
        record: Where its parts come from, JSON; kept in it as sources.json.

    Raises:
        MediaError: If it cannot be written.
    """
    from shotstream.media.files import whole_folder, write_text

    with console.status(f"writing {output}"), whole_folder(output.resolve()) as folder:
        pipeline.save_pretrained(folder)
        if record is not None:
            write_text(folder / "sources.json", record)
    console.print(f"Wrote {output}/: shotstream generate STORY --model {output}")


def parse_dtype(name: str) -> torch.dtype:
    """Read the name of a number format.

    Raises:
        ValueError: If weights cannot be kept in it.
    """
    import torch

    if name not in ("bfloat16", "float16", "float32"):
        raise ValueError(f"--dtype is {name!r}; give bfloat16, float16 or float32.")
    return getattr(torch, name)
