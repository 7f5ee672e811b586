"""A folder at any address that fsspec opens: ``s3://``, ``gs://``, ``az://``, ``sftp://``, or a path.

Few of these can rename, so nothing is whole because of its name. What is put there is a folder of files
and a manifest with their checksums, which is written last and removed first: a folder without one is a half.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations
from pydantic import BaseModel, ConfigDict, ValidationError

from shotstream.media.files import write_errors

MANIFEST = "manifest.json"
"""Written last: only a folder that has it is whole."""


class RemoteError(OSError):
    """An address cannot be used; the message says why."""


class RemoteDamage(RemoteError):
    """What lies there is not what was put there."""


class RemoteFile(BaseModel):
    """What a manifest says of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The files of a folder, by their paths in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, RemoteFile]


def plain_address(address: str) -> str:
    """Write an address in the one way that is compared and kept: no two ways are of the same place.

    Returns:
        Of a folder of this machine, given as a path or as ``file://...``, its whole path; of others the
        address without slashes at its end.

    Raises:
        ValueError: If it is empty.
    """
    if not address.strip():
        raise ValueError("the address is empty; give a path, or a URL such as s3://BUCKET/FOLDER.")
    protocol, separator, there = address.partition("://")
    if not separator or protocol in LocalFileSystem.protocol:
        return str(Path(LocalFileSystem._strip_protocol(address)))
    return f"{protocol}://{there.rstrip('/')}"


