"""Films made elsewhere or earlier: video files, and folders with one file per shot."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from shotstream.evaluation.judged_film import Film
from shotstream.media.video import read_video
from shotstream.story import Story
from shotstream.world.judge import QUESTIONS, true_answers
from shotstream.world.told_attributes import told_attributes

RECORDS = ("story.json", "story.yaml", "attributes.json")
"""What may lie beside the clips and say more of them."""
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif")
"""Names of video files end so, in any case."""
_KNOWN = ", ".join(f"*{suffix}" for suffix in SUFFIXES)


def find_films(path: Path) -> list[Path]:
    """Return the films: a video file, or a folder itself if clips are in it, else those inside with clips.

    Raises:
        ValueError: If there is no such file or folder, or no clip.
    """
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is no video file ({_KNOWN}); give one, or a folder of them.")
        return [path]
    if not path.is_dir():
        raise ValueError(
            f"there is no folder {path}; give a video file, a folder of them, or of such folders."
        )
    inside = [path] if _clips(path) else sorted(place for place in path.iterdir() if place.is_dir())
    films = [place for place in inside if _clips(place)]
    if not films:
        raise ValueError(
            f"neither {path} nor a folder in it holds video files ({_KNOWN}); give one that does."
        )
    return films


def read_film(place: Path) -> Film:
    """Read a film.

    It is a video file as one shot, what `shotstream generate` wrote (``story.json`` and ``shots/NN.mp4``), or
    any folder of video files, taken in the order of their names as its shots (2 before 10). Beside such files
    there may be the ``story.yaml`` that they were made from, and ``attributes.json``, as
    `shotstream world render` writes them. Where captions are of the drawn world, they tell its attributes.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If a file is missing, cannot be read or does not fit the others.
    """
    if place.is_file():
        return _film(place, [place], prompts=[""])
    clips, words = _describe(place)
    speed, first_frame = words.pop("speed", None), words.pop("first_frame", None)
    film = _film(place, clips, **words)
    if not speed:
        return film
    times = {"first_frame_seconds": first_frame, "generating_seconds": film.frames / speed}
    return Film(**vars(film) | times)


def content_key(place: Path) -> str:
    """SHA-256, in hexadecimal, of everything that `read_film` reads."""
    digest = hashlib.sha256()
    files = [place]
    if place.is_dir():
        files = [*_clips(place), *(place / name for name in RECORDS if (place / name).is_file())]
    for path in files:
        digest.update(path.relative_to(place).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def knows_the_world(place: Path) -> bool:
    """Whether it is known what of the drawn world is to be seen in a film."""
    return place.is_dir() and _describe(place)[1].get("attributes") is not None


def _describe(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """The clips of a film, and what is known of them: the fields of `Film`, and how fast it was made."""
    attributes = _read_attributes(folder / "attributes.json")
    if (folder / "shots").is_dir() and (folder / "story.json").is_file():
        clips, words = _read_generated(folder)
    else:
        clips = _clips(folder)
        if not clips:
            raise ValueError(f"{folder} holds no video files ({_KNOWN}); give a folder that does.")
        words: dict[str, Any] = {"prompts": [""] * len(clips)}
        if attributes:
            prompts = [shot["prompt"] for shot in attributes["shots"]]
            words = {"setting": attributes["setting"], "seed": attributes["seed"], "prompts": prompts}
        elif (folder / "story.yaml").is_file():
            story = Story.read(folder / "story.yaml")
            words = {"setting": story.setting, "seed": story.seed, "prompts": [s.prompt for s in story.shots]}
    attributes = attributes or told_attributes(str(words.get("setting", "")), words["prompts"])
    return clips, words | {"attributes": attributes}


def _read_generated(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    path = folder / "story.json"
    record = _read_json(path)
    try:
        clips = [folder / shot.get("film", f"shots/{shot['shot']:02d}.mp4") for shot in record["shots"]]
        return clips, {
            "prompts": [str(shot["prompt"]) for shot in record["shots"]],
            "setting": record.get("setting") or "",
            "seed": record.get("seed"),
            "speed": record.get("frames_per_second"),
            "first_frame": record.get("first_frame_seconds"),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not what `shotstream generate` writes ({type(error).__name__}: {error}); "
            "remove it to have the clips judged without it."
        ) from error


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
        clips = [path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        if clips:
            return sorted((path for path in clips if path.is_file()), key=_by_number)
    return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """The parts of a name, numbers as numbers: 2 comes before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
