"""Whether shards of films are whole: checksums, shapes, and what is there without belonging to anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from shotstream.data.film_shards import ClipFormat, FilmSplit
from shotstream.data.films.encode import checksum
from shotstream.data.shards import Shards

SPLITS: tuple[FilmSplit, FilmSplit] = ("train", "held-out")


def open_splits(folder: Path) -> dict[str, Shards]:
    """Open what `prepare` made.

    Raises:
        ValueError: If there are no shards.
    """
    found = {split: Shards(folder / split) for split in SPLITS if (folder / split / "index.jsonl").is_file()}
    if not found:
        raise ValueError(
            f"There are no shards of films in {folder}; make them with: "
            f"shotstream data prepare FILMS -o {folder}"
        )
    return found


def check_shards(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Check what `prepare` made.

    Args:
        folder: The folder of the shards.

    Yields:
        What was checked, and what is wrong with it; None if nothing is.

    Raises:
        ValueError: If there are no shards.
    """
    for split, shards in open_splits(folder).items():
        made = ClipFormat.model_validate(shards.made_with["format"])
        keys: set[str] = set()
        for number, record in enumerate(shards.records):
            problem = _check_story(shards, number, made)
            if problem is None and record["key"] in keys:
                problem = "it is there twice"
            keys.add(record["key"])
            yield f"{split} story {number}", problem
        yield from _orphans(folder / split, shards)
    yield from _waiting(folder)


def _check_story(shards: Shards, number: int, made: ClipFormat) -> str | None:
    record = shards.records[number]
    path = shards.folder / record["shard"]
    if not path.is_file():
        return f"its file {path} is missing"
    try:
        tensors = {name: shards.tensor(number, name) for name in shards.names(number)}
    except (SafetensorError, OSError) as error:
        return f"its file {path} cannot be read ({error})"
    rows = {"clips": sum(record["latent_frames"]), "stills": sum(map(len, record["positions"]))}
    if "caption_tokens" in record:
        rows["captions"] = sum(record["caption_tokens"])
    if tensors.keys() != rows.keys():
        return f"it has {', '.join(tensors)}, but the index tells of {', '.join(rows)}"
    for name, tensor in tensors.items():
        if tensor.ndim != (2 if name == "captions" else 4) or len(tensor) != rows[name]:
            return f"its {name} are {list(tensor.shape)}, but the index tells of {rows[name]} frames"
    if [made.latent_frames(frames) for frames in record["frames"]] != record["latent_frames"]:
        return "its shots are not as long as the index says"
    if checksum(tensors) != record["checksum"]:
        return f"its latents in {path} are not those that were written: the checksum differs"
    return None


def _orphans(folder: Path, shards: Shards) -> Iterator[tuple[str, str | None]]:
    """Files that no record names."""
    named: set[Any] = {record["shard"] for record in shards.records}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in named:
            yield str(path), "the index does not name it; it can be deleted"


def _waiting(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Encoded stories that were not put into shards."""
    waiting = len(list((folder / "work" / "latents").glob("*.safetensors")))
    if waiting:
        yield "work", f"{waiting} encoded stories are in no shard yet; the same prepare command goes on"


def read_rejected(folder: Path) -> list[dict[str, Any]]:
    """What was left out, and why."""
    path = folder / "rejected.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]
