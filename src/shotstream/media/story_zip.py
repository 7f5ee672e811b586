"""Zips of a story file with the pictures and sounds that it names, as `story.zip` is exported.

Nothing is unpacked into a folder, and no more of a file is read than it may have: what a zip says of its
sizes and paths is not believed.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self
from unicodedata import normalize

MOST_FILES = 1000
"""Of one zip."""
STORY_NAMES = ("story.yaml", "story.yml", "story.json")

_END = struct.Struct("<4s4H2LH")
"""The end of a zip: signature, numbers of disks, entries here and in all, bytes of their list, its place,
bytes of a comment."""
_END_SIGNATURE, _LONG_END_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"
_LONG_END_BYTES = 20
_MOST_LIST_BYTES = 2**20
_ANEW = "export the story anew as story.zip"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SAYS_UTF8 = 0x800
"""The bit of an entry whose name is said to be UTF-8."""
_LOCKED = 1
"""The bit of an entry that is locked with a password."""


class ZipError(ValueError):
    """A zip cannot be used; the message says why and what to do."""


class StoryZip:
    """The files of a zip by the names that its story file calls them by; to be closed.

    Names are compared in Unicode's composed form (NFC): macOS takes letters and their accents apart.

    Args:
        path: The zip.

    Raises:
        OSError: If it cannot be read.
        ZipError: If it is none, is damaged or locked, has too many files, no story file, or files outside
            itself.
    """

    def __init__(self, path: Path) -> None:
        _check_end(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise ZipError(f"the zip is damaged ({error}); {_ANEW}") from error
        try:
            self._entries = _entries(self._archive)
            self.story_name, folder = _find_story(self._entries)
        except ZipError:
            self.close()
            raise
        self._folder = "" if folder == "." else f"{folder}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def _find(self, name: str) -> zipfile.ZipInfo | None:
        return self._entries.get(normalize("NFC", f"{self._folder}{name}"))

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a file.

        Args:
            name: As the story file calls it.
            most_bytes: More is refused, whatever the zip says of its size.

        Raises:
            ZipError: If there is none of this name, it is larger, or it is damaged.
        """
        entry = self._find(name)
        if entry is None:
            raise ZipError(f"the zip has no {name!r}, which its story names; {_ANEW}")
        try:
            with self._archive.open(entry) as file:
                data = file.read(most_bytes + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            raise ZipError(f"{name!r} in the zip is damaged ({error}); {_ANEW}") from error
        if len(data) > most_bytes:
            raise ZipError(f"{name!r} in the zip has more than {most_bytes // 1024} KiB; make it smaller")
        return data


def _check_end(path: Path) -> None:
    """See that a file ends as a zip does whose list of files is short, before that list is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size - _LONG_END_BYTES))
        end = file.read()
    if len(end) < _END.size:
        raise ZipError(f"this is no zip, or is cut off; {_ANEW}")
    signature, *_, entries, list_bytes, _, comment = _END.unpack(end[-_END.size :])
    if signature != _END_SIGNATURE or comment or end[: -_END.size].startswith(_LONG_END_SIGNATURE):
        raise ZipError(f"this is no zip as the studio writes it, or is cut off; {_ANEW}")
    if entries > MOST_FILES or list_bytes > _MOST_LIST_BYTES:
        raise ZipError(
            f"the zip has more than {MOST_FILES} files; leave out those that its story does not name"
        )


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by name, in NFC."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = _entry_name(entry)
        if entry.is_dir() or name.startswith("__MACOSX/"):
            continue
        if _leads_outside(name) or stat.S_ISLNK(entry.external_attr >> 16):
            raise ZipError(f"{name!r} in the zip leads outside of it; {_ANEW}")
        if entry.flag_bits & _LOCKED:
            raise ZipError(f"{name!r} in the zip is locked with a password; zip it without one")
        if entry.compress_type not in _METHODS:  # others may ask for gigabytes before they give a byte
            raise ZipError(f"{name!r} in the zip is packed in an unusual way; zip it as usual (deflate)")
        if name in entries:
            raise ZipError(f"the zip has {name!r} twice; {_ANEW}")
        entries[name] = entry
    return entries


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """The name of a file in NFC; one that is UTF-8 without saying so, as macOS writes it, is read as that."""
    name = entry.filename
    if not entry.flag_bits & _SAYS_UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()  # zipfile takes such names for code page 437
    return normalize("NFC", name)


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name


def _find_story(entries: dict[str, zipfile.ZipInfo]) -> tuple[str, str]:
    """Name of the story file, and the folder of the zip in which it lies with all that it names."""
    found = [PurePosixPath(name) for name in entries if PurePosixPath(name).name in STORY_NAMES]
    if not found:
        raise ZipError(f"the zip has no story.yaml; {_ANEW}")
    if len(found) > 1:
        said = " and ".join(f"'{path}'" for path in found[:2])
        raise ZipError(f"the zip has more than one story: {said}; leave one of them in it")
    return found[0].name, str(found[0].parent)
