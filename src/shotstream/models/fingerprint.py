"""Which weights made a film, or data: hashes of model folders and of networks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn


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
