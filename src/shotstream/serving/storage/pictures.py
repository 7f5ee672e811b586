"""Pictures that people brought to a library."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from shotstream.media.files import write_bytes, write_errors
from shotstream.media.pictures import decode_picture, encode_png
from shotstream.serving.storage.sweep import UPLOAD


class Pictures:
    """The folder of pictures.

    Args:
        folder: Made when the first picture comes.
        private: Whether only the owner may read it.
    """

    def __init__(self, folder: Path, *, private: bool) -> None:
        self._folder, self._private = folder, private

    def add(self, pixels: np.ndarray) -> str:
        """Keep a picture, uint8 ``[H, W, 3]``; return its name, which is the same for the same picture.

        Raises:
            MediaError: If it cannot be written.
        """
        upload = self._name(pixels)
        write_bytes(self.file(upload), encode_png(pixels), private=self._private)
        return upload

    @staticmethod
    def _name(pixels: np.ndarray) -> str:
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]

    def file(self, upload: str) -> Path:
        """Where a picture is, or would be.

        Raises:
            LookupError: If it cannot be the name of one; whatever a stranger asks for, it is in the folder.
        """
        if not UPLOAD.fullmatch(upload):
            raise _missing(upload)
        return self._folder / f"{upload}.png"

    def read(self, upload: str) -> np.ndarray:
        """Read a picture, uint8 ``[H, W, 3]``.

        Raises:
            LookupError: If there is none of this name.
        """
        try:
            return decode_picture(self.file(upload).read_bytes())
        except FileNotFoundError as error:
            raise _missing(upload) from error

    def is_whole(self, upload: str) -> bool:
        """Whether there is a picture of this name, and it is the one that was brought."""
        try:
            return self._name(self.read(upload)) == upload
        except (LookupError, OSError, ValueError):
            return False

    def remove(self, upload: str) -> None:
        """Remove a picture for good.

        Raises:
            LookupError: If there is none of this name.
            MediaError: If it cannot be removed.
        """
        file = self.file(upload)
        if not file.exists():
            raise _missing(upload)
        with write_errors(file):
            file.unlink()

    def names(self) -> list[str]:
        """The names of all pictures."""
        files = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        return [file.stem for file in files if file.suffix == ".png" and UPLOAD.fullmatch(file.stem)]


def _missing(upload: str) -> LookupError:
    return LookupError(f"there is no picture {upload!r}")
