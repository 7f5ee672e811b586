"""`shotstream doctor`: what this machine offers, what ShotStream chooses, and why."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shotstream import __version__

app = typer.Typer(add_completion=False)

if TYPE_CHECKING:
    from shotstream.streaming.vram_plan import VramSizes

_BUDGETS_GIB = (8, 12, 16, 24)
"""Of graphics cards; what is sold as 8 GB has 8 GiB."""
_ENCODERS = ("libx264", "h264_nvenc", "libvpx-vp9", "libsvtav1")


class Finding(NamedTuple):
    """One line of the report."""

    what: str
    found: str
    why: str


@app.command()
def doctor(
    model: Annotated[str, typer.Option(help="mini, a model folder, or a name on the hub.")] = "mini",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what memory a model (also: wan-1.3b) takes, and what fits.")
    ] = False,
    height: Annotated[int | None, typer.Option(min=16, help="Of the pictures, for --plan.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Of the pictures, for --plan.")] = None,
) -> None:
    """Show device, number format, attention back end, codecs, extras and model, and why each."""
    if plan:
        show_plan(model, height, width)
        return
    table = Table("what", "found", "why, or what to do", title=f"ShotStream {__version__}")
    for finding in [*computing(device), *machine(), video(), *extras(), weights(model)]:
        table.add_row(*map(escape, finding))
    Console().print(table)


def computing(device_name: str) -> list[Finding]:
    """What is computed with.

    Raises:
        ValueError: If there is no such device.
    """
    import torch

    from shotstream.machine.device import choose_attention, choose_device, choose_dtype
    from shotstream.streaming.speed import choose_mode

    device = choose_device(device_name)
    dtype, attention = choose_dtype(device.value), choose_attention()
    mode = choose_mode("auto", device.value)
    return [
        Finding("python", platform.python_version(), platform.platform()),
        Finding("torch", torch.__version__, f"built for CUDA {torch.version.cuda or '(none)'}"),
        Finding("device", str(device.value), device.reason),
        Finding("number format", str(dtype.value).removeprefix("torch."), dtype.reason),
        Finding("attention", attention.value, attention.reason),
        Finding("mode", mode.value, f"{mode.reason}; generate --mode sets another"),
    ]


def machine() -> list[Finding]:
    """Cores and memory."""
    import torch

    from shotstream.machine.free_space import all_memory
    from shotstream.machine.threads import waiting_threads

    count = f"torch uses {torch.get_num_threads()} threads; OMP_NUM_THREADS sets another number"
    threads = f"{count}; {waiting_threads()}"
    findings = [Finding("cores", str(os.cpu_count()), threads)]
    memory = all_memory()
    if memory is not None:
        findings.append(Finding("memory", f"{memory / 2**30:.1f} GiB", "of the whole machine"))
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        findings.append(Finding("GPU memory", f"{total / 2**30:.1f} GiB", f"{free / 2**30:.1f} GiB are free"))
    return findings


def video() -> Finding:
    """The video encoders at hand."""
    try:
        import av
    except ImportError:
        return Finding("video", "missing", 'pip install "shotstream[video]"')
    encoders = []
    for name in _ENCODERS:
        try:
            av.Codec(name, "w")
        except ValueError:
            continue
        encoders.append(name)
    return Finding("video", ", ".join(encoders), f"PyAV {av.__version__}; files are written with libx264")


def extras() -> list[Finding]:
    """Which extras of the package are installed, or the line that installs them."""
    from packaging.requirements import Requirement

    requirements = [Requirement(line) for line in metadata.requires("shotstream") or []]
    findings = []
    for extra in metadata.metadata("shotstream").get_all("Provides-Extra") or []:
        wanted = [r for r in requirements if r.marker and r.marker.evaluate({"extra": extra})]
        missing = [r.name for r in wanted if not _installed(r.name)]
        remedy = f'pip install "shotstream[{extra}]"' if missing else ", ".join(r.name for r in wanted)
        findings.append(
            Finding(f"extra {extra}", "lacks " + ", ".join(missing) if missing else "yes", remedy)
        )
    return findings


def weights(model: str) -> Finding:
    """The model's size and hash; says so when it is not here."""
    from shotstream.loading.folders import ModelError, locate_model
    from shotstream.loading.hashes import hash_weights, weight_files

    try:
        folder = Path(locate_model(model))
    except ModelError as error:
        return Finding(f"model {model}", "missing", str(error))
    if not folder.is_dir():
        return Finding(f"model {model}", "on the hub", "fetched when it is first used")
    size = sum(path.stat().st_size for path in weight_files(folder)) / 2**20
    return Finding(f"model {model}", f"{size:.1f} MiB", f"sha256 {hash_weights(folder)[:16]}, {folder}")


