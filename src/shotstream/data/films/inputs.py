"""What films there are: video files, what is known of their shots, and what they show in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shotstream.data.films.clip_table import read_clip_table
from shotstream.data.films.film_input import FilmInput, InputError, read_json, read_lines
from shotstream.data.films.lists import film_of, read_authors_csv, read_json_list, read_text_list

_SUFFIXES = "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts webm wmv y4m"
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


def read_inputs(paths: Iterable[Path], licence: str = "", source: str = "") -> list[FilmInput]:
    """Find the films that a person names.

    Args:
        paths: Folders, video files, and lists (.txt, .csv, .json, .jsonl, .parquet, .arrow, .feather).
        licence: Of those that do not say.
        source: Of those that do not say.

    Raises:
        InputError: If a path is none of these, or a list cannot be understood.
    """
    found = [film for path in paths for film in _read(Path(path))]
    seen: set[tuple[Any, ...]] = set()
    films = []
    for film in found:
        if (film.files, film.spans) not in seen:
            seen.add((film.files, film.spans))
            films.append(replace(film, licence=film.licence or licence, source=film.source or source))
    return films


def _read(path: Path) -> Iterator[FilmInput]:
    readers: dict[str, Callable[[Path], Iterable[FilmInput]]] = {
        ".txt": read_text_list,
        ".csv": read_authors_csv,
        ".json": read_json_list,
        ".jsonl": read_json_list,
        **dict.fromkeys((".parquet", ".arrow", ".feather"), read_clip_table),
    }
    if path.is_dir():
        yield from _read_folder(path)
    elif not path.is_file():
        raise InputError(f"There is no file or folder {path}; give films, folders of them, or lists.")
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        yield _with_notes(path)
    elif path.suffix.lower() in readers:
        yield from readers[path.suffix.lower()](path)
    else:
        known = ", ".join(sorted((*readers, *VIDEO_SUFFIXES)))
        raise InputError(f"{path} is neither a video nor a list of films; known are {known}.")


def _read_folder(folder: Path) -> Iterator[FilmInput]:
    story = _story_folder(folder)
    if story is not None:
        yield story
        return
    if (folder / "videos.txt").is_file():
        yield from read_text_list(folder / "videos.txt")
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _read_folder(path)
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            yield _with_notes(path)


def _story_folder(folder: Path) -> FilmInput | None:
    """A story with a file for each shot, as `shotstream world render` writes it; None if it is none."""
    path = folder / "attributes.json"
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        setting, prompts = str(told["setting"]), tuple(str(shot["prompt"]) for shot in told["shots"])
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not tell a story ({type(error).__name__}: {error}).") from error
    files = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES))
    if len(files) != len(prompts):
        raise InputError(f"{path} tells of {len(prompts)} shots, but {len(files)} videos are beside it.")
    return FilmInput(files, caption=setting, shot_captions=prompts, licence="Apache-2.0", source="drawn")


def _with_notes(path: Path) -> FilmInput:
    """A film with what NAME.txt beside it says: its caption, and in further lines one for each shot.

    NAME.json beside it may have caption, shots, licence and source, as a line of a JSONL list has.
    """
    notes = path.with_suffix(".json")
    if notes.is_file():
        values = read_json(notes)
        if isinstance(values, dict):
            return film_of({**values, "video": path.name}, notes, str(notes))
    text = path.with_suffix(".txt")
    if not text.is_file():
        return FilmInput((path,))
    caption, *shots = read_lines(text) or [""]
    return FilmInput((path,), caption=caption, shot_captions=tuple(shots) or None)
