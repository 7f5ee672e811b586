"""All stages from films to shards, each over all films; what an earlier run finished is taken as it is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from shotstream.data.film_shards import FilmSplit
from shotstream.data.films.artefacts import Artefacts
from shotstream.data.films.captioning import Captioner, caption_stories
from shotstream.data.films.film_input import FilmInput
from shotstream.data.films.filters import Duplicates
from shotstream.data.films.model import EncodingModel
from shotstream.data.films.scanning import ScannedFile, scan_files, unique
from shotstream.data.films.settings import FilmSettings
from shotstream.data.films.shots import shots_of
from shotstream.data.films.stories import FilmStory, Rejected, tell_stories
from shotstream.data.films.writing import StoryShards
from shotstream.machine.cluster import Cluster
from shotstream.media.files import write_text

REJECTED, SUMMARY = "rejected.jsonl", "summary.json"
_Item = TypeVar("_Item")


class Watch(Protocol):
    """Shows progress."""

    def __call__(self, items: Iterable[_Item], doing: str, total: int) -> Iterable[_Item]:
        """Give items on, and show how many of `total` there were."""
        ...


@dataclass
class PrepareSummary:
    """What a run found and did."""

    films: int = 0
    files: int = 0
    scanned: int = 0
    """Files that were scanned in this run; the others had been before."""
    hours: float = 0.0
    """Of all films that could be read."""
    shots: int = 0
    kept_shots: int = 0
    stories: dict[str, int] = field(default_factory=dict)
    """By split."""
    encoded: int = 0
    """Stories that were encoded in this run."""
    captioned: int = 0
    """Stories that were captioned in this run."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Shots by reason; of unreadable files, files."""
    agreement: dict[str, int] = field(default_factory=dict)
    """Cuts of PySceneDetect, of TransNetV2, and of both at the same place; empty without second opinion."""


