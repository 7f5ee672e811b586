"""Files that are either whole or absent: everything is written beside its place and renamed at the end.

They are there to stay, too: a file is on the disk before it takes its name, and its name is before the call
returns, so that neither a killed process nor a power failure leaves half of one.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_native_id
from unicodedata import normalize

try:
    import fcntl
except ImportError:  # Windows: there nobody claims a folder
    fcntl = None

_PART = re.compile(r"\..+\.([0-9]{1,9})(-[0-9]+)?\.part(\.[^.]+)?")

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
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class MediaError(OSError):
    """A file could not be written; the message names the file, the reason and the remedy."""


class DiskFull(MediaError):
    """There was no room: the disk is full, a quota is used up or a size limit is reached."""


class FolderInUse(MediaError):
    """Another process writes into the folder."""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn any ``OSError`` raised inside into one `MediaError` that names `path`.

    Raises:
        DiskFull: In place of an ``OSError`` that says that there is no room.
        MediaError: In place of any other.
    """
    try:
        yield
    except MediaError:
        raise
    except OSError as error:
        said = error.strerror or str(error)
        reason = _REMEDIES.get(error.errno or 0, f"{said}; check the path, or choose another folder")
        kind = DiskFull if error.errno in _NO_ROOM else MediaError
        raise kind(f"Could not write {path}: {reason}. Nothing half-written was left there.") from error


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk.

    Raises:
        OSError: If the disk did not take it.
    """
    if os.name != "posix" and path.is_dir():  # such folders cannot be opened, and need not be
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are missing, each with these permissions.

    Raises:
        OSError: If one cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent, mode)
        folder.mkdir(mode, exist_ok=True)
        sync(folder.parent)


@contextmanager
def atomic_path(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; rename it to `path` when the block ends well.

    The folder is made if it is missing. When the block raises, the temporary file is removed and whatever
    stood at `path` before is untouched.

    Args:
        path: The final name.
        private: Only the owner may read the file, and folders that are made for it.

    Yields:
        The name to write to; it keeps the suffix of `path`.

    Raises:
        MediaError: If the folder cannot be made or the file cannot take its final name.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}-{get_native_id()}.part{path.suffix}")
    with write_errors(path):
        make_folder(path.parent, 0o700 if private else 0o777)
        if private:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        yield part
        with write_errors(path):
            sync(part)
            part.replace(path)
            sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder if it is missing, and keep others who claim it out of it until the block ends.

    A folder that is empty at the end is removed again if it was made here.

    Raises:
        FolderInUse: If another process has claimed it.
        MediaError: If it cannot be made or written to.
    """
    made = not folder.exists()
    with write_errors(folder):
        make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    opened = None
    try:
        if fcntl is not None:
            opened = os.open(folder, os.O_RDONLY)
            _lock(opened, folder)
        yield
    finally:
        if opened is not None:
            os.close(opened)
        if made:
            with suppress(OSError):
                folder.rmdir()


def _lock(opened: int, folder: Path) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderInUse(
            f"Another process writes into {folder}; wait until it has ended or choose another folder."
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):  # such a disk knows no locks
            raise


def clear_parts(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder.

    Those of a running process stay, but for this one's, which is to call before it writes there.

    Raises:
        MediaError: If one cannot be removed.
    """
    if os.name != "posix" or not folder.is_dir():  # elsewhere nothing tells whether a process runs
        return
    for path in folder.iterdir():
        match = _PART.fullmatch(path.name)
        if match is None or _runs_beside(int(match[1])):
            continue
        with write_errors(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _runs_beside(process: int) -> bool:
    """Whether there is such a process, other than this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


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
            make_folder(path.parent)
            part.mkdir()
            yield part
            for inside in (*part.rglob("*"), part):
                sync(inside)
            shutil.rmtree(path, ignore_errors=True)
            part.replace(path)
            sync(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def find_spelling(folder: Path, name: str) -> Path:
    """Find a file by its name, however accents are written: macOS takes them apart from their letters.

    Returns:
        The file whose name is the same in Unicode's composed form (NFC), composed or decomposed; where there
        is none, the path as it is named.
    """
    path = folder / name
    spellings = (
        [path] if name.isascii() else [path, *(folder / normalize(form, name) for form in ("NFC", "NFD"))]
    )
    return next((spelling for spelling in spellings if os.path.exists(spelling)), path)


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data`, whole or not at all.

    Args:
        path: The file.
        data: All that it is to hold.
        private: As for `atomic_path`.

    Raises:
        MediaError: If it cannot be written.
    """
    with atomic_path(path, private=private) as part, write_errors(path):
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all.

    Raises:
        MediaError: If it cannot be written.
    """
    write_bytes(path, text.encode())
