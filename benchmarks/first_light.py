"""First minutes on a GPU: every question in one call, the most important first; one failure loses nothing.

    python benchmarks/first_light.py [--wheels FOLDER] [--out FOLDER] [--budget 480] [--only NAMES] [--tiny]

Each step (first_light_steps.py) runs in a process of its own, under a limit of its own. An answer is a line
of its output and is kept as soon as it is there: a step that fails or is stopped leaves those it gave. The
folder has first_light.json then (the answers, with card, driver, torch and commit) and log.txt (all output).
--tiny runs the same code on the CPU at tiny size: it only shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = {
    "machine": 45,
    "parity": 60,
    "attention": 60,
    "attention8": 90,
    "passes": 150,
    "float8": 150,
    "vae": 110,
    "graphs": 60,
    "profile": 60,
    "tests": 150,
}
"""Most seconds of each step, in the order of what must be known first."""
ANSWER = "@@ "
"""What a line of output begins with that holds answers, as JSON."""
LEAST_SECONDS = 10
"""A step that has less left is not begun."""
INSTALL_SECONDS = 60


class Report:
    """The answers so far, on the disk at any time.

    Args:
        folder: Where its files go.
        tiny: Whether it is only shown that the steps run.
    """

    def __init__(self, folder: Path, tiny: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "first_light.json"
        self.log = (folder / "log.txt").open("w", encoding="utf-8")
        self.entries: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
        self.entries |= {"tiny": tiny, "machine": {}, "steps": {}}

    def keep(self, step: str, **known: Any) -> None:
        """Add to what is known of a step."""
        self.entries["steps"].setdefault(step, {"answers": {}}).update(known)
        self._write()

    def read(self, step: str, line: str) -> None:
        """Log a line of a step's output, and keep the answers in it."""
        self.log.write(line)
        self.log.flush()
        if not line.startswith(ANSWER):
            return
        try:
            answers = json.loads(line.removeprefix(ANSWER))
        except ValueError:  # cut off
            return
        self.entries["machine"] |= answers.pop("machine", {})
        self.entries["steps"][step]["answers"] |= answers
        self._write()

    def _write(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.entries, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


def run_step(report: Report, step: str, words: Sequence[str], limit: float) -> str:
    """Run a command as a step, at most so many seconds, and keep its answers as they come.

    Returns:
        ``done``, ``failed (STATUS)`` or ``stopped after N s``.
    """
    report.log.write(f"==== {step}\n")
    report.keep(step, state="begun")
    started = time.monotonic()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    child = subprocess.Popen(words, **pipes, text=True, errors="replace", start_new_session=True)
    assert child.stdout is not None
    lines = child.stdout

    def read() -> None:
        for line in lines:
            report.read(step, line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        state = "done" if child.wait(limit) == 0 else f"failed ({child.returncode})"
    except subprocess.TimeoutExpired:
        state = f"stopped after {limit:.0f} s"
    end(child)
    reader.join(5)  # a process that got away may hold the pipe open
    report.keep(step, state=state, seconds=round(time.monotonic() - started, 1))
    return state


def end(child: subprocess.Popen[str]) -> None:
    """Kill what is left of a step, the compiler's workers included; one that hangs in the driver is left."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
        pass


def install(wheels: Path) -> dict[str, str]:
    """Install wheels into a folder of their own; return what the environment needs for them.

    Raises:
        SystemExit: If they cannot be installed.
    """
    site = tempfile.mkdtemp(prefix="first_light_")
    flags = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
    files = map(str, sorted(wheels.glob("*.whl")))
    words = [sys.executable, "-m", "pip", "install", *flags, "--target", site, *files]
    if subprocess.run(words, timeout=INSTALL_SECONDS).returncode:
        raise SystemExit(f"the wheels in {wheels} cannot be installed")
    commit = wheels / "commit.txt"
    told = {"SHOTSTREAM_COMMIT": commit.read_text().strip()} if commit.is_file() else {}
    return {"PYTHONPATH": os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep), **told}


def main(words: Sequence[str] | None = None) -> int:
    """Run the steps; return how many did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="install these first: what this machine lacks")
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT", ROOT / "out" / "first_light"))
    parser.add_argument("--budget", type=float, default=480, help="seconds for all steps")
    parser.add_argument("--only", default=",".join(STEPS), help="these steps, in this order")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args(words)
    steps = given.only.split(",")
    if unknown := [step for step in steps if step not in STEPS]:
        parser.error(f"there is no step {unknown[0]!r}; there are {', '.join(STEPS)}")
    began, report, failed = time.monotonic(), Report(given.out, given.tiny), 0
    if given.wheels:
        os.environ.update(install(given.wheels))
    compiled = os.path.join(tempfile.gettempdir(), "shotstream-compiled")  # as gpu_table.sh has it
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)
    os.environ.update({"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"})
    for step in steps:
        limit = min(STEPS[step], given.budget - (time.monotonic() - began))
        if limit < LEAST_SECONDS:
            report.keep(step, state=f"left out: {limit:.0f} s were left")
        else:
            script = Path(__file__).with_name("first_light_steps.py")
            run_step(report, step, [sys.executable, str(script), step, *["--tiny"] * given.tiny], limit)
        entry = report.entries["steps"][step]
        failed += entry["state"] != "done"
        answers = json.dumps(entry["answers"])
        print(f"{step}: {entry['state']}, {entry.get('seconds', 0)} s {answers}"[:3000], flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
