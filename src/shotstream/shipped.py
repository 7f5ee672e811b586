"""Files that come with the package: example stories and training recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
SUFFIXES = (".yaml", ".json")


def shipped_names(kind: Literal["stories", "recipes"]) -> list[str]:
    """Names of the files that come with the package, without their suffixes."""
    return sorted(path.stem for path in (HERE / kind).iterdir() if path.suffix in SUFFIXES)


def find_file(path: Path, kind: Literal["stories", "recipes"]) -> Path:
    """Return a person's own file, else the file of that name that comes with the package.

    Args:
        path: A path such as ``my/story.yaml``, or the name of a shipped file such as ``first_story``.
        kind: Which shipped files are meant.

    Returns:
        `path` itself where something is there, or where no shipped file has its name.
    """
    if not path.exists():
        for suffix in SUFFIXES:
            shipped = HERE / kind / f"{path.name.removesuffix(suffix)}{suffix}"
            if shipped.is_file():
                return shipped
    return path