class RemoteFolder:
    """Folders of files, each whole or absent, at one address.

    Args:
        address: A URL, or a path. Keys come from where the protocol's package looks for them: for ``s3://``
            the environment or ``~/.aws``.

    Raises:
        ImportError: If the protocol needs a package that is missing, with the line that installs it.
        ValueError: If there is no such protocol, or it is empty.
    """

    def __init__(self, address: str) -> None:
        address = plain_address(address)
        self.shown = _without_password(address)
        """The address as it may be shown."""
        self._files, path = _open(address)
        self._path = path.rstrip("/")
        self._has_folders = isinstance(self._files, LocalFileSystem) or path.startswith("/")

    def check(self) -> None:
        """See that files can be written, read and removed there.

        Raises:
            RemoteError: If not.
        """
        probe = f"{self._path}/.shotstream-probe-{secrets.token_hex(8)}"  # others may look at the same time
        with self._errors("use"):
            self._write(probe, b"probe")
            same = self._files.cat_file(probe) == b"probe"
            self._files.rm_file(probe)
        if not same:
            raise RemoteError(
                f"{self.shown} gives back other bytes than were written; choose another address."
            )

    def names(self) -> list[str]:
        """What is whole there, in the order of its names.

        Raises:
            RemoteError: If the address cannot be read.
        """
        with self._errors("read"):
            self._files.invalidate_cache()
            try:
                listed = self._files.ls(self._path, detail=False)
            except FileNotFoundError:
                return []
        names = sorted(PurePosixPath(path).name for path in listed)
        return [name for name in names if self.manifest(name) is not None]

    def manifest(self, name: str) -> Manifest | None:
        """Read which files a folder has; None if it is not whole.

        Raises:
            RemoteError: If the address cannot be read.
        """
        with self._errors("read"):
            try:
                said = self._files.cat_file(f"{self._path}/{name}/{MANIFEST}")
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            return Manifest.model_validate_json(said)
        except ValidationError:
            return None

    def put(self, name: str, files: Mapping[str, Path]) -> None:
        """Write a folder, in place of one of the same name.

        Args:
            name: Its name.
            files: Where its files are on this machine, by their paths in the folder.

        Raises:
            RemoteError: If it cannot be written; there is none of this name then.
        """
        folder = f"{self._path}/{name}"
        self.remove(name)
        written: dict[str, RemoteFile] = {}
        with self._errors("write"):
            for inside, path in files.items():
                self._make_parent(f"{folder}/{inside}")
                self._files.put_file(str(path), f"{folder}/{inside}")
                written[inside] = _describe(path)
            self._write(f"{folder}/{MANIFEST}", Manifest(files=written).model_dump_json().encode())
            self._files.invalidate_cache()

    def fetch(self, name: str, folder: Path) -> None:
        """Bring a whole folder to this machine, and see that it is what was put there.

        Args:
            name: Its name.
            folder: Where its files go; there should be nothing yet.

        Raises:
            MediaError: If it cannot be written here.
            RemoteDamage: If it is not whole, or is damaged.
            RemoteError: If the address cannot be read.
        """
        manifest = self.manifest(name)
        if manifest is None:
            raise RemoteDamage(f"{self.shown}/{name} is not whole: it has no {MANIFEST}.")
        for inside, known in manifest.files.items():
            parts = PurePosixPath(inside)
            if parts.is_absolute() or ".." in parts.parts:
                raise RemoteDamage(f"{self.shown}/{name} is damaged: {inside!r} is no path in it.")
            target = folder / inside
            with write_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with self._errors("read"):
                self._files.get_file(f"{self._path}/{name}/{inside}", str(target))
            if _describe(target) != known:
                raise RemoteDamage(f"{self.shown}/{name} is damaged: {inside} has another checksum.")

    def remove(self, name: str) -> None:
        """Remove a folder, whole or not; one that is not there is no error.

        Raises:
            RemoteError: If it cannot be removed.
        """
        folder = f"{self._path}/{name}"
        with self._errors("write"):
            self._files.invalidate_cache()
            if self._files.exists(f"{folder}/{MANIFEST}"):
                self._files.rm_file(f"{folder}/{MANIFEST}")
            if self._files.exists(folder):
                self._files.rm(folder, recursive=True)
            self._files.invalidate_cache()

    def write(self, path: str, data: bytes) -> None:
        """Write a single file by its path, in place of another one.

        Raises:
            RemoteError: If it cannot be written; half of it may be there on a file system that is not an
                object store.
        """
        with self._errors("write"):
            self._write(f"{self._path}/{path}", data)

    def read(self, path: str) -> bytes | None:
        """Read a single file; None if there is none.

        Raises:
            RemoteError: If the address cannot be read.
        """
        with self._errors("read"):
            try:
                return self._files.cat_file(f"{self._path}/{path}")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def files(self, path: str) -> list[str]:
        """The paths of all files below a path, from there on.

        Raises:
            RemoteError: If the address cannot be read.
        """
        start = f"{self._path}/{path}".rstrip("/") + "/"
        with self._errors("read"):
            self._files.invalidate_cache()
            return [found.removeprefix(start) for found in self._files.find(start)]

    def size(self) -> int:
        """Bytes of all files.

        Raises:
            RemoteError: If the address cannot be read.
        """
        with self._errors("read"):
            self._files.invalidate_cache()
            return sum(entry["size"] for entry in self._files.find(self._path, detail=True).values())

    def _write(self, path: str, data: bytes) -> None:
        self._make_parent(path)
        self._files.pipe_file(path, data)

    def _make_parent(self, path: str) -> None:
        """Make the folders above a file; object stores have none, and would make a bucket."""
        if self._has_folders:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn whatever a protocol's package raises into a sentence."""
        try:
            yield
        except OSError as error:
            raise self._failed(doing, error.strerror or str(error) or type(error).__name__) from error
        except Exception as error:  # packages raise kinds of their own: for keys, addresses, the network
            raise self._failed(doing, str(error) or type(error).__name__) from error

    def _failed(self, doing: str, reason: str) -> RemoteError:
        said = _without_password(reason).strip().rstrip(".")
        return RemoteError(
            f"Could not {doing} {self.shown}: {said}; check the address, your keys and the network."
        )


def _open(address: str) -> tuple[Any, str]:
    try:
        return fsspec.url_to_fs(address)
    except ImportError as error:
        protocol = address.partition("://")[0]
        extras = importlib.metadata.metadata("fsspec").get_all("Provides-Extra") or []
        said = str(known_implementations.get(protocol, {}).get("err", error)).rstrip(".")
        remedy = f'pip install "fsspec[{protocol}]"' if protocol in extras else f"pip install it ({said})"
        raise ImportError(
            f"{_without_password(address)} needs a package that is missing here: {remedy}"
        ) from error
    except ValueError as error:
        said = _without_password(f"{address} is no address of a folder ({error})")
        raise ValueError(f"{said}; give a path, or a URL such as s3://BUCKET/FOLDER.") from error


_SECRETS = re.compile(r"(?<=://)([^/@\s]*?):([^/\s]*)@|(?<=\?)[^\s'\"]+")
"""A password before the host, and what stands behind a question mark, as signatures do."""


def _without_password(text: str) -> str:
    """An address, or a sentence that has one, as it may be shown."""
    return _SECRETS.sub(lambda found: "..." if found[1] is None else f"{found[1]}:...@", text)


def _describe(path: Path) -> RemoteFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return RemoteFile(bytes=path.stat().st_size, sha256=digest)
