"""Which weights made a film, or data: hashes of model folders and of networks."""

from __future__ import annotations

import hashlib
import json
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

_SAMPLE_BYTES = 4096


def weight_files(folder: Path) -> list[Path]:
    """All safetensors files below `folder`, in the order of their names."""
    return sorted(folder.rglob("*.safetensors"))


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
    """How many numbers the safetensors files below `folder` hold; only their headers are read."""
    count = 0
    for path in weight_files(folder):
        with path.open("rb") as file:
            header, _ = _read_header(file)
        count += sum(prod(weight["shape"]) for weight in header.values())
    return count


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The weights that a safetensors file tells of, and where its numbers begin."""
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length
