"""Lists of films in the forms that people keep them in: text, JSON, and the ShotStream authors' CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from shotstream.data.films.film_input import FilmInput, InputError, read_json, read_lines

AUTHORS_COLUMNS = ("shot_num_from_caption", "json_path", "video_path", "frame_number")
VIDEO_KEYS = ("video", "video_path", "path", "file")
CAPTION_KEYS = ("caption", "global_caption", "setting", "prompt", "text")


def read_text_list(path: Path) -> Iterator[FilmInput]:
    """Read paths of films, one a line; `prompts.txt` beside `videos.txt` has a caption for each.

    Raises:
        InputError: If the two have not as many lines, or a film is missing.
    """
    films, prompts = read_lines(path), path.with_name("prompts.txt")
    captions = [""] * len(films)
    if path.name == "videos.txt" and prompts.is_file():
        captions = read_lines(prompts)
        if len(captions) != len(films):
            raise InputError(
                f"{path} names {len(films)} films and {prompts} has {len(captions)} captions; "
                "both need as many lines."
            )
    for number, (film, caption) in enumerate(zip(films, captions, strict=True), 1):
        yield FilmInput((_existing(film, path, f"{path}, line {number}"),), caption=caption)


def read_json_list(path: Path) -> Iterator[FilmInput]:
    """Read films as JSON objects: a list of them, one, or one a line (.jsonl).

    Raises:
        InputError: With the place of what cannot be understood.
    """
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    values = json.loads(line)
                except ValueError as error:
                    raise InputError(f"{where}: this is no JSON ({error}).") from error
                yield film_of(values, path, where)
        return
    values = read_json(path)
    for number, one in enumerate(values if isinstance(values, list) else [values], 1):
        yield film_of(one, path, f"{path}, entry {number}")


def film_of(values: Any, listed_in: Path, where: str) -> FilmInput:
    """Understand one film of a list.

    Known are ``video``; ``caption``; ``shots`` with ``start``, ``end`` (seconds) and ``caption``; HoloCine's
    ``global_caption``, ``shot_captions`` and ``shot_cut_frames``; ``licence`` and ``source``.

    Args:
        values: The JSON object.
        listed_in: The list: paths are taken from its folder.
        where: How messages name the place.

    Raises:
        InputError: If something is missing or makes no sense.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: a film is an object such as {{'video': 'a.mp4'}}, not {values!r}.")
    name = _first(values, VIDEO_KEYS)
    if not name:
        raise InputError(f"{where}: no film is named; give its path as 'video'.")
    film = _existing(str(name), listed_in, where)
    facts: dict[str, Any] = {
        "caption": str(_first(values, CAPTION_KEYS) or ""),
        "licence": str(values.get("licence") or values.get("license") or ""),
        "source": str(values.get("source") or values.get("url") or ""),
    }
    if values.get("shots") is not None:
        facts |= _given_shots(values["shots"], where)
    elif values.get("shot_captions") is not None:
        facts |= _cut_shots(values, where)
    return FilmInput((film,), **facts)


def read_authors_csv(path: Path) -> Iterator[FilmInput]:
    """Read the ShotStream authors' layout.

    A row names a film, its shots as ``[[first, end], ...]`` in frames of the file, the end not included, and
    a JSON file with ``global_caption`` and ``shot1``, ``shot2``, ... Paths are taken from the folder of the
    CSV file, or from the working folder, as the authors do.

    Raises:
        InputError: With the row of what cannot be understood.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(AUTHORS_COLUMNS) <= rows[0].keys():
        raise InputError(f"{path} is not in the authors' layout: it needs {', '.join(AUTHORS_COLUMNS)}.")
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        captions = read_json(_existing(row["json_path"], path, where))
        spans = _spans(_json_of(row["frame_number"], where), where)
        try:
            shots = int(row["shot_num_from_caption"])
            told = tuple(str(captions[f"shot{shot}"]) for shot in range(1, shots + 1))
            setting = str(captions["global_caption"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: its captions are not complete ({error}).") from error
        if len(spans) != shots:
            raise InputError(f"{where}: {shots} captions, but frame_number has {len(spans)} shots.")
        film = _existing(row["video_path"], path, where)
        yield FilmInput((film,), spans, "frames", setting, told)


def _given_shots(shots: Any, where: str) -> dict[str, Any]:
    try:
        spans = _spans([[shot["start"], shot["end"]] for shot in shots], where)
        captions = tuple(str(shot.get("caption") or shot.get("prompt") or "") for shot in shots)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{where}: every shot needs start and end in seconds ({error}).") from error
    return {"spans": spans, "shot_captions": captions if any(captions) else None}


def _cut_shots(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """HoloCine: a caption for each shot, and the frames at which the second and later shots begin."""
    captions = tuple(str(caption) for caption in values["shot_captions"])
    cuts = values.get("shot_cut_frames")
    if cuts is None:
        return {"shot_captions": captions}
    if len(cuts) != len(captions) - 1:
        raise InputError(f"{where}: {len(captions)} shots need {len(captions) - 1} cuts, not {len(cuts)}.")
    last = values.get("num_frames") or values.get("frames") or float("inf")
    spans = _spans(list(pairwise([0, *cuts, last])), where)
    return {"spans": spans, "unit": "frames", "shot_captions": captions}


def _spans(pairs: Any, where: str) -> tuple[tuple[float, float], ...]:
    try:
        spans = tuple((float(start), float(end)) for start, end in pairs)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: shots are pairs of begin and end, not {pairs!r}.") from error
    if not spans or any(start < 0 or start >= end for start, end in spans):
        raise InputError(f"{where}: every shot must end after it begins, but these are {pairs!r}.")
    return spans


def _json_of(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is no list of shots ({error}).") from error


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((values[key] for key in keys if values.get(key)), None)


def _existing(name: str, listed_in: Path, where: str) -> Path:
    """The file of that name: as it is, or beside the list.

    Raises:
        InputError: If it is in neither place.
    """
    for place in (listed_in.parent / name, Path(name)):
        if place.is_file():
            return place
    raise InputError(f"{where}: there is no file {name}.")
