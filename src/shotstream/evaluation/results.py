"""The folder of an evaluation: what is known of every film, kept as soon as it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shotstream.evaluation.judged_film import Film
from shotstream.evaluation.measure import Examination
from shotstream.evaluation.thumbnails import strip
from shotstream.media.files import atomic_path, write_errors, write_text

Record = dict[str, Any]
"""A line of stories.jsonl: key, name, seed, setting, fps, values; per shot prompt, frames, still, marks."""


def make_record(folder: Path, key: str, name: str, film: Film, found: Examination) -> Record:
    """Put what was found out about a film into a record, and its stills into the folder of the results.

    Raises:
        MediaError: If a still cannot be written.
    """
    shots = []
    for number, (frames, prompt, marks) in enumerate(
        zip(film.shots, film.prompts, found.marks, strict=True), start=1
    ):
        still = f"stills/{key[:16]}-{number:02d}.jpg"
        with atomic_path(folder / still) as part:
            part.write_bytes(strip(frames))
        told = [mark._asdict() for mark in marks]
        shots.append({"prompt": prompt, "frames": len(frames), "still": still, "marks": told})
    facts = {"name": name, "seed": film.seed, "setting": film.setting, "fps": film.fps}
    return {"key": key, **facts, "values": found.values, "shots": shots}


class ResultsError(ValueError):
    """A folder holds the results of other settings, or no results that can be read."""


class Results:
    """``settings.json``, ``stories.jsonl`` and ``stills/`` of one evaluation.

    Opening a folder that is begun goes on with it: films that are in stories.jsonl need not be made again.

    Args:
        folder: Made if it is missing.
        settings: All that decides what is measured of a film: model, weights, features, code. Plain data.

    Raises:
        MediaError: If the folder cannot be written to.
        ResultsError: If the folder was begun with other settings, or cannot be read.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        path = folder / "settings.json"
        if path.is_file():
            self._compare(path, json.loads(json.dumps(settings)))
        else:
            write_text(path, json.dumps(settings, indent=2) + "\n")
        self._records = {record["key"]: record for record in self._read()}

    def find(self, key: str) -> Record | None:
        """What is known of the film made from what has this hash; None if it is not measured yet."""
        return self._records.get(key)

    def add(self, key: str, name: str, film: Film, found: Examination) -> Record:
        """Keep what was found out about a film.

        Raises:
            MediaError: If it cannot be written.
        """
        record = make_record(self.folder, key, name, film, found)
        self.keep(record)
        return record

    def keep(self, record: Record) -> None:
        """Keep a record whose stills are in the folder.

        Raises:
            MediaError: If it cannot be written.
        """
        with write_errors(self._lines), self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._records[record["key"]] = record

    @property
    def _lines(self) -> Path:
        return self.folder / "stories.jsonl"

    def _read(self) -> list[Record]:
        """Read the records; a last line that a crash left unfinished is removed from the file."""
        if not self._lines.is_file():
            return []
        text = self._lines.read_text(encoding="utf-8")
        whole, _, rest = text.rpartition("\n")
        if rest:
            write_text(self._lines, f"{whole}\n" if whole else "")
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except json.JSONDecodeError as error:
            raise ResultsError(
                f"{self._lines} is damaged ({error}); remove it to measure every film again."
            ) from error

    def _compare(self, path: Path, settings: dict[str, Any]) -> None:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            names = sorted({*before, *settings})
            differing = [name for name in names if before.get(name) != settings.get(name)]
        except (AttributeError, json.JSONDecodeError, TypeError) as error:
            raise ResultsError(f"{path} is damaged ({error}); give another folder with -o.") from error
        if differing:
            name = differing[0]
            raise ResultsError(
                f"{self.folder} holds results of other settings ({name}: {before.get(name)!r} there, "
                f"{settings.get(name)!r} now); give another folder with -o, or remove that one."
            )
