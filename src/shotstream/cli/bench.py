"""`shotstream bench`: how fast stories are told, from prompt to decoded frames in memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotstream.cli.shared.console import console
from shotstream.cli.shared.model import check_choices
from shotstream.loading.folders import locate_model

if TYPE_CHECKING:
    from shotstream.benchmark.record import ColdStart, Measurements, Record, Settings
    from shotstream.streaming.pipeline import ShotStreamPipeline

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="mini, a model folder, or a name on the hub.")] = "mini",
    random: Annotated[
        str | None, typer.Option(help="Random weights instead, of the size of tiny, mini or wan-1.3b.")
    ] = None,
    shots: Annotated[int, typer.Option(min=1, help="Shots of the story that counts.")] = 5,
    seconds: Annotated[float | None, typer.Option(help="Of a shot \\[default: as trained]")] = None,
    height: Annotated[int | None, typer.Option(help="Of the pictures \\[default: as trained]")] = None,
    width: Annotated[int | None, typer.Option(help="Of the pictures \\[default: as trained]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    mode: Annotated[str, typer.Option(help="auto, plain, compiled or fast, as for generate.")] = "auto",
    decoder: Annotated[str | None, typer.Option(help="full or tiny, where the model has both.")] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="The transformer only: no captions, no pixels.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Count waiting, cache copies and growth in the chunk loop too.")
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Start a new process first, and time it to its first frames.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="File for the record, FILE.json.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="OLD NEW", help="Compare two records; OLD may be a folder of baselines."),
    ] = None,
    allowed: Annotated[float, typer.Option(min=0, help="Fraction by which NEW may be slower.")] = 0.15,
    counts: Annotated[bool, typer.Option("--counts", help="Compare counts only, not times.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare even other settings and machines.")] = False,
) -> None:
    """Tell a story, take the time, and show it beside the film's own pace and the goals."""
    if context.invoked_subcommand:
        return
    if compare:
        _compare(*compare, allowed=allowed, counts_only=counts, force=force)
        return
    check_choices(dtype=dtype, mode=mode, decoder=decoder)
    if output and (output.suffix.lower() != ".json" or output.is_dir()):
        raise ValueError(f"--output is {output}; the record is JSON: name a file that ends with .json.")
    if random is None:
        locate_model(model)
    from shotstream.benchmark.printing import record_table
    from shotstream.streaming.speed import choose_mode

    if cold and loop:
        raise ValueError("--cold tells a story, which --loop leaves out; give one of them")
    asked = (random or model, random is not None, device, dtype)
    first = _start_cold(*asked, mode=mode, decoder=decoder, height=height, width=width) if cold else None
    pipeline, settings = _make(*asked)
    chunks = pipeline.transformer.config["window_chunks"]
    settings = settings.model_copy(
        update={
            "shots": shots,
            "chunks": chunks if seconds is None else pipeline.timing.chunks(seconds),
            "height": height or int(pipeline.config["height"]),
            "width": width or int(pipeline.config["width"]),
            "mode": choose_mode(mode, pipeline._execution_device).value,
            "decoder": decoder,
            "transformer_only": loop,
        }
    )
    record = _run(pipeline, settings, watch, output, first)
    console.print(record_table(record))
    if output:
        console.print(f"Wrote {output}", markup=False)


@app.command()
def numerics() -> None:
    """Measure how far every faster or smaller way to compute is from float32 (docs/numerics.md)."""
    from rich.table import Table

    from shotstream.benchmark.numerics import WAYS, measure

    table = Table("way", "cosine", "largest error", "cosine at least", "error at most")
    for way in WAYS.values():
        with console.status(way.title):
            found = measure(way)
        bounds = (str(way.least_cosine), str(way.largest_error))
        table.add_row(way.title, f"{found.cosine:.6f}", f"{found.error:.5f}", *bounds)
    console.print(table)


@app.command()
def work(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="JSON file for the counts.")
    ] = None,
) -> None:
    """Count what Wan 2.1 1.3B computes, reads and writes at 480x832; nothing runs."""
    from shotstream.benchmark.printing import work_table
    from shotstream.benchmark.work import WORK, count_wan
    from shotstream.media.files import atomic_path

    with console.status("Counting"):
        found = count_wan()
    console.print(work_table(found))
    if output:
        with atomic_path(output) as part:
            part.write_bytes(WORK.dump_json(found, indent=1) + b"\n")
        console.print(f"Wrote {output}", markup=False)


