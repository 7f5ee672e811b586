"""Whether there is room: on disks and in memory, asked before long work instead of after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from shotstream.models.device import free_memory
from shotstream.streaming.loading import ModelError

GIB = 2**30


def check_disk(wanted: Mapping[Path, int]) -> None:
    """Complain if disks lack room.

    Args:
        wanted: Bytes for each folder, which need not exist yet; those of one disk count together.

    Raises:
        ModelError: With what is missing.
    """
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size in wanted.items():
        place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        disk = place.stat().st_dev
        needed[disk] = (place, needed.get(disk, (place, 0))[1] + size)
    for place, size in needed.values():
        free = shutil.disk_usage(place).free
        if free < size:
            raise ModelError(
                f"the disk of {place} has {free / GIB:.1f} GiB free and {size / GIB:.1f} are needed; free "
                f"{(size - free) / GIB:.1f}, or choose another disk (-o for the model, HF_HOME for the "
                "rest)"
            )


def check_memory(wanted: int) -> None:
    """Complain if this machine lacks memory; where it does not tell how much it has, do not.

    Args:
        wanted: Bytes.

    Raises:
        ModelError: With what is missing.
    """
    free = free_memory(torch.device("cpu"))
    if free is not None and free < wanted:
        raise ModelError(
            f"this machine has {free / GIB:.1f} GiB of free memory and {wanted / GIB:.1f} are needed; close "
            f"what takes the other {(wanted - free) / GIB:.1f}, or work on a larger machine"
        )


def all_memory() -> int | None:
    """Bytes of memory that this machine has; None if it does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
