"""What lies in a library and is not of it: halves of files, and files that the database does not know."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from shotstream.media.files import make_folder, write_errors
from shotstream.serving.storage.stored import StoryFiles, Swept

CHUNK_FILE = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)\.safetensors")
"""Shot, take, chunk, and the chunk's place in the journal."""
UPLOAD = re.compile(r"[a-z0-9]{1,64}")
"""Name of a picture that a person brought."""

_HALF = re.compile(
    r"\.(?:\d+(?:-\d+){2,3}|[a-z0-9]{1,64})\.\d+-\d+\.part\.(?:safetensors|packets|png|wav|mp3|flac|ogg|m4a)"
)


def sweep(library: Path, known: dict[str, StoryFiles]) -> Swept:
    """Remove halves of files; move to ``lost/`` what the database does not know; follow no link.

    Args:
        library: Its folder.
        known: The files of every story that the database knows.

    Raises:
        MediaError: If a file cannot be removed or moved.
    """
    lost = _new_folder(library)
    halves = [file for file in list_folder(library / "uploads") if is_half(file)]
    unknown: list[Path] = []
    folders: list[Path] = []
    links: list[Path] = []
    for folder in list_folder(library / "stories"):
        if folder.is_symlink():
            links.append(folder)
        elif not folder.is_dir():
            unknown.append(folder)
        elif folder.name not in known:
            folders.append(folder)
        else:
            strange, linked = unknown_files(folder, known[folder.name])
            halves += [file for file in strange if is_half(file)]
            unknown += [file for file in strange if not is_half(file)]
            links += linked
    for file in halves:
        with write_errors(file):
            file.unlink()
    for file in unknown:
        move_to_lost(library, file, lost)
    chunks = (
        library / "stories" / story / "chunks" / name for story in known for name in known[story].chunks
    )
    missing = sorted(file for file in chunks if not file.exists())
    found = [[path.relative_to(library) for path in paths] for paths in (unknown, missing, folders, links)]
    return Swept(len(halves), *found, lost_to=lost if unknown else None)


def unknown_files(folder: Path, known: StoryFiles) -> tuple[list[Path], list[Path]]:
    """Find what lies in a story's folder and is not of it.

    Stills of a take that is known are of it: an older ShotStream has kept them without checksums.

    Returns:
        Files, folders and links that the database does not know; and a link in the place of the chunks,
        behind which may be all of its latents.
    """
    takes = {tuple(name.split("-")[:2]) for name in known.chunks}
    strange, links = [], []
    for inside in list_folder(folder):
        if inside.name == "chunks" and inside.is_symlink():
            links.append(inside)
        elif (
            inside.is_symlink()
            or not inside.is_dir()
            or inside.name not in ("chunks", "clips", "stills", "sounds")
        ):
            strange.append(inside)
        elif inside.name == "stills":
            strange += [file for file in list_folder(inside) if tuple(file.name.split("-")[:2]) not in takes]
        else:
            names = {"chunks": known.chunks, "clips": known.clips, "sounds": known.sounds}[inside.name]
            strange += [file for file in list_folder(inside) if file.name not in names]
    return strange, links


def move_to_lost(library: Path, file: Path, lost: Path | None = None) -> None:
    """Move a file, or a link itself, out of the way; it keeps its path from the library's folder on.

    Raises:
        MediaError: If it cannot be moved.
    """
    with write_errors(file):
        place = library / (lost or _new_folder(library)) / file.relative_to(library)
        make_folder(place.parent, 0o700)
        shutil.move(file, place)


def _new_folder(library: Path) -> Path:
    """A folder that is not there yet; numbered, as clocks jump."""
    numbers = [int(folder.name) for folder in list_folder(library / "lost") if folder.name.isdecimal()]
    return Path("lost") / str(max(numbers, default=0) + 1)


def is_half(file: Path) -> bool:
    """Whether it was being written when its process was killed."""
    return _HALF.fullmatch(file.name) is not None and file.is_file() and not file.is_symlink()


def list_folder(folder: Path) -> list[Path]:
    """What is in a folder, in the order of its names; nothing if there is none."""
    return sorted(folder.iterdir()) if folder.is_dir() else []
