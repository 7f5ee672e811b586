"""Where a library is: one process has it, and sees when it is removed under its hands."""

from __future__ import annotations

import os
from pathlib import Path

from shotstream.media.files import write_errors
from shotstream.serving.storage.stored import LibraryInUse, StoreError

try:
    from filelock import FileLock, Timeout
except ImportError as error:
    raise ImportError('The store needs filelock: pip install "shotstream[serve]"') from error

DATABASE = "library.db"
_LOCK = "library.lock"
_WAL = "library.db-wal"


class LibraryPlace:
    """A library's folder, claimed by this process until `release`.

    A folder that is new, or empty, is made readable by its owner only.

    Args:
        folder: The folder; made if missing.
        has_database: Whether its database is SQLite's file in it.
        claim: False for who only reads: another process may have it, and goes on.

    Raises:
        MediaError: If the folder cannot be written.
        LibraryInUse: If another process has it open.
    """

    def __init__(self, folder: Path, *, has_database: bool, claim: bool = True) -> None:
        self.folder, self._has_database = folder, has_database
        self._files: dict[Path, tuple[int, int] | None] = {}
        self.is_open = True
        """Whether this process has it still."""
        self._lock: FileLock | None = None
        if claim:
            self._claim()
        self.private = folder.stat().st_mode & 0o077 == 0

    def _claim(self) -> None:
        folder = self.folder
        with write_errors(folder):
            folder.mkdir(0o700, parents=True, exist_ok=True)
            if not any(folder.iterdir()):
                folder.chmod(0o700)
            private = folder.stat().st_mode & 0o077 == 0
            lock = FileLock(folder / _LOCK, timeout=0, mode=_mode(private), thread_local=False)
            try:
                lock.acquire()
            except Timeout as error:
                raise LibraryInUse(
                    f"the library {folder} is open in another process; end that, or choose another library"
                ) from error
        self._lock = lock

    def prepare_database(self) -> Path:
        """Where SQLite's file is; an empty one is made if there is none, so that it has our permissions."""
        file = self.folder / DATABASE
        with write_errors(file):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, _mode(self.private)))
        return file

    def watch(self) -> None:
        """Remember which files the library's are; from now on `check` sees whether they still are."""
        names = (_LOCK, DATABASE) if self._has_database else (_LOCK,)
        self._files = {self.folder / name: _identity(self.folder / name) for name in names}

    def check(self, *, written: bool = False) -> None:
        """See that the library was not removed, or put back from elsewhere, while it is open here.

        Args:
            written: Whether something was just committed, so that SQLite must have a log.

        Raises:
            StoreError: If it was, or was closed here.
        """
        if not self.is_open:
            raise StoreError(f"the library {self.folder} is closed; open it again")
        gone = [file for file, identity in self._files.items() if _identity(file) != identity]
        if written and self._has_database and not (self.folder / _WAL).exists():
            gone.append(self.folder / _WAL)
        if gone:
            raise StoreError(
                f"{gone[0]} was removed or replaced while the library was open: nothing more is kept there; "
                "put it back if you can, then start the studio again"
            )

    def release(self) -> None:
        """Let another process have it."""
        self.is_open = False
        if self._lock:
            self._lock.release()


def _mode(private: bool) -> int:
    """Permissions of files: SQLite gives its log those of the database."""
    return 0o600 if private else 0o644


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
