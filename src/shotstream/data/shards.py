"""Tensors on disk: safetensors shards and a JSON-lines index. Written whole, read by memory map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from shotstream.media.files import atomic_path, write_errors, write_text

_MADE_WITH = "made_with.json"


class ShardWriter:
    """Appends records (a JSON-able dict and its named tensors) to a folder.

    A shard takes its final name before the index speaks of it, so a kill loses at most the records of the
    shard being filled, and writing goes on after the last record of the index.
    """

    def __init__(self, folder: Path, made_with: dict[str, Any], records_per_shard: int = 50):
        """Open a folder for writing.

        Args:
            folder: Made if missing.
            made_with: All that its content depends on (JSON-able); kept beside it.
            records_per_shard: Records in a file.

        Raises:
            ValueError: If the folder was made with something else.
        """
        self.folder, self.records_per_shard = folder, records_per_shard
        note = folder / _MADE_WITH
        if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(made_with)):
            raise ValueError(
                f"{folder} was made with other settings or weights than it would be now ({note}); "
                "delete that folder to make it anew, or choose another (-o; for training, the recipe's name)"
            )
        write_text(note, json.dumps(made_with, indent=2) + "\n")
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
        path = self.folder / f"shard-{self.written:06d}.safetensors"
        with atomic_path(path) as part, write_errors(path):
            save_file(self._tensors, part)
        lines = [json.dumps({"shard": path.name, **record}) for record in self._records]
        index = self.folder / "index.jsonl"
        write_text(index, "".join(line + "\n" for line in [*whole_lines(index), *lines]))
        self.written += len(self._records)
        self._records, self._tensors = [], {}


def whole_lines(path: Path) -> list[str]:
    """Lines of a file that were written to their end; none if there is no file."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def _read_index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole_lines(folder / "index.jsonl")]


class Shards:
    """A folder of shards, read: `records`, and tensors by record number and name."""

    def __init__(self, folder: Path, most: int | None = None):
        """Open a folder; of its records only the first `most`, if that is given."""
        self.folder, self.records = folder, _read_index(folder)[:most]
        self._open = lru_cache(maxsize=256)(lambda name: safe_open(folder / name, "pt"))

    def __len__(self) -> int:
        return len(self.records)

    @property
    def made_with(self) -> dict[str, Any]:
        """All that the content depends on, as the writer was told."""
        return json.loads((self.folder / _MADE_WITH).read_text())

    def tensor(self, number: int, name: str) -> Tensor:
        """Return a tensor of a record: a view of the mapped file, of which only what is used is read."""
        return self._open(self.records[number]["shard"]).get_tensor(f"{number}.{name}")

    def names(self, number: int) -> list[str]:
        """Names of the tensors of a record."""
        own = f"{number}."
        keys = self._open(self.records[number]["shard"]).keys()
        return sorted(key.removeprefix(own) for key in keys if key.startswith(own))

    def has(self, number: int, name: str) -> bool:
        """Whether a record has a tensor of that name."""
        return name in self.names(number)


def captions_of(record: dict[str, Any], template: str) -> Sequence[str]:
    """Captions of the shots of a record, in the model's template."""
    return [
        template.format(setting=record["setting"], index=index, prompt=prompt)
        for index, prompt in enumerate(record["prompts"])
    ]
