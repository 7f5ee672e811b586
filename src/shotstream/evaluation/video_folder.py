"""Films made elsewhere or earlier: folders of video files, one file per shot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from shotstream.evaluation.judged_film import Film
from shotstream.media.video import read_video
from shotstream.story import Story
from shotstream.world.judge import QUESTIONS, true_answers

RECORDS = ("story.json", "story.yaml", "attributes.json")
"""What may lie beside the clips and say more of them."""


def find_films(folder: Path) -> list[Path]:
    """Return the folders of films: `folder` itself if clips are in it, else those inside with clips.

    Raises:
        ValueError: If there is no such folder, or no clip.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one with .mp4 clips, or with folders of them.")
    inside = [folder] if _clips(folder) else sorted(path for path in folder.iterdir() if path.is_dir())
    films = [path for path in inside if _clips(path)]
    if not films:
        raise ValueError(f"neither {folder} nor a folder in it holds .mp4 clips; give one that does.")
    return films


def read_folder(folder: Path) -> Film:
    """Read a film.

    It is what `shotstream generate` wrote (``story.json`` and ``shots/NN.mp4``), or any folder of ``.mp4``
    clips, taken in the order of their names as its shots. Beside such clips there may be the ``story.yaml``
    that they were made from, and ``attributes.json``, as `shotstream world render` writes them.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If a file is missing, cannot be read or does not fit the others.
    """
    if (folder / "shots").is_dir() and (folder / "story.json").is_file():
        return _read_generated(folder)
    clips = _clips(folder)
    if not clips:
        raise ValueError(f"{folder} holds no .mp4 clips; give a folder that does.")
    attributes = _read_attributes(folder / "attributes.json")
    words: dict[str, Any] = {"prompts": [""] * len(clips)}
    if attributes:
        prompts = [shot["prompt"] for shot in attributes["shots"]]
        words = {"setting": attributes["setting"], "seed": attributes["seed"], "prompts": prompts}
    elif (folder / "story.yaml").is_file():
        story = Story.read(folder / "story.yaml")
        words = {"setting": story.setting, "seed": story.seed, "prompts": [s.prompt for s in story.shots]}
    return _film(folder, clips, attributes=attributes, **words)


def content_key(folder: Path) -> str:
    """SHA-256, in hexadecimal, of everything that `read_folder` reads."""
    digest = hashlib.sha256()
    for path in [*_clips(folder), *(folder / name for name in RECORDS if (folder / name).is_file())]:
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def knows_the_world(folder: Path) -> bool:
    """Whether it is written beside the clips what is to be seen in them."""
    return (folder / "attributes.json").is_file()


def _read_generated(folder: Path) -> Film:
    path = folder / "story.json"
    record = _read_json(path)
    try:
        clips = [folder / "shots" / f"{shot['shot']:02d}.mp4" for shot in record["shots"]]
        prompts = [str(shot["prompt"]) for shot in record["shots"]]
        setting, seed = record.get("setting") or "", record.get("seed")
        speed, first_frame = record.get("frames_per_second"), record.get("first_frame_seconds")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not what `shotstream generate` writes ({type(error).__name__}: {error}); "
            "remove it to have the clips judged without it."
        ) from error
    attributes = _read_attributes(folder / "attributes.json")
    film = _film(folder, clips, prompts=prompts, setting=setting, seed=seed, attributes=attributes)
    if not speed:
        return film
    times = {"first_frame_seconds": first_frame, "generating_seconds": film.frames / speed}
    return Film(**vars(film) | times)


def _film(folder: Path, clips: list[Path], **facts: Any) -> Film:
    lacking = next((clip for clip in clips if not clip.is_file()), None)
    if lacking:
        raise ValueError(f"{lacking} is missing, which {folder / 'story.json'} tells of; generate it again.")
    read = [read_video(clip) for clip in clips]
    rates = sorted({round(fps, 3) for _, fps in read})
    if len(rates) > 1:
        raise ValueError(
            f"the clips in {folder} have {rates[0]:g} and {rates[-1]:g} frames per second; make them alike."
        )
    try:
        return Film(shots=[frames for frames, _ in read], fps=read[0][1], **facts)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _read_attributes(path: Path) -> dict[str, Any] | None:
    """Attributes of a story of the story world, if the file is there."""
    if not path.is_file():
        return None
    attributes = _read_json(path)
    try:
        for shot in range(len(attributes["shots"])):
            for question, answer in true_answers(attributes, shot).items():
                QUESTIONS[question].index(answer)
        _ = attributes["setting"], attributes["seed"], [shot["prompt"] for shot in attributes["shots"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not tell a story of the story world ({type(error).__name__}: {error}); "
            "write it with `shotstream world render`, or remove it."
        ) from error
    return attributes


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); write it anew, or remove it.") from error


def _clips(folder: Path) -> list[Path]:
    """Clips in ``shots/``, else in the folder itself; files that begin with a dot are unfinished."""
    inside = folder / "shots"
    places = [inside, folder] if inside.is_dir() else [folder]
    for place in places:
        clips = sorted(path for path in place.glob("*.mp4") if not path.name.startswith("."))
        if clips:
            return clips
    return []
