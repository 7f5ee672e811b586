"""Media files of a library: chunks, clips, stills, sounds and pictures, by their paths in its folder.

They are in the folder; or at an address of fsspec, and then the folder has copies of what was used here.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shotstream.machine.remote_folder import RemoteError, RemoteFolder
from shotstream.media.files import MediaError, write_bytes
from shotstream.serving.storage.stored import StoreError

log = logging.getLogger(__name__)

OWNER_MARK = "library-id"
"""File of an address: the id of the library whose files are there."""
_AT_ONCE = 8
"""Files that are brought at the same time: each waits for the network."""


class MediaFiles:
    """Media files in the library's folder.

    Args:
        library: The folder.
        private: Whether only the owner may read them.
    """

    address: str | None = None
    """Where they are, if that is elsewhere; as it may be shown."""
    url: str | None = None
    """The same, as it was given."""

    def __init__(self, library: Path, *, private: bool) -> None:
        self.library, self._private = library, private

    def write(self, file: Path, data: bytes) -> None:
        """Write a file; when this returns it is there to stay.

        Raises:
            MediaError: If it cannot be written.
        """
        write_bytes(file, data, private=self._private)

    def bring(self, files: Iterable[tuple[Path, str | None]]) -> None:
        """Have files in the folder that are kept elsewhere; what is nowhere, or damaged, stays missing.

        Args:
            files: Each with its SHA-256, if that is known.

        Raises:
            StoreError: If the address cannot be read.
        """

    def is_damaged(self, file: Path, sha256: str | None) -> bool:
        """Whether what is kept elsewhere of a file is gone or damaged; never of a file that is only here.

        Raises:
            StoreError: If the address cannot be read.
        """
        return False

    def send(self, folder: Path) -> None:
        """Keep elsewhere, too, what is in a folder of the library.

        Raises:
            MediaError: If it cannot be written.
        """

    def drop(self, path: Path) -> None:
        """Remove a file, or a folder, where it is kept elsewhere; in the library it stays.

        Raises:
            MediaError: If it cannot be removed.
        """

    def names(self, folder: Path) -> list[str]:
        """The names of the files that are kept of a folder, in order.

        Raises:
            StoreError: If the address cannot be read.
        """
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def size(self) -> int:
        """Bytes of all files; one that goes meanwhile does not count."""
        total, folders = 0, [self.library]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(Path(entry.path))
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
        return total


class RemoteMediaFiles(MediaFiles):
    """Media files at an address, with copies in the library's folder of those that were used here.

    A file is at the address before it is in the folder, and before its row is in the database. Those that
    are brought from there are compared with their SHA-256.

    Args:
        library: The folder.
        address: See `RemoteFolder`.
        private: Whether only the owner may read the copies.

    Raises:
        ImportError: If the address needs a package that is missing.
        RemoteError: If it cannot be written and read.
        ValueError: If it is none.
    """

    def __init__(self, library: Path, address: str, *, private: bool) -> None:
        super().__init__(library, private=private)
        self._remote = RemoteFolder(address)
        self._remote.check()
        self.address, self.url = self._remote.shown, address
        self._known: set[Path] = set()
        """Files of the folder that were compared with their checksum, or written, by this process."""

    def write(self, file: Path, data: bytes) -> None:
        """Write a file, first at the address."""
        try:
            self._remote.write(self._name(file), data)
        except RemoteError as error:
            raise MediaError(str(error)) from error
        super().write(file, data)
        self._known.add(file)

    def bring(self, files: Iterable[tuple[Path, str | None]]) -> None:
        """Have files in the folder, fetching those that are missing there or damaged."""
        wanted = [(file, known) for file, known in files if file not in self._known or not file.exists()]
        if not wanted:
            return
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="media") as executor:
            for _ in executor.map(self._bring, wanted):
                pass

    def _bring(self, wanted: tuple[Path, str | None]) -> None:
        file, known = wanted
        try:
            data = file.read_bytes()
            whole = known is None or hashlib.sha256(data).hexdigest() == known
        except OSError:
            whole = False
        if not whole:
            data = self._read(file)
            if data is None:
                return
            if known is not None and hashlib.sha256(data).hexdigest() != known:
                log.warning("%s/%s is damaged: its checksum is another one", self.address, self._name(file))
                return
            try:
                super().write(file, data)
            except MediaError as error:  # it stays missing here, as if there were no copy
                log.warning("%s cannot be kept in the library (%s)", self._name(file), error)
                return
        self._known.add(file)

    def is_damaged(self, file: Path, sha256: str | None) -> bool:
        """Whether the file at the address is gone or damaged."""
        data = self._read(file)
        return data is None or (sha256 is not None and hashlib.sha256(data).hexdigest() != sha256)

    def send(self, folder: Path) -> None:
        """Write what is in a folder of the library to the address."""
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                try:
                    self._remote.write(self._name(file), file.read_bytes())
                except RemoteError as error:
                    raise MediaError(str(error)) from error

    def drop(self, path: Path) -> None:
        """Remove a file, or a folder, at the address."""
        try:
            self._remote.remove(self._name(path))
        except RemoteError as error:
            raise MediaError(str(error)) from error

    def names(self, folder: Path) -> list[str]:
        """The names of the files of a folder at the address."""
        try:
            return sorted(name for name in self._remote.files(self._name(folder)) if "/" not in name)
        except RemoteError as error:
            raise StoreError(str(error)) from error

    def lacks(self, files: Iterable[Path]) -> list[str]:
        """Which of these files the address does not have, by their paths in the library.

        Raises:
            StoreError: If it cannot be read.
        """
        try:
            there = set(self._remote.files(""))
        except RemoteError as error:
            raise StoreError(str(error)) from error
        return [name for file in files if (name := self._name(file)) not in there]

    def owner(self) -> str | None:
        """The id of the library that has marked the address; None if none has.

        Raises:
            RemoteError: If it cannot be read.
        """
        mark = self._remote.read(OWNER_MARK)
        return (mark or b"").decode(errors="replace").strip() or None

    def mark(self, library_id: str) -> None:
        """Mark the address as that of a library.

        Raises:
            RemoteError: If it cannot be written.
        """
        self._remote.write(OWNER_MARK, f"{library_id}\n".encode())

    def stories(self) -> set[str]:
        """The stories that have files there.

        Raises:
            RemoteError: If it cannot be read.
        """
        return {name.partition("/")[0] for name in self._remote.files("stories")}

    def size(self) -> int:
        """Bytes of all files at the address."""
        return self._remote.size()

    def _read(self, file: Path) -> bytes | None:
        try:
            return self._remote.read(self._name(file))
        except RemoteError as error:
            raise StoreError(str(error)) from error

    def _name(self, file: Path) -> str:
        return file.relative_to(self.library).as_posix()
