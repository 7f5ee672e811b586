"""Train mini on a GPU machine without network, and leave weights in pieces that can be sent back.

    python benchmarks/train_on_gpu.py [--wheels FOLDER] [--out FOLDER] [--budget 560] [SETTING=VALUE ...]
    python benchmarks/train_on_gpu.py --join FOLDER --run runs/mini-gpu

The weights made so far are packed in half precision when a stage ends, so that a run that is cut off leaves
those before: `OUT/weights.tar.00`, `OUT/weights.tar.01`, ... of at most 15 MiB. `--join` puts them back.
A stage begins only if the budget has room for it; a run folder goes on from there on any machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "src/shotstream/recipes/mini-gpu.yaml"
PIECE_BYTES = 15 * 2**20
ORDER = (
    "captions",
    "autoencoder",
    "teacher",
    "causal-init",
    "intra-shot",
    "inter-shot",
    "decoder",
    "student-pictures",
    "student-decoder",
    "judge",
)
"""What the student needs first."""
STUDENTS = ("causal-init", "intra-shot", "inter-shot", "student-pictures")
"""Stages of the student, of which only the last finished one is sent back."""
OVERHEAD_SECONDS = 8
"""What a stage takes beside its steps: opening data, samples, packing."""


def install(wheels: Path) -> None:
    """Install wheels into a folder of their own, and let Python find them."""
    site = tempfile.mkdtemp(prefix="mini_")
    flags = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
    files = map(str, sorted(wheels.glob("*.whl")))
    subprocess.run([sys.executable, "-m", "pip", "install", *flags, "--target", site, *files], check=True)
    sys.path.insert(0, site)


def pack(exports: dict[str, Path], out: Path) -> list[Path]:
    """Write the weights of stages as one tar file in pieces, safetensors in half precision."""
    import torch
    from safetensors.torch import load_file, save

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        files = [
            (name, export, path) for name, export in exports.items() for path in sorted(export.rglob("*"))
        ]
        for name, export, path in files:  # a later stage leaves the pieces before it as they are
            if not path.is_file():
                continue
            content = path.read_bytes()
            if path.suffix == ".safetensors":
                tensors = load_file(path)
                half = {k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}
                content = save(half, {"format": "pt"})
            entry = tarfile.TarInfo(f"{name}/export/{path.relative_to(export)}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    data, pieces = archive.getvalue(), []
    for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
        pieces.append(out / f"weights.tar.{number:02d}")
        pieces[-1].write_bytes(data[start : start + PIECE_BYTES])
    return pieces


def join(folder: Path, run: Path) -> list[str]:
    """Unpack what came back into a run folder; return the names of its stages."""
    data = b"".join(path.read_bytes() for path in sorted(folder.glob("weights.tar.*")))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(run, filter="data")
        return sorted({name.split("/")[0] for name in tar.getnames()})


def train(given: argparse.Namespace) -> int:
    """Run the stages in their order; return how many failed."""
    began = time.monotonic()
    if given.wheels:
        install(given.wheels)
    sys.path.insert(0, str(ROOT / "src"))
    import torch

    from shotstream.machine.device import choose_device
    from shotstream.training.settings import read_recipe
    from shotstream.training.workspace import Workspace, stages_of

    recipe = read_recipe(RECIPE, given.settings)
    given.out.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(recipe, given.run / recipe.name, choose_device(given.device).value)
    report: dict[str, object] = {"torch": torch.__version__, "recipe": recipe.model_dump(mode="json")}
    if torch.cuda.is_available():
        report["card"] = torch.cuda.get_device_name(0)
    stages, exports, failed = {}, {}, 0
    report["stages"] = stages
    for name in ORDER:
        left = given.budget - (time.monotonic() - began)
        settings = getattr(recipe, name.replace("-", "_"))
        needed = sum(seconds or 0 for _, seconds in settings.limits) + OVERHEAD_SECONDS
        if name not in stages_of(recipe):
            stages[name] = {"state": "the base has it"}
            continue
        if workspace.finished(name):
            stages[name] = {"state": "taken from an earlier run"}
            continue
        if left < needed:
            stages[name] = {"state": f"left out: {left:.0f} s were left, about {needed:.0f} needed"}
            continue
        started = time.monotonic()
        try:
            export = workspace.run(name)
            if name in STUDENTS:
                exports = {other: path for other, path in exports.items() if other not in STUDENTS}
            exports[name] = export
            pack(exports, given.out)
            stages[name] = {"state": "done"}
        except Exception:
            stages[name] = {"state": "failed", "why": traceback.format_exc()}
            failed += 1
        stages[name]["seconds"] = round(time.monotonic() - started, 1)
        metrics = workspace.folder / name / "metrics.jsonl"
        if metrics.exists():
            lines = metrics.read_text().splitlines()
            stages[name]["metrics"] = [json.loads(line) for line in lines[:: max(1, len(lines) // 40)]]
        print(f"{name}: {stages[name]['state']}, {stages[name]['seconds']} s", flush=True)
        (given.out / "train.json").write_text(json.dumps(report, indent=1) + "\n")
        if stages[name]["state"] == "failed" and name != "judge":
            print(stages[name]["why"], flush=True)
            break
    (given.out / "train.json").write_text(json.dumps(report, indent=1) + "\n")
    return failed


def main() -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("settings", nargs="*", help="dotted overrides of the recipe")
    parser.add_argument("--wheels", type=Path, help="install these first: what this machine lacks")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "out/mini-gpu")))
    parser.add_argument("--run", type=Path, default=Path(tempfile.gettempdir()) / "runs")
    parser.add_argument("--budget", type=float, default=560, help="seconds for all stages")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--join", type=Path, help="unpack what came back in this folder, into --run")
    given = parser.parse_args()
    if given.join:
        print("\n".join(join(given.join, given.run)))
        return 0
    return train(given)


if __name__ == "__main__":
    sys.exit(main())
