"""Which weights made a film, or data: hashes of model folders and of networks."""

from __future__ import annotations

import hashlib
import json
import os
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from torch import nn

_SAMPLE_BYTES = 4096
_MOST_HEADER_BYTES = 100_000_000
"""As in the safetensors library."""


def weight_files(folder: Path) -> list[Path]:
    """All safetensors files below `folder`, in the order of their names."""
    return sorted(path for path in folder.rglob("*.safetensors") if path.is_file())


def hash_weights(folder: Path) -> str:
    """SHA-256, in hexadecimal, over the names and contents of all safetensors files below `folder`."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def hash_parameters(*networks: nn.Module) -> str:
    """SHA-256, in hexadecimal, over the parameters of networks, in their order."""
    import torch

    digest = hashlib.sha256()
    for network in networks:
        for parameter in network.parameters():
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sample_weights(folder: Path) -> str:
    """SHA-256, in hexadecimal, that tells networks apart and is cheap for big ones.

    It is over the names of all files below `folder`, the contents of the small ones (configs, vocabularies),
    and of safetensors files the header and some bytes out of the middle of every weight.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            if path.suffix != ".safetensors":
                digest.update(hashlib.file_digest(file, "sha256").digest())
                continue
            header, start = _read_header(file)
            digest.update(json.dumps(header).encode())
            for first, end in (weight["data_offsets"] for weight in header.values()):
                file.seek(start + max(first, (first + end) // 2 - _SAMPLE_BYTES // 2))
                digest.update(file.read(min(_SAMPLE_BYTES, end - first)))
    return digest.hexdigest()


def count_weights(folder: Path) -> int:
    """How many numbers the safetensors files below `folder` hold; only their headers are read.

    Raises:
        ValueError: In a sentence, if a file is damaged.
    """
    count = 0
    for path in weight_files(folder):
        with path.open("rb") as file:
            header, _ = _read_header(file)
        count += sum(prod(weight["shape"]) for weight in header.values())
    return count


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The weights that a safetensors file tells of, and where its numbers begin.

    Raises:
        ValueError: In a sentence, if it is damaged.
    """
    size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
    try:
        if length > min(size - 8, _MOST_HEADER_BYTES):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, weight in header.items():
            (first, end), shape = weight["data_offsets"], weight["shape"]
            if not 0 <= first <= end <= size - 8 - length or not all(side >= 0 for side in shape):
                raise ValueError(f"{name} of shape {shape} at bytes {first} to {end} of {size}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{file.name} is damaged or no safetensors file ({error}); fetch it again"
        ) from error
    return header, 8 + length
