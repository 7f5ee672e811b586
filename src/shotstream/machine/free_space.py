"""Free space on disks and in memory, checked before long work instead of after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

GIB = 2**30


class NotEnoughSpaceError(ValueError):
    """A disk or the memory is too small; the message says by how much and what to do."""


def check_disk(wanted: Mapping[Path, int]) -> None:
    """Check that disks have room.

    Args:
        wanted: Bytes for each folder, which need not exist yet; those of one disk count together.

    Raises:
        NotEnoughSpaceError: With what is missing.
    """
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size in wanted.items():
        place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        disk = place.stat().st_dev
        needed[disk] = (place, needed.get(disk, (place, 0))[1] + size)
    for place, size in needed.values():
        free = shutil.disk_usage(place).free
        if free < size:
            raise NotEnoughSpaceError(
                f"the disk of {place} has {free / GIB:.1f} GiB free and {size / GIB:.1f} are needed; free "
                f"{(size - free) / GIB:.1f}, or choose another disk (-o for the model, HF_HOME for the "
                "rest)"
            )


def check_memory(wanted: int) -> None:
    """Check that this machine has memory; a machine that does not tell how much it has passes.

    Args:
        wanted: Bytes.

    Raises:
        NotEnoughSpaceError: With what is missing.
    """
    free = free_memory(torch.device("cpu"))
    if free is not None and free < wanted:
        raise NotEnoughSpaceError(
            f"this machine has {free / GIB:.1f} GiB of free memory and {wanted / GIB:.1f} are needed; close "
            f"what takes the other {(wanted - free) / GIB:.1f}, or work on a larger machine"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that a program may still take on `device`; None where that cannot be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kilobytes is None or device.type != "cpu" else int(kilobytes) * 1024


def all_memory() -> int | None:
    """Bytes of memory that this machine has; None if it does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
