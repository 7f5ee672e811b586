"""Tensors on disk: safetensors shards and a JSON-lines index. Written whole, read by memory map."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


class ShardWriter:
    """Appends records (a JSON-able dict and its named tensors) to a folder.

    A shard is renamed to its final name before the index speaks of it, so a kill loses at most the records
    of the shard being filled, and writing goes on after the last record of the index.
    """

    def __init__(self, folder: Path, records_per_shard: int = 50):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.records_per_shard = folder, records_per_shard
        self.written = len(_read_index(folder))
        self._records: list[dict[str, Any]] = []
        self._tensors: dict[str, Tensor] = {}

    def add(self, record: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Add one record."""
        number = self.written + len(self._records)
        self._records.append(record)
        self._tensors |= {f"{number}.{name}": tensor.contiguous() for name, tensor in tensors.items()}
        if len(self._records) == self.records_per_shard:
            self.flush()

    def flush(self) -> None:
        """Write what has been added since the last shard."""
        if not self._records:
            return
        name = f"shard-{self.written:06d}.safetensors"
        partial = self.folder / f"{name}.partial"
        save_file(self._tensors, partial)
        os.replace(partial, self.folder / name)
        with (self.folder / "index.jsonl").open("a") as index:
            index.writelines(json.dumps({"shard": name, **record}) + "\n" for record in self._records)
        self.written += len(self._records)
        self._records, self._tensors = [], {}


def _read_index(folder: Path) -> list[dict[str, Any]]:
    path = folder / "index.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@lru_cache(maxsize=256)
def _open(path: Path) -> Any:
    return safe_open(path, "pt")


class Shards:
    """A folder of shards, read: `records`, and tensors by record number and name."""

    def __init__(self, folder: Path):
        self.folder, self.records = folder, _read_index(folder)

    def __len__(self) -> int:
        return len(self.records)

    def tensor(self, number: int, name: str) -> Tensor:
        """Return a whole tensor of a record."""
        return _open(self.folder / self.records[number]["shard"]).get_tensor(f"{number}.{name}")

    def length(self, number: int, name: str) -> int:
        """Return how many rows a tensor of a record has, reading none."""
        return _open(self.folder / self.records[number]["shard"]).get_slice(f"{number}.{name}").get_shape()[0]

    def part(self, number: int, name: str, start: int, stop: int) -> Tensor:
        """Return rows `start:stop` of a tensor of a record, reading only those."""
        return _open(self.folder / self.records[number]["shard"]).get_slice(f"{number}.{name}")[start:stop]