def _make(model: str, random: bool, device_name: str, dtype_name: str) -> tuple[ShotStreamPipeline, Settings]:
    """Load a model or make one up; what the command line says of the story is not in the settings yet."""
    from shotstream.benchmark import record
    from shotstream.benchmark.cold import load_pipeline
    from shotstream.loading.hashes import hash_weights
    from shotstream.machine.device import choose_device, choose_dtype

    device = choose_device(device_name).value
    dtype = choose_dtype(device, dtype_name).value
    pipeline = load_pipeline(model, random, device, dtype)
    weights = record.RANDOM_WEIGHTS if random else f"sha256 {hash_weights(pipeline.fetch(model))}"
    settings = record.Settings(
        model=model,
        weights=weights,
        parameters=sum(values.numel() for values in pipeline.transformer.parameters()),
        text_encoder=record.RANDOM_TEXT_ENCODER if random else type(pipeline.text_encoder).__name__,
        transformer_only=False,
        mode="plain",
        decoder=None,
        shots=1,
        chunks=1,
        height=0,
        width=0,
        device=device.type,
        dtype=str(dtype).removeprefix("torch."),
        film_fps=float(pipeline.config["fps"]),
    )
    return pipeline, settings


def _start_cold(
    model: str, random: bool, device: str, dtype: str, *, mode: str, decoder: str | None, **size: int | None
) -> ColdStart:
    from shotstream.benchmark.cold import ColdCase, measure_cold_start
    from shotstream.machine.device import choose_device
    from shotstream.streaming.speed import MODES, choose_mode

    mode = choose_mode(mode, choose_device(device).value).value
    case = ColdCase(
        model=model, random=random, device=device, dtype=dtype, mode=mode, decoder=decoder or "full", **size
    )
    with console.status("starting a new process"):
        return measure_cold_start(case, MODES[mode].compile)


def _run(
    pipeline: ShotStreamPipeline,
    settings: Settings,
    watch: bool,
    output: Path | None,
    cold: ColdStart | None = None,
) -> Record:
    """Prepare and measure; after each step and each shot `output` holds what is known until then."""
    import torch

    from shotstream.benchmark.chunk_loop import ChunkLoop
    from shotstream.benchmark.machine import gpu_driver
    from shotstream.benchmark.record import MachineFacts, Record
    from shotstream.benchmark.stopwatch import measure
    from shotstream.benchmark.watch import watch_loop
    from shotstream.machine import provenance as origin
    from shotstream.streaming.speed import MODES, prepare

    speed = MODES[settings.mode]
    if watch and speed.compile:
        raise ValueError(
            f"--watch sees single operations, which mode {settings.mode} does not run; use --mode plain"
        )
    device = pipeline._execution_device
    record = Record(
        date=origin.now(),
        commit=origin.commit(),
        machine=MachineFacts(
            hardware=origin.hardware(device),
            driver=gpu_driver() if device.type == "cuda" else None,
            torch=torch.__version__,
        ),
        settings=settings,
        labels=settings.labels,
        cold=cold,
    )

    def keep(**known: Any) -> None:
        nonlocal record
        record = record.model_copy(update=known)
        if output:
            record.write(output)

    def keep_shot(figures: Measurements) -> None:
        keep(figures=figures, unfinished=f"told {len(figures.chunk_seconds)} of {settings.shots} shots")

    started = time.perf_counter()
    chosen = prepare(pipeline, speed, settings.height, settings.width)
    prepare_seconds = time.perf_counter() - started
    for what, choice in chosen:
        console.print(f"{what}: {choice.value} ({choice.reason})", markup=False)
    keep(
        computing={what: choice.value for what, choice in chosen},
        reasons={what: choice.reason for what, choice in chosen},
        unfinished=f"prepared in {prepare_seconds:.1f} s",
    )
    keep(figures=measure(pipeline, settings, prepare_seconds, keep_shot))
    if watch:
        cell = pipeline.latent_shape(settings.height, settings.width)
        loop = ChunkLoop(pipeline.transformer, pipeline.scheduler, cell)
        keep(loop=watch_loop(loop, settings.chunks))
    keep(unfinished=None)
    return record


def _compare(old: Path, new: Path, *, allowed: float, counts_only: bool, force: bool) -> None:
    from shotstream.benchmark.compare import compare, find_baseline
    from shotstream.benchmark.printing import comparison_table
    from shotstream.benchmark.record import Record

    record = Record.read(new)
    baseline = find_baseline(old, record.settings.case)
    rows = compare(baseline, record, allowed=allowed, counts_only=counts_only, force=force)
    console.print(comparison_table(rows))
    worse = [row.name for row in rows if row.worse]
    if worse:
        raise ValueError(f"worse than {old} by more than is allowed: {', '.join(worse)}")
