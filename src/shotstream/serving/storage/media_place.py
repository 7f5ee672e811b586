"""Which address the files of a library are at: its folder remembers it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from shotstream.machine.remote_folder import plain_address
from shotstream.media.files import write_bytes
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.media_files import MediaFiles, RemoteMediaFiles
from shotstream.serving.storage.place import LibraryPlace
from shotstream.serving.storage.stored import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NOTE = "media-address"
"""File of the folder; it has the address as it was given, and is the owner's alone."""


def open_media(place: LibraryPlace, engine: Engine, address: str | None = None) -> MediaFiles:
    """Open the files of a library where they are.

    Args:
        place: The library's folder.
        engine: Its database.
        address: Where they are, or are to be; None for where they were.

    Raises:
        RemoteError: If the address cannot be used.
        StoreError: If the library has its files elsewhere, or the address lacks some.
    """
    note = place.folder / _NOTE
    known = note.read_text(encoding="utf-8").strip() if note.is_file() else None
    if known == "":
        raise StoreError(
            f"{note} is empty: it should say where the media files are; write the address into it, or delete "
            "it if they are in the folder"
        )
    if address is not None:
        address = plain_address(address)  # wherever a studio is started from next
    if address is None and known is None:
        return MediaFiles(place.folder, private=place.private)
    media = RemoteMediaFiles(place.folder, address or known or "", private=place.private)
    if known is None:
        _check_moved(place.folder, engine, media)
        write_bytes(note, f"{address}\n".encode(), private=True)
    elif address is not None and address != plain_address(known):
        raise StoreError(
            f"the library {place.folder} has its media files at another address; leave --media out, or copy "
            f"them to {media.address} and delete {note}"
        )
    return media


def _check_moved(folder: Path, engine: Engine, media: RemoteMediaFiles) -> None:
    """See that an address that is new to a library has its files already."""
    with database.database_errors(), engine.connect() as connection:
        stories = rows.list_files(connection)
    files = chain.from_iterable(
        files.paths(folder / "stories" / story) for story, files in stories.items() if files.chunks
    )
    if lacking := media.lacks([file for file, _ in files]):
        raise StoreError(
            f"{media.address} lacks {len(lacking)} files of the library {folder}, such as {lacking[0]}; copy "
            f"stories/ and uploads/ from there to it first, as with `aws s3 sync {folder} {media.address}`"
        )
