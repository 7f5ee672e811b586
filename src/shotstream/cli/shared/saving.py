"""A model's folder, written by a command."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from shotstream.cli.shared.console import console
from shotstream.loading.folder_code import FOLDER_CODE

if TYPE_CHECKING:
    import torch

    from shotstream.streaming.pipeline import ShotStreamPipeline


def check_output(folder: Path, sources: Iterable[Path]) -> None:
    """Refuse a folder that a new model cannot simply be put in the place of.

    Args:
        folder: The folder, which need not exist.
        sources: Files and folders that the model is made from.

    Raises:
        ValueError: If it is no folder, if there is something in it that is no model, or if it is, holds or
            lies in one of the sources.
    """
    place = folder.resolve()
    found = next(path for path in (place, *place.parents) if path.exists())
    if not found.is_dir():
        raise ValueError(f"{folder} cannot be a folder, because {found} is a file; choose a new folder.")
    if found == place and {entry.name for entry in place.iterdir()} - _names_in_model(place):
        raise ValueError(
            f"{folder} holds something other than a model, which would be lost; choose a new folder."
        )
    for source in sources:
        input_place = source.resolve()
        if place in (input_place, *input_place.parents) or input_place in place.parents:
            raise ValueError(
                f"{folder} is, holds or lies in {source}, which the model is made from; choose a new folder."
            )


def _names_in_model(folder: Path) -> set[str]:
    """What may lie in a model's folder; nothing if its index cannot be read."""
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8") if path.is_file() else "")
        parts = {name for name, value in index.items() if isinstance(value, list)}
    except (OSError, ValueError, AttributeError):
        return set()
    return parts | {"model_index.json", "sources.json", "README.md", *FOLDER_CODE}


def save(pipeline: ShotStreamPipeline, output: Path, record: str | None = None) -> None:
    """Write a model's folder, whole or not at all, and say how to use it.

    Args:
        pipeline: The model.
        output: The folder.
        record: Where its parts come from, JSON; kept in it as sources.json.

    Raises:
        MediaError: If it cannot be written.
    """
    from shotstream.media.files import whole_folder, write_text

    with console.status(f"writing {output}"), whole_folder(output.resolve()) as folder:
        pipeline.save_pretrained(folder)
        if record is not None:
            write_text(folder / "sources.json", record)
    console.print(f"Wrote {output}/: shotstream generate STORY --model {output}", markup=False)


def parse_dtype(name: str) -> torch.dtype:
    """Read the name of a number format.

    Raises:
        ValueError: If weights cannot be kept in it.
    """
    if name not in ("bfloat16", "float16", "float32"):
        raise ValueError(f"--dtype is {name!r}; give bfloat16, float16 or float32.")
    import torch

    return getattr(torch, name)
