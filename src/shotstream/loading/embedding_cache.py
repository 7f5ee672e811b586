"""Embeddings of captions, kept on disk, so that a big text encoder is not needed twice for the same words."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_LIMIT_BYTES = 2 * 2**30
_CAPTIONS_IN_MEMORY = 256
_DAY_SECONDS = 24 * 60 * 60


def embedding_key(*facts: str | int) -> str:
    """SHA-256, in hexadecimal, of all that an embedding depends on, in this order."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class EmbeddingCache:
    """Embeddings by key: a safetensors file each, or in memory only.

    Prompts are private: nobody else may enter the folder, and the files hold numbers and the hash of those,
    not the captions. (Who has the files and guesses a caption can tell that it was used.) Entries are whole
    or absent; damaged ones count as absent. Beyond the limit, those not used for longest are dropped.
    Processes may share a folder; what one that was killed left half-written goes after a day.

    Args:
        folder: Where the files are; made when it is first written to. None keeps the newest in memory.
        limit_bytes: What the files may take together.
    """

    def __init__(self, folder: Path | None, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._memory: dict[str, Tensor] = {}

    def read(self, key: str) -> Tensor | None:
        """The embedding ``[L, D]`` on the CPU as it was written, or None if it is not there whole."""
        if self.folder is None or key in self._memory:
            return self._memory.get(key)
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                embedding = file.get_tensor("embedding").clone()
                written = (file.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):
            return None
        with suppress(OSError):  # of a folder that may only be read
            os.utime(path)  # used just now
        return embedding if _hash(embedding) == written else None

    def write(self, key: str, embedding: Tensor) -> None:
        """Keep an embedding ``[L, D]``; what stood there is replaced.

        If that fails (a full disk, say) a warning tells so, and it is kept in memory.
        """
        embedding = embedding.detach().cpu().contiguous()
        if self.folder is None:
            return self._remember(key, embedding)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            with _replaced(self._path(key)) as part:
                part.write_bytes(save({"embedding": embedding}, {"sha256": _hash(embedding)}))
            self._drop_oldest(self.folder)
        except OSError as error:
            warnings.warn(
                f"the embedding of a caption cannot be kept in {self.folder} ({error.strerror or error}); "
                "set SHOTSTREAM_CACHE to another folder, or to off",
                stacklevel=2,
            )
            self._remember(key, embedding)

    def _remember(self, key: str, embedding: Tensor) -> None:
        self._memory[key] = embedding
        while len(self._memory) > _CAPTIONS_IN_MEMORY:
            self._memory.pop(next(iter(self._memory)))

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}.safetensors"

    def _drop_oldest(self, folder: Path) -> None:
        found: list[tuple[os.stat_result, str]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process dropped or renamed it just now
                    if entry.name.endswith(".safetensors"):
                        found.append((entry.stat(), entry.path))
                    elif entry.name.endswith(".part") and time.time() - entry.stat().st_mtime > _DAY_SECONDS:
                        os.unlink(entry.path)
        taken = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda file: file[0].st_mtime_ns):
            if taken <= self.limit_bytes:
                break
            Path(path).unlink(missing_ok=True)
            taken -= status.st_size


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a name beside `path`, for this process alone, and rename it to `path` when the block ends well."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _hash(embedding: Tensor) -> str:
    return hashlib.sha256(save({"": embedding})).hexdigest()
