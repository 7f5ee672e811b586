"""Pictures that people brought to a library."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from shotstream.media.files import write_errors
from shotstream.media.pictures import decode_picture, encode_png
from shotstream.serving.storage.media_files import MediaFiles
from shotstream.serving.storage.sweep import UPLOAD


class Pictures:
    """The folder of pictures, made when the first one comes.

    Args:
        media: The library's files.
    """

    def __init__(self, media: MediaFiles) -> None:
        self._folder, self._media = media.library / "uploads", media

    def add(self, pixels: np.ndarray) -> str:
        """Keep a picture, uint8 ``[H, W, 3]``; return its name, which is the same for the same picture.

        Raises:
            MediaError: If it cannot be written.
        """
        upload = self._name(pixels)
        self._media.write(self._folder / f"{upload}.png", encode_png(pixels))
        return upload

    @staticmethod
    def _name(pixels: np.ndarray) -> str:
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]

    def file(self, upload: str) -> Path:
        """Where a picture is, or would be; one that is kept elsewhere is brought.

        Raises:
            LookupError: If it cannot be the name of one; whatever a stranger asks for, it is in the folder.
        """
        if not UPLOAD.fullmatch(upload):
            raise _missing(upload)
        file = self._folder / f"{upload}.png"
        self._media.bring([(file, None)])
        return file

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
        self._media.drop(file)
        with write_errors(file):
            file.unlink()

    def names(self) -> list[str]:
        """The names of all pictures."""
        files = map(Path, self._media.names(self._folder))
        return [file.stem for file in files if file.suffix == ".png" and UPLOAD.fullmatch(file.stem)]


def _missing(upload: str) -> LookupError:
    return LookupError(f"there is no picture {upload!r}")
