"""`shotstream doctor`: what this machine offers, what ShotStream chooses, and why."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from shotstream import __version__

app = typer.Typer(add_completion=False)

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
) -> None:
    """Show device, number format, attention back end, codecs, extras and model, and why each."""
    table = Table("what", "found", "why, or what to do", title=f"ShotStream {__version__}")
    for finding in [*computing(device), *machine(), video(), *extras(), weights(model)]:
        table.add_row(*finding)
    Console().print(table)


def computing(device_name: str) -> list[Finding]:
    """What is computed with.

    Raises:
        ValueError: If there is no such device.
    """
    import torch

    from shotstream.models.device import choose_attention, choose_device, choose_dtype

    device = choose_device(device_name)
    dtype, attention = choose_dtype(device.value), choose_attention()
    return [
        Finding("python", platform.python_version(), platform.platform()),
        Finding("torch", torch.__version__, f"built for CUDA {torch.version.cuda or '(none)'}"),
        Finding("device", str(device.value), device.reason),
        Finding("number format", str(dtype.value).removeprefix("torch."), dtype.reason),
        Finding("attention", attention.value, attention.reason),
    ]


def machine() -> list[Finding]:
    """Cores and memory."""
    import torch

    threads = f"torch uses {torch.get_num_threads()} threads; OMP_NUM_THREADS sets another number"
    findings = [Finding("cores", str(os.cpu_count()), threads)]
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
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
    from shotstream.models.fingerprint import hash_weights, weight_files
    from shotstream.streaming.loading import ModelError, locate_model

    try:
        folder = Path(locate_model(model))
    except ModelError as error:
        return Finding(f"model {model}", "missing", str(error))
    if not folder.is_dir():
        return Finding(f"model {model}", "on the hub", "fetched when it is first used")
    size = sum(path.stat().st_size for path in weight_files(folder)) / 2**20
    return Finding(f"model {model}", f"{size:.1f} MiB", f"sha256 {hash_weights(folder)[:16]}, {folder}")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
