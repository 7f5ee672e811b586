"""The latents of a story's chunks as files, a file each: what a film can be made from again."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from shotstream.media.files import write_bytes

_NAME = re.compile(r"[0-9]{4,}-[0-9]{4,}\.safetensors")


class LatentFolder:
    """``SSSS-CCCC.safetensors``: the clean latents of chunk C of shot S, both counted from 1.

    Args:
        folder: Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, shot: int, chunk: int, latents: np.ndarray) -> None:
        """Write the latents of a chunk, whole or not at all.

        Args:
            shot: Number of the shot, from 0.
            chunk: Number of the chunk in the shot, from 0.
            latents: ``float32 [1, F, C, h, w]``.

        Raises:
            MediaError: If they cannot be written.
        """
        write_bytes(self._file(shot, chunk), save({"latents": np.ascontiguousarray(latents)}))

    def read(self, shot: int) -> list[np.ndarray]:
        """The latents of a shot's chunks from the first one on, as far as they are there and whole."""
        found: list[np.ndarray] = []
        with suppress(OSError, SafetensorError, KeyError):
            while True:
                found.append(load_file(self._file(shot, len(found)))["latents"])
        return found

    def remove(self) -> None:
        """Remove all of them, and the folder if nothing else is in it."""
        for file in self.folder.glob("*.safetensors") if self.folder.is_dir() else ():
            if _NAME.fullmatch(file.name):
                file.unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def _file(self, shot: int, chunk: int) -> Path:
        return self.folder / f"{shot + 1:04d}-{chunk + 1:04d}.safetensors"
