"""Where figures come from: the code, the machine, the time."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

import shotstream

_PACKAGE = Path(shotstream.__file__).parent


def commit() -> str | None:
    """Newest commit of this package's code, "-dirty" after it if there are changes; None if nothing tells.

    Documents do not matter, nor do weights, which have hashes of their own. Where the code lies without its
    history, whoever brought it there can tell in ``SHOTSTREAM_COMMIT``.
    """
    code = ("--", ".", ":(exclude)weights")
    newest = _git("log", "-1", "--format=%H", *code)
    changes = _git("status", "--porcelain", *code)
    if not newest:
        return os.environ.get("SHOTSTREAM_COMMIT") or None
    return f"{newest}{'' if changes == '' else '-dirty'}"


def hardware(device: torch.device | str) -> str:
    """What computed, in a line: GPU if one was used, processor, cores, torch."""
    parts = [_processor(), f"cores: {os.cpu_count()}", f"torch {torch.__version__}"]
    if torch.device(device).type == "cuda":
        return ", ".join([torch.cuda.get_device_name(device), *parts])
    return ", ".join([*parts, f"threads: {torch.get_num_threads()}"])


def now() -> str:
    """Date and time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=_PACKAGE, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
