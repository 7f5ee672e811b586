"""Which address the files of a library are at: its folder remembers it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from shotstream.machine.remote_folder import plain_address
from shotstream.media.files import write_bytes
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.media_files import OWNER_MARK, MediaFiles, RemoteMediaFiles
from shotstream.serving.storage.place import LibraryPlace
from shotstream.serving.storage.stored import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NOTE = "media-address"
"""File of the folder; it has the address as it was given, and is the owner's alone."""


def open_media(
    place: LibraryPlace, engine: Engine, address: str | None = None, *, writes: bool = True
) -> MediaFiles:
    """Open the files of a library where they are.

    Args:
        place: The library's folder.
        engine: Its database.
        address: Where they are, or are to be; None for where they were.
        writes: False for who only reads: the address is not asked whose it is.

    Raises:
        RemoteError: If the address cannot be used.
        StoreError: If the library has its files elsewhere, or the address lacks some, or has those of
            another library.
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
    if known is not None and address is not None and address != plain_address(known):
        raise StoreError(
            f"the library {place.folder} has its media files at another address; leave --media out, or copy "
            f"them to {media.address} and delete {note}"
        )
    own = _check_owner(engine, media, is_new=known is None) if writes else None
    if known is None:
        _check_moved(place.folder, engine, media)
    if own and media.owner() is None:
        media.mark(own)
        _check_owner(engine, media, is_new=False)  # another one may have come between
    if known is None:
        write_bytes(note, f"{address}\n".encode(), private=True)
    return media


def _check_owner(engine: Engine, media: RemoteMediaFiles, *, is_new: bool) -> str:
    """See that no other library has an address.

    Args:
        engine: The database, which has the library's id.
        media: The files at the address.
        is_new: Whether the folder does not know the address yet. Files of unknown stories are another
            library's then: older studios left no mark.

    Returns:
        The id of the library.
    """
    with database.database_errors(), engine.connect() as connection:
        own, stories = rows.library_id(connection), set(rows.list_files(connection))
    owner = media.owner()
    if owner is None and is_new and (others := media.stories() - stories):
        raise StoreError(
            f"{media.address} has files of {len(others)} stories that this library does not know, such as "
            f"stories/{min(others)}: two libraries would delete and overwrite each other's files. Give "
            f"another address with --media; or, if they are this library's, write {own} into the file "
            f"{media.address}/{OWNER_MARK}"
        )
    if owner not in (None, own):
        raise StoreError(
            f"{media.address} has the media files of another library, {owner}; this one is {own}: they would "
            "delete and overwrite each other's files. Give another address with --media; or, if that library "
            f"is gone and this one takes its place, delete {media.address}/{OWNER_MARK} and start again"
        )
    return own


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
