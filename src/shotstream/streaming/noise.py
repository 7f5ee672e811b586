"""Noise as a pure function of where it is used, so that no random state has to be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class NoiseSource(Protocol):
    """Gives the noise of a denoising step; `noise` is the one that all stories use unless told otherwise."""

    def __call__(self, key: Sequence[int], shape: Sequence[int], *, device: torch.device) -> Tensor:
        """Return the noise of `key`, (story seed, shot, take, chunk, step), float32 on `device`."""
        ...


def noise(
    key: Sequence[int],
    shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw standard normal noise that depends on `key` and `shape` alone.

    It is always drawn on the CPU in float32, so that a GPU sees the same noise.

    Args:
        key: (story seed, shot, take, chunk, step).
        shape: Shape of the noise.
        dtype: Data type of the result.
        device: Device of the result.
    """
    digest = hashlib.blake2b(repr(tuple(int(part) for part in key)).encode(), digest_size=8).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest) >> 1)
    kind = torch.device(device).type
    values = torch.randn(tuple(shape), generator=generator, pin_memory=kind == "cuda")
    return values.to(device, dtype, non_blocking=kind not in ("cpu", "mps"))  # the host need not wait