def show_plan(model: str, height: int | None, width: int | None) -> None:
    """Print what a model takes, the ways to run it, and what fits how much memory.

    Raises:
        ValueError: If the model is not here, or cannot make pictures of that size.
    """
    from shotstream.streaming.vram_sizes import measure

    console = Console(highlight=False)
    with console.status("working it out"):
        sizes, height, width = measure(model, height, width)
    parts = Table(
        "part, or the most its work takes", "GiB", title=f"{escape(model)} at {height}x{width} in bfloat16"
    )
    for name, size in vars(sizes).items():
        parts.add_row(name.replace("_", " "), f"{size / 2**30:.2f}")
    console.print(parts)
    console.print(plans_table(sizes))
    for budget in _BUDGETS_GIB:
        advice = escape(advise(sizes, model, height, width, budget))
        console.print(f"{budget} GB: {advice}", soft_wrap=True)


def plans_table(sizes: VramSizes) -> Table:
    """Ways to run a model: what each takes, and whether that fits."""
    import torch

    from shotstream.machine.free_space import GIB, all_memory
    from shotstream.streaming.vram_plan import RESERVED_BYTES, VRAM_PLANS

    gpu = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    here = gpu or all_memory() or 0
    title = f"Peak in GiB; it fits if {RESERVED_BYTES / GIB:.2f} more are left for CUDA and its libraries"
    budgets = [f"{budget} GB" for budget in _BUDGETS_GIB]
    found = f"here: {'GPU' if gpu else 'no GPU'}, {here / GIB:.0f}"
    table = Table("options of generate", "GPU", "and machine", *budgets, found, title=title)
    for plan in VRAM_PLANS:
        if plan.decoder == "tiny" and not sizes.live_decoder:
            continue
        device, host = sizes.device_bytes(plan), sizes.host_bytes(plan)
        answers = [yes_or_no(device, budget * GIB) for budget in _BUDGETS_GIB]
        if gpu:
            answers.append(yes_or_no(device, gpu))
        else:
            answers.append("-" if plan.offload else yes_or_no(sizes.machine_bytes(plan), here))
        table.add_row(str(plan), f"{device / GIB:.2f}", f"{host / GIB:.2f}", *answers)
    return table


def advise(sizes: VramSizes, model: str, height: int, width: int, budget_gib: int) -> str:
    """Tell how to run a model on a GPU of so many GiB."""
    from shotstream.machine.free_space import GIB
    from shotstream.streaming.vram_plan import VRAM_PLANS, recommend, shrink

    plan, size = recommend(sizes, budget_gib * GIB), ""
    if plan is None:
        smaller = shrink(sizes, height, width, budget_gib * GIB)
        if smaller is None:
            return "not even the weights fit"
        plan, size = VRAM_PLANS[-1], f" and pipe.stream(story, height={smaller[0]}, width={smaller[1]})"
    if plan.offload:
        return f"in Python, with what {plan.options()} stand for, pipe.enable_model_cpu_offload(){size}"
    return f"shotstream generate STORY --model {'DIR' if model == 'wan-1.3b' else model} {plan.options()}"


def yes_or_no(taken_bytes: int, offered_bytes: int) -> str:
    """A cell of the table."""
    from shotstream.streaming.vram_plan import RESERVED_BYTES

    return "[green]yes[/green]" if taken_bytes + RESERVED_BYTES <= offered_bytes else "no"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
