"""Shots as a table (CSV): a column for every field, a row for every shot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from shotstream.media.faults import say_fault
from shotstream.story import Shot

COLUMNS = ("prompt", "seconds", "chunks", "seed", "take", "in_frame", "out_frame", "lora")
"""What a column can be called. Of others it is said that they mean nothing."""

_WHOLE = ("chunks", "seed", "take", "in_frame", "out_frame")
_EXAMPLE = "for example prompt,seconds,seed"
_DELIMITERS = ",;\t"
_NO_LORA = "-"


class TableError(ValueError):
    """A table cannot be used; the message has a line for every mistake, with column and remedy."""


def read_table(text: str) -> list[Shot]:
    """Read the shots of a table.

    The first line names the columns, in any order and in small or capital letters; ``prompt`` must be among
    them. Commas, semicolons or tabs are between fields. An empty field leaves its value open. LoRAs are
    separated by blanks; ``-`` stands for none.

    Args:
        text: The whole file.

    Raises:
        TableError: If there is no shot, or a mistake.
    """
    text = text.removeprefix("\ufeff")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines]
    except csv.Error as error:
        raise TableError(
            f"line {lines.line_num}: the table is damaged there ({error}); put text with quotes in it "
            "between quotes, and every quote in it twice"
        ) from error
    rows = [(line, row) for line, row in rows if any(field.strip() for field in row)]
    if not rows:
        raise TableError(f"the table is empty; name the columns in its first line, {_EXAMPLE}")
    (line, names), *rest = rows
    columns = [name.strip().lower().replace(" ", "_") for name in names]
    mistakes = list(_wrong_columns(columns, line))
    if not mistakes:
        mistakes = [mistake for number, row in rest for mistake in _wrong_fields(columns, row, number)]
    shots: list[Shot] = []
    for number, row in rest if not mistakes else ():
        try:
            shots.append(Shot(**_fields(columns, row)))
        except ValidationError as error:
            mistakes.append(f"line {number}: {say_fault(error.errors(include_url=False)[0])}")
    if mistakes:
        raise TableError("\n".join(mistakes))
    if not shots:
        raise TableError("the table has no shot; write one below the names of the columns")
    return shots


def write_table(shots: Sequence[Shot]) -> str:
    """Write shots as a table that `read_table` reads as the same; columns without a value are left out.

    Redirections, pins and pictures have no column.
    """
    rows = [{name: getattr(shot, name) for name in COLUMNS} | {"take": shot.take or None} for shot in shots]
    used = [name for name in COLUMNS if name == "prompt" or any(row[name] is not None for row in rows)]
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(used)
    table.writerows([_written(row[name]) for name in used] for row in rows)
    return written.getvalue()


def looks_like_table(text: str) -> bool:
    """Whether the first line of a text names columns, a prompt among them, and there are more lines."""
    first, _, rest = text.removeprefix("\ufeff").lstrip().partition("\n")
    names = [name.strip().strip('"').lower() for name in first.strip().split(_delimiter(first))]
    return len(names) > 1 and "prompt" in names and set(names) <= set(COLUMNS) and bool(rest.strip())


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _wrong_columns(columns: Sequence[str], line: int) -> Iterator[str]:
    if "prompt" not in columns:
        yield f"line {line}: no column is called prompt; name the columns in the first line, {_EXAMPLE}"
        return
    for number, name in enumerate(columns):
        if name not in COLUMNS:
            remedy = f"call it one of {', '.join(COLUMNS)}, or leave it out"
            yield f"line {line}, column {number + 1}: {name!r} means nothing here; {remedy}"
        elif name in columns[:number]:
            yield f"line {line}, column {number + 1}: a column is called {name} already; keep one of them"


def _wrong_fields(columns: Sequence[str], row: Sequence[str], line: int) -> Iterator[str]:
    if extra := [field for field in row[len(columns) :] if field.strip()]:
        yield (
            f"line {line}: there is {extra[0]!r} beyond the last column; put a text with commas in it "
            "between quotes"
        )
        return
    fields = dict(zip(columns, row, strict=False))
    if not fields.get("prompt", "").strip():
        yield f"line {line}, column prompt: it is empty; say what is to be seen"
    for name, written in fields.items():
        if said := _wrong(name, written.strip()):
            yield f"line {line}, column {name}: {written.strip()!r} is {said}"
    if fields.get("seconds", "").strip() and fields.get("chunks", "").strip():
        yield f"line {line}, column chunks: the shot has seconds, too; keep one of them"


def _wrong(name: str, written: str) -> str | None:
    """What is wrong with a field, and the remedy; None if nothing is."""
    if not written:
        return None
    if name in _WHOLE and not (written.isascii() and written.isdigit()):
        return "no whole number; write digits alone, for example 7, or leave it empty"
    if name == "seconds" and _seconds(written) is None:
        return "no length in seconds; write a number above 0, for example 2.5, or leave it empty"
    return None


def _seconds(written: str) -> float | None:
    try:
        seconds = float(written.replace(",", "."))
    except ValueError:
        return None
    return seconds if 0 < seconds <= 3600 else None


def _fields(columns: Iterable[str], row: Sequence[str]) -> dict[str, Any]:
    shot: dict[str, Any] = {}
    for name, field in zip(columns, row, strict=False):
        if written := field.strip():
            shot[name] = _value(name, written)
    return shot


def _value(name: str, written: str) -> Any:
    if name in _WHOLE:
        return int(written)
    if name == "lora":
        return [] if written == _NO_LORA else written.split()
    return _seconds(written) if name == "seconds" else written


def _written(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value) or _NO_LORA
    return "" if value is None else str(value)
