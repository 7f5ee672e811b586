"""What torch does not tell about the machine."""

from __future__ import annotations

import subprocess


def gpu_driver() -> str | None:
    """Version of NVIDIA's driver; None if its tool is not there."""
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else None
