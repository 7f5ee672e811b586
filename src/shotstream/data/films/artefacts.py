"""What the stages have made, by the hash of what it was made from: nothing that is finished is made again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from shotstream.media.files import write_text


class Artefacts:
    """A folder with a folder for each stage; a file in it is whole or absent.

    Args:
        folder: Made when it is first written to.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, stage: str, key: str, suffix: str = ".json") -> Path:
        """Where the artefact of a stage is."""
        return self.folder / stage / f"{key}{suffix}"

    def read(self, stage: str, key: str) -> dict[str, Any] | None:
        """The artefact; None if it is not there."""
        path = self.path(stage, key)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def write(self, stage: str, key: str, artefact: dict[str, Any]) -> None:
        """Keep an artefact."""
        write_text(self.path(stage, key), json.dumps(artefact, ensure_ascii=False) + "\n")

    def digest(self, file: Path) -> str:
        """SHA-256 of a file's contents; it is read anew only when its size or time has changed.

        Raises:
            OSError: If it cannot be read.
        """
        status = os.stat(file)
        key = stage_key(file.resolve(), status.st_size, status.st_mtime_ns)
        known = self.read("files", key)
        if known is None:
            with file.open("rb") as content:
                known = {"file": str(file), "sha256": hashlib.file_digest(content, "sha256").hexdigest()}
            self.write("files", key, known)
        return known["sha256"]


def stage_key(*facts: object) -> str:
    """SHA-256, in hexadecimal, of what an artefact is made from."""
    return hashlib.sha256(json.dumps([str(fact) for fact in facts]).encode()).hexdigest()
