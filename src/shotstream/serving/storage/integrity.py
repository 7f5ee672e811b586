"""What is wrong with a library, and what to do about it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Connection, Text, cast, select, text

from shotstream.serving.delivery.clips import read_clip
from shotstream.serving.protocol.commands import Reference
from shotstream.serving.protocol.events import Memory
from shotstream.serving.storage import database, rows
from shotstream.serving.storage.media_place import open_media
from shotstream.serving.storage.pictures import Pictures
from shotstream.serving.storage.place import DATABASE, LibraryPlace
from shotstream.serving.storage.reader import StoryReader, sha256
from shotstream.serving.storage.schema import shots, stories
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import (
    DamagedChunk,
    LibraryInUse,
    StoredChunk,
    StoredStory,
    StoreError,
    StoryFiles,
)
from shotstream.serving.storage.sweep import CHUNK_FILE, is_half, list_folder, unknown_files

_FROM_A_COPY = "put it back from a copy of the library"
_MADE_AGAIN = f"{_FROM_A_COPY}, or open the story in the studio: it is made again"
_ADOPT = "put back the library.db that belongs to it, or let `shotstream library check --adopt` take it in"


@dataclass(frozen=True)
class LibraryFault:
    """One thing that is wrong."""

    kind: str
    """Such as ``missing chunk``."""
    where: str
    """A file, from the library's folder on, or a row of the database."""
    what: str
    """What is wrong with it; may be empty where the kind says it."""
    remedy: str
    story: str | None = None
    """The story that it is of, if that is known."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}{f' ({self.what})' if self.what else ''}; {self.remedy}"


@contextmanager
def open_to_read(library: Path, url: str | None = None) -> Iterator[StoryReader]:
    """Open a library for reading, whether or not a studio has it open.

    Raises:
        StoreError: If there is none, or its database cannot be used.
    """
    if not library.is_dir() or (url is None and not (library / DATABASE).is_file()):
        raise StoreError(f"there is no library in {library}: it has no {DATABASE}; give --library DIR")
    try:
        with Store(library, url) as store:
            yield store
    except LibraryInUse:
        place = LibraryPlace(library, has_database=url is None, claim=False)
        engine = database.open_database(url or library / DATABASE, migrate=False)
        place.watch()
        yield StoryReader(place, engine, open_media(place, engine, writes=False))
        engine.dispose()


def check_library(
    reader: StoryReader, progress: Callable[[str], None] = lambda story: None
) -> list[LibraryFault]:
    """Look through a library: its database, and every file of every story.

    Args:
        reader: The library.
        progress: Is told the story that is looked at.
    """
    with reader.reading() as connection:
        found = list(_check_database(connection))
        if any(finding.kind == "damaged database" for finding in found):
            return found
        known = rows.list_files(connection)
        listed = [row.id for row in connection.execute(select(stories.c.id)).all()]
        sums = {sha: f"{story}/{name}" for story in known for name, sha in known[story].chunks.items() if sha}
        pictures = Pictures(reader.media)
        for story in listed:
            progress(story)
            found += _check_copies(reader, story, known[story])
            found += _check_story(connection, reader.folder, story, known[story], sums, pictures)
    return [*found, *_check_unknown(reader, known)]


def _check_copies(reader: StoryReader, story: str, known: StoryFiles) -> Iterator[LibraryFault]:
    """See that files kept elsewhere are whole there, and bring them for the checks that follow."""
    files = known.paths(reader.folder / "stories" / story)
    damaged = [file for file, sum_ in files if reader.media.is_damaged(file, sum_)]
    reader.media.bring(files)
    for file in damaged:
        where = file.relative_to(reader.folder)
        if file.exists():  # else it is told as missing
            remedy = f"put it back from {file}"
            yield LibraryFault(f"damaged at {reader.media.address}", str(where), "", remedy, story)


def _check_database(connection: Connection) -> Iterator[LibraryFault]:
    if connection.dialect.name != "sqlite":
        return
    try:
        said = [str(line[0]) for line in connection.execute(text("PRAGMA integrity_check(3)"))]
    except Exception as error:  # a damaged file is met with errors of many kinds
        said = [str(error)]
    if said != ["ok"]:
        yield LibraryFault("damaged database", DATABASE, "; ".join(said), _FROM_A_COPY)


def _check_story(
    connection: Connection,
    library: Path,
    story: str,
    known: StoryFiles,
    sums: dict[str, str],
    pictures: Pictures,
) -> Iterator[LibraryFault]:
    yield from _check_board(connection, story)
    folder = library / "stories" / story
    try:
        stored = rows.load_story(connection, story, folder / "chunks")
    except StoreError as damage:
        yield LibraryFault("damaged row", f"{DATABASE}, story {story}", str(damage), _FROM_A_COPY, story)
        return
    yield from _check_journal(stored)
    for chunk in stored.chunks:
        yield from _check_chunk(library, chunk, sums)
        yield from _check_clip(library, chunk)
    for name, expected in known.stills.items():
        file = folder / "stills" / name
        if not file.exists() or sha256(file.read_bytes()) != expected:
            yield LibraryFault("damaged still", str(file.relative_to(library)), "", _MADE_AGAIN, story)
    for name, expected in known.sounds.items():
        file = folder / "sounds" / name
        if not file.exists() or sha256(file.read_bytes()) != expected:
            where = str(file.relative_to(library))
            yield LibraryFault("damaged sound", where, "", f"{_FROM_A_COPY}, or send it again", story)
    for entry in stored.commands:
        if isinstance(entry.command, Reference) and not pictures.is_whole(entry.command.upload):
            where = pictures.file(entry.command.upload).relative_to(library)
            yield LibraryFault("damaged picture", str(where), "the story uses it", _FROM_A_COPY, story)


def _check_board(connection: Connection, story: str) -> Iterator[LibraryFault]:
    """See what the page shows of a story: all of it is written anew when the story is opened."""
    row = rows.story_row(connection, story)
    remedy = "open the story in the studio: it is written anew"
    kept = connection.scalar(select(cast(stories.c.memory, Text)).where(stories.c.id == story))
    try:
        if kept not in (None, "null"):
            Memory.model_validate(row.memory)
    except ValidationError:
        yield LibraryFault("damaged row", f"{DATABASE}, story {story}", "what is remembered", remedy, story)
    for card in connection.execute(select(shots).where(shots.c.story == story)):
        try:
            if rows.card(card.card).number != card.shot:
                raise ValueError
        except ValueError:
            where = f"{DATABASE}, story {story}, the card of shot {card.shot}"
            yield LibraryFault("damaged row", where, "", remedy, story)


def _check_journal(stored: StoredStory) -> Iterator[LibraryFault]:
    """See that chunks follow one another."""
    frames: dict[tuple[int, int], int] = {}
    made: dict[tuple[int, int], int] = {}
    for chunk in stored.chunks:
        take = (chunk.shot, chunk.take)
        named = CHUNK_FILE.fullmatch(chunk.path.name)
        place = tuple(int(number) for number in named.groups()[:3]) if named else ()
        expected = (*take, made.get(take, 0))
        follows = chunk.first_frame == frames.get(take, 0) and chunk.frames > 0
        if (chunk.shot, chunk.take, chunk.chunk) != expected or place != expected or not follows:
            where = f"{DATABASE}, story {stored.id}, {chunk.name}"
            yield LibraryFault(
                "damaged row", where, "it does not follow the one before", _FROM_A_COPY, stored.id
            )
            return
        made[take], frames[take] = chunk.chunk + 1, chunk.first_frame + chunk.frames


def _check_chunk(library: Path, chunk: StoredChunk, sums: dict[str, str]) -> Iterator[LibraryFault]:
    where = str(chunk.path.relative_to(library))
    if not chunk.path.exists():
        yield LibraryFault("missing chunk", where, chunk.name, _MADE_AGAIN, chunk.story)
        return
    try:
        chunk.latents()
    except DamagedChunk:
        other = sums.get(sha256(chunk.path.read_bytes()))
        kind = "swapped chunk" if other else "damaged chunk"
        what = f"{chunk.name}; the file is that of {other}" if other else chunk.name
        yield LibraryFault(kind, where, what, _MADE_AGAIN, chunk.story)


def _check_clip(library: Path, chunk: StoredChunk) -> Iterator[LibraryFault]:
    where = str(chunk.clip.relative_to(library))
    try:
        read_clip(chunk)
    except FileNotFoundError:
        if chunk.clip_sha256:  # else it is not made yet
            yield LibraryFault("missing clip", where, chunk.name, _MADE_AGAIN, chunk.story)
    except OSError:
        yield LibraryFault("damaged clip", where, chunk.name, _MADE_AGAIN, chunk.story)


def _check_unknown(reader: StoryReader, known: dict[str, StoryFiles]) -> Iterator[LibraryFault]:
    """Find what the database does not know; a second look leaves out what a studio has written meanwhile."""
    library = reader.folder
    candidates = [folder for folder in list_folder(library / "stories") if folder.name not in known]
    strange = {story: unknown_files(library / "stories" / story, files) for story, files in known.items()}
    with reader.reading() as connection:
        now = rows.list_files(connection)
    for folder in candidates:
        if folder.name not in now and folder.exists():
            where = str(folder.relative_to(library))
            if folder.is_symlink() or not folder.is_dir():
                yield _strange(library, folder)
            else:
                yield LibraryFault("unknown folder", where, "of no story in library.db", _ADOPT, folder.name)
    for story, (files, links) in strange.items():
        files = [file for file in files if not _is_known(file, now.get(story)) and file.exists()]
        yield from (_strange(library, link) for link in links)
        yield from _check_newer(library, story, known[story], files)


def _check_newer(library: Path, story: str, known: StoryFiles, files: list[Path]) -> Iterator[LibraryFault]:
    """Tell chunks that are newer than the database from what is strange."""
    newer = [file for file in files if _position(file) >= known.entries]
    if len(newer) > 1 or any(_position(file) > known.entries for file in newer):  # a kill leaves but the next
        chunks = sum(file.parent.name == "chunks" for file in newer)
        remedy = f"{_ADOPT}; the next start moves them to lost/"
        what = f"{chunks} chunks are newer than {DATABASE}"
        yield LibraryFault("older database", f"stories/{story}", what, remedy, story)
    yield from (_strange(library, file) for file in files if not (file in newer or is_half(file)))


def _position(file: Path) -> int:
    """The place in the journal of a file's chunk; -1 if it is none of a chunk."""
    named = CHUNK_FILE.fullmatch(f"{file.stem}.safetensors")
    return int(named[4]) if named and file.parent.name in ("chunks", "clips") else -1


def _is_known(file: Path, known: StoryFiles | None) -> bool:
    names: Iterable[str] = (
        () if known is None else (*known.chunks, *known.clips, *known.stills, *known.sounds)
    )
    return file.name in names


def _strange(library: Path, file: Path) -> LibraryFault:
    where = str(file.relative_to(library))
    if file.is_symlink():
        return LibraryFault("link", where, "", "it is not followed; put what it leads to in its place")
    return LibraryFault("unknown file", where, "", "see whose it is; the next start moves it to lost/")
