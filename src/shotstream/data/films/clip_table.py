"""A table of clips as Arrow or Parquet: a row a shot, the shots of a story together (pyarrow)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from shotstream.data.films.film_input import FilmInput, InputError
from shotstream.media.files import atomic_path, write_errors

COLUMNS = ("story", "path", "start", "end", "caption", "shot_caption", "licence", "source")
"""What is read: `path` must be there. Without `start` and `end` the row is a whole film."""


def read_clip_table(path: Path) -> Iterator[FilmInput]:
    """Read a table; rows that follow one another with the same `story` are shots of one story.

    Raises:
        ImportError: If pyarrow is missing, with the line that installs it.
        InputError: If the table cannot be understood.
    """
    arrow, parquet, feather = _pyarrow()
    try:
        read = parquet.read_table if path.suffix.lower() == ".parquet" else feather.read_table
        rows = read(path).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as a table ({error}).") from error
    if not rows or "path" not in rows[0]:
        raise InputError(f"{path} has no column 'path'; known are {', '.join(COLUMNS)}.")
    for _, group in groupby(enumerate(rows), lambda row: row[1].get("story", row[0])):
        yield _film([row for _, row in group], path)


def write_clip_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, whole or not at all; the suffix chooses the form (.parquet, .arrow, .feather).

    Raises:
        ImportError: If pyarrow is missing, with the line that installs it.
    """
    arrow, parquet, feather = _pyarrow()
    table = arrow.Table.from_pylist([dict(row) for row in rows])
    with atomic_path(path) as part, write_errors(path):
        if path.suffix.lower() == ".parquet":
            parquet.write_table(table, part)
        else:
            feather.write_feather(table, str(part))


def clip_rows(records: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of a table for stories of shards, given as pairs of split and record."""
    return [
        {
            "story": f"{split} {number}",
            "split": split,
            "path": str(Path(shot["file"]).absolute()),
            "start": shot["start"],
            "end": shot["end"],
            "caption": record["setting"],
            "shot_caption": prompt,
            "frames": frames,
            "licence": record["licence"],
            "source": record["source"],
        }
        for number, (split, record) in enumerate(records)
        for shot, prompt, frames in zip(record["shots"], record["prompts"], record["frames"], strict=True)
    ]


def _film(rows: Sequence[Mapping[str, Any]], table: Path) -> FilmInput:
    """A story: shots of one file, or a file for each shot."""
    files = [_existing(str(row["path"]), table) for row in rows]
    first = rows[0]
    known: dict[str, Any] = {key: str(first.get(key) or "") for key in ("caption", "licence", "source")}
    captions = tuple(str(row.get("shot_caption") or "") for row in rows)
    if len(set(files)) == 1:
        files = files[:1]
    elif len(set(files)) < len(files):
        raise InputError(
            f"{table}: the shots of story {first.get('story')!r} are in several files, one of which has "
            "several shots; give a story the shots of one file, or a file for each shot."
        )
    bounded = [row.get("start") is not None and row.get("end") is not None for row in rows]
    if not any(bounded):
        told = captions if len(files) > 1 and any(captions) else None
        return FilmInput(tuple(files), shot_captions=told, **known)
    if not all(bounded):
        raise InputError(
            f"{table}: of story {first.get('story')!r} some shots have start and end, others not."
        )
    spans = tuple((float(row["start"]), float(row["end"])) for row in rows)
    return FilmInput(tuple(files), spans, shot_captions=captions if any(captions) else None, **known)


def _existing(name: str, table: Path) -> Path:
    film = next((place for place in (table.parent / name, Path(name)) if place.is_file()), None)
    if film is None:
        raise InputError(f"{table} names {name}, and there is no such file.")
    return film


def _pyarrow() -> tuple[Any, Any, Any]:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        from pyarrow import feather, parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError('Tables of clips need pyarrow: pip install "shotstream[data]"') from error
    return pyarrow, parquet, feather
