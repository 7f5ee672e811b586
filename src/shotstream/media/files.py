"""Files that are either whole or absent: everything is written beside its place and renamed at the end."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file grew past the size limit; raise the limit (ulimit -f) or write less",
    errno.EACCES: "it may not be written; choose another folder or change the permissions",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another folder",
    errno.EISDIR: "it is a folder; choose another name",
}


class MediaError(OSError):
    """A file could not be written; the message names the file, the reason and the remedy."""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn any ``OSError`` raised inside into one `MediaError` that names `path`.

    Raises:
        MediaError: In place of the ``OSError``.
    """
    try:
        yield
    except MediaError:
        raise
    except OSError as error:
        reason = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise MediaError(f"Could not write {path}: {reason}. Nothing half-written was left there.") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; rename it to `path` when the block ends well.

    The folder is made if it is missing. When the block raises, the temporary file is removed and whatever
    stood at `path` before is untouched.

    Args:
        path: The final name.

    Yields:
        The name to write to; it keeps the suffix of `path`.

    Raises:
        MediaError: If the folder cannot be made or the file cannot take its final name.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with write_errors(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; put it in the place of `path` when the block ends well.

    Yields:
        The folder to write into; removed when the block raises.

    Raises:
        MediaError: If the folder cannot be made or written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with write_errors(path):
            part.mkdir(parents=True)
            yield part
            shutil.rmtree(path, ignore_errors=True)
            part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all.

    Raises:
        MediaError: If it cannot be written.
    """
    with atomic_path(path) as part, write_errors(path):
        part.write_text(text, encoding="utf-8")
