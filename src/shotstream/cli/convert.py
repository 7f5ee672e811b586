"""`shotstream convert`: published weights become one model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotstream.cli.shared.console import console, show_warnings
from shotstream.cli.shared.saving import check_output, parse_dtype, save
from shotstream.loading.file_kinds import check_weight_file
from shotstream.loading.lora_files import Lora

app = typer.Typer(add_completion=False)


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
    loras = [Lora.parse(text) for text in lora or []]
    sources = (wan, checkpoint, tiny_decoder, *(given.path for given in loras))
    check_output(output, [source for source in sources if source is not None])
    for given in loras:
        given.check()
    for file in (checkpoint, tiny_decoder):
        if file is not None and not file.is_dir():
            check_weight_file(file)
    number_format = parse_dtype(dtype)
    from shotstream.loading.wan import assemble, find_parts
    from shotstream.streaming.pipeline import ShotStreamPipeline

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