def prepare(
    films: Sequence[FilmInput],
    output: Path,
    model: EncodingModel,
    settings: FilmSettings,
    *,
    captioner: Captioner | None = None,
    workers: int | None = 1,
    cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> PrepareSummary:
    """Make shards of films.

    Args:
        films: What there is.
        output: Gets ``train/`` and ``held-out/`` (shards), ``rejected.jsonl``, ``summary.json``,
            ``pictures/`` and ``work/``, in which unfinished work is kept.
        model: What encodes.
        settings: What is kept.
        captioner: Says what stories show of which nobody does; None leaves them out.
        workers: Processes that scan; None for as many as the cluster has room for.
        cluster: Scans, captions and encodes, if there is one: its machines see `output` and the films.
        watch: Shows progress.

    Raises:
        ValueError: If nothing is left to learn from; in one sentence, with the counts.
    """
    watch = watch or _unwatched
    artefacts, summary = Artefacts(output / "work"), PrepareSummary(films=len(films))
    files = unique(file for film in films for file in film.files)
    scans = scan_files(files, artefacts, settings.second_opinion, workers, cluster)
    scanned = {one.file: one for one in watch(scans, "looking at films", len(files))}
    _count_scans(list(scanned.values()), summary)
    stories, rejected = _tell_all(films, scanned, model, settings)
    summary.shots = sum(len(story.shots) for story in stories) + sum(one.shot is not None for one in rejected)
    if captioner is not None:
        silent = [story for story in stories if not story.captioned]
        told = watch(
            caption_stories(silent, captioner, artefacts, cluster), "captioning stories", len(silent)
        )
        by_story = {id(silent_story): captioned for silent_story, captioned in told}
        summary.captioned = sum(story.captioned for story in by_story.values())
        stories = [by_story.get(id(story), story) for story in stories]
    rejected += [
        Rejected("uncaptioned", shot.file, shot)
        for story in stories
        if not story.captioned
        for shot in story.shots
    ]
    stories = [story for story in stories if story.captioned]
    summary.rejected = dict(Counter(one.reason for one in rejected))
    summary.kept_shots = sum(len(story.shots) for story in stories)
    _write_rejected(output / REJECTED, rejected)
    if not stories:
        raise ValueError(f"No story is left to learn from: {reasons_in_words(summary.rejected)}.")
    parts = split_stories(stories, settings.held_out)
    for split, own in parts.items():
        keyed = [(story.key(model.made_with), story) for story in own]
        shards = StoryShards(output, split, keyed, artefacts, model)
        missing = len(shards.missing)
        for _ in watch(shards.write(cluster), f"encoding {split} stories", missing):
            summary.encoded += 1
        summary.stories[split] = len(own)
    write_text(output / SUMMARY, json.dumps(vars(summary), indent=2) + "\n")
    return summary


def _unwatched(items: Iterable[_Item], doing: str, total: int) -> Iterable[_Item]:
    return items


def split_stories(stories: Sequence[FilmStory], held_out: float) -> dict[FilmSplit, list[FilmStory]]:
    """Share stories among training and validation, by films, so that no film is in both.

    Films are held out in the order of their hashes until they have that part of the stories. A single film
    lends its last stories. There is always one to train on and, if there are two, one held out.
    """
    by_film: dict[str, list[FilmStory]] = {}
    for story in stories:
        by_film.setdefault(story.shots[0].digest, []).append(story)
    wanted = max(1, round(held_out * len(stories)))
    if len(stories) == 1:
        return {"train": list(stories), "held-out": list(stories)}
    if len(by_film) == 1:
        return {"train": list(stories[:-wanted]), "held-out": list(stories[-wanted:])}
    order = sorted(by_film, key=lambda film: hashlib.sha256(film.encode()).hexdigest())
    chosen: set[str] = set()
    for film in order[:-1]:
        if sum(len(by_film[one]) for one in chosen) >= wanted:
            break
        chosen.add(film)
    return {
        "train": [story for story in stories if story.shots[0].digest not in chosen],
        "held-out": [story for story in stories if story.shots[0].digest in chosen],
    }


def reasons_in_words(rejected: dict[str, int]) -> str:
    """Counts of reasons as text."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items())) or "nothing was found"


def _count_scans(scans: Sequence[ScannedFile], summary: PrepareSummary) -> None:
    summary.files = len(scans)
    summary.scanned = sum(one.new for one in scans)
    summary.hours = round(sum(one.read().end for one in scans if one.facts) / 3600, 4)
    agreed: Counter[str] = Counter()
    for one in scans:
        agreed.update(one.agreement or {})
    summary.agreement = dict(agreed)


def _tell_all(
    films: Sequence[FilmInput],
    scanned: dict[Path, ScannedFile],
    model: EncodingModel,
    settings: FilmSettings,
) -> tuple[list[FilmStory], list[Rejected]]:
    stories: list[FilmStory] = []
    rejected: list[Rejected] = []
    duplicates = Duplicates(settings.duplicate_bits)
    for film in films:
        own = [scanned[file] for file in film.files]
        bad = [one for one in own if one.facts is None]
        if bad:
            rejected += [Rejected("unreadable", str(one.file), detail=one.error) for one in bad]
            continue
        seen = [(one.facts, one.read()) for one in own if one.facts is not None]
        digests = [one.digest for one in own]
        shots = shots_of(film, seen, digests, model.format.fps, settings.black_level)
        made, left = tell_stories(film, shots, settings, model.format, duplicates)
        stories += made
        rejected += left
    return stories, rejected


def _write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    def lines() -> Iterator[str]:
        for one in rejected:
            values: dict[str, Any] = {"reason": one.reason, "file": one.file, "detail": one.detail}
            if one.shot is not None:
                values |= one.shot.model_dump(include={"number", "start", "end", "frames"})
            yield json.dumps(values, ensure_ascii=False) + "\n"

    write_text(path, "".join(lines()))
