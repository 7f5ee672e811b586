"""The folder a story is written to while it is being generated: whatever ends that, nothing made is lost."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from shotstream.media.files import DiskFull, claimed, clear_parts, write_errors, write_text
from shotstream.media.joining import join_films
from shotstream.media.latents import LatentFolder
from shotstream.media.pictures import write_png
from shotstream.media.sheet import find_sheets, write_sheets
from shotstream.media.sounds import PlacedFile, mix_sounds
from shotstream.media.story_difference import differences
from shotstream.media.video import VideoWriter
from shotstream.story import Story, shown_frames

_FILM_HEIGHT = 384  # pixels that automatic enlargement stays below, so that a small model fills a screen
_SHEET_WIDTH = 288  # the same for the width of a picture on the contact sheet
_SHOT_BYTES = 2 * 2**20  # room that must be there for every shot before it is begun; most need less
_SHOT_NAME = re.compile(r"[0-9]{2,}\.mp4")


class FilmChunk(Protocol):
    """What is needed of a chunk; `shotstream.Chunk` has it."""

    @property
    def frames(self) -> np.ndarray:
        """Pictures, ``uint8 [T, H, W, 3]``."""
        ...

    @property
    def shot(self) -> int:
        """Number of the shot, from 0."""
        ...

    @property
    def take(self) -> int:
        """Number of the take, from 0."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the take."""
        ...

    @property
    def index(self) -> int:
        """Number of the chunk in the shot, from 0."""
        ...

    @property
    def last(self) -> bool:
        """Whether the shot ends here."""
        ...

    @property
    def prompt(self) -> str:
        """Prompt of the shot."""
        ...

    @property
    def latents(self) -> Any:
        """The clean latents behind the frames, ``float32 [1, F, C, h, w]`` on the CPU."""
        ...

    @property
    def adapters(self) -> Sequence[NamedTuple]:
        """LoRAs it was made with."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent, by name."""
        ...


class OtherStoryError(ValueError):
    """There is something else in the folder than what is to be written; the message says what."""


class StoryFolder:
    """``story.mp4``, ``shots/NN.mp4``, ``contact_sheet.png`` and ``story.json`` of one story that is told.

    ::

        with StoryFolder(Path("out/fox"), story) as folder:  # claims the folder, and sees whether it will do
            for chunk in ...:
                folder.keep(chunk)  # its latents, before anything else
                folder.add(chunk)  # its frames

    A shot is on the disk, and in story.json, when `add` returns from its last chunk. ``latents/`` has what
    the film can be made from again. When the block ends, also by ``KeyboardInterrupt``, the running shot's
    film is closed (left out if that came inside a frame), and the shots are joined. Any other exception
    leaves the finished shots. ``latents/`` stays until all shots are finished; until then the same story goes
    on from it: see `finished` and `known`.

    Args:
        folder: Where to write; made if missing.
        story: All of the story.
        made_with: What else decides how the film looks, for JSON: model, seed, settings.
        shots: First and last shot to be written, from 1; all if None.
        film_height: Pixels, even, of the films; None enlarges small pictures by a whole number.
        overwrite: Replace another story, or this one, when the first chunk comes.
    """

    def __init__(
        self,
        folder: Path,
        story: Story,
        made_with: Mapping[str, Any] | None = None,
        *,
        shots: tuple[int, int] | None = None,
        film_height: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {"title": story.title, "setting": story.setting, "seed": story.seed}
        """Goes into story.json before the shots, such as speed and hashes."""
        self.shots: list[dict[str, Any]] = []
        """What was made: shot (from 1), film, prompt, seed, take, frames, whether complete, its chunks."""
        self.finished: dict[int, dict[str, Any]] = {}
        """Shots (from 1) that an earlier run finished: what it wrote into `shots`."""
        self.latents = LatentFolder(folder / "latents")
        self.goes_on = False
        """Whether an earlier run began this film."""
        self.whole = False
        """Whether the whole film is there already."""
        self.first, self.last = shots or (1, len(story.shots))
        self.first_picture = folder / "first_frame.png"
        """Written with the first chunk."""
        self._asked = as_asked(story, made_with, (self.first, self.last), film_height)
        self._digits = max(2, len(str(len(story.shots))))
        self._film_height = film_height
        self._overwrite = overwrite
        self._begun = False
        self._points = [(shot.in_frame or 0, shot.out_frame) for shot in story.shots]
        self._sounds = [PlacedFile(Path(one.sound), one.offset_seconds, one.gain_db) for one in story.sounds]
        self._fps = 0.0
        self._stills: dict[int, list[np.ndarray]] = {}
        self._running: _RunningShot | None = None
        self._claim = ExitStack()
        self._files = ExitStack()  # holds the film of the running shot

    def __enter__(self) -> Self:
        """Claim the folder and look into it.

        Raises:
            DiskFull: If there is no room in it.
            MediaError: If it cannot be written, or another process writes into it.
            OtherStoryError: If another story is in it.
        """
        with ExitStack() as claim:
            claim.enter_context(claimed(self.folder))
            for place in (self.folder, self.folder / "shots", self.latents.folder, *self._takes_folders()):
                clear_parts(place)
            self._look()
            if not self.whole:
                self._check_room()
            self._claim = claim.pop_all()
        return self

    def known(self, shot: int) -> list[np.ndarray]:
        """Latents of the chunks of a shot (from 0) that an earlier run made, from the first one on."""
        return self.latents.read(shot) if self._begun else []

    def takes_of(self, shot: int) -> LatentFolder:
        """Latents of the takes of a shot (from 0) of which none is chosen yet; a take stands for a shot."""
        return LatentFolder(self.latents.folder / f"takes-of-{shot + 1:04d}")

    def keep_take(self, chunk: FilmChunk) -> None:
        """Write the latents of a chunk of a take that may be chosen.

        Raises:
            MediaError: If the file cannot be written.
        """
        self._begin()
        self.takes_of(chunk.shot).keep(chunk.take, chunk.index, np.asarray(chunk.latents))

    def choose_take(self, shot: int, report: Mapping[str, Any]) -> None:
        """Have story.json tell which take of a shot (from 0) stands, and how all of them were measured.

        Raises:
            MediaError: If it cannot be written.
        """
        takes = self.takes_of(shot)
        for index, latents in enumerate(takes.read(report["chosen"])):
            self.latents.keep(shot, index, latents)
        others = [entry for entry in self.facts.get("takes", ()) if entry["shot"] != shot + 1]
        self.facts["takes"] = [*others, {"shot": shot + 1, **report}]
        self._write_record(complete=False)
        takes.remove()

    def chosen_take(self, shot: int) -> int | None:
        """The take of a shot (from 0) that was chosen, by this run or an earlier one; None if none was."""
        chosen = [entry["chosen"] for entry in self.facts.get("takes", ()) if entry["shot"] == shot + 1]
        return chosen[0] if chosen and self._begun else None

    def keep(self, chunk: FilmChunk) -> None:
        """Write a chunk's latents, and the first picture of all.

        Raises:
            ImportError: If Pillow is not installed.
            MediaError: If a file cannot be written.
        """
        self._begin()
        self.latents.keep(chunk.shot, chunk.index, np.asarray(chunk.latents))
        if chunk.shot + 1 >= self.first and not self.first_picture.exists():
            write_png(self.first_picture, chunk.frames[0])

    def add(self, chunk: FilmChunk) -> None:
        """Write a chunk's frames, as far as the film shows them.

        Those of shots before the first that is wanted are left out.

        Raises:
            ImportError: If PyAV or Pillow is not installed.
            MediaError: If a file cannot be written.
        """
        self._begin()
        if chunk.shot + 1 < self.first:
            return
        running = self._running
        if running is None or running.record["shot"] != chunk.shot + 1:
            running = self._open_shot(chunk)
        frames = self._shown(chunk, running)
        running.pictures.extend(frames)
        if running.film is not None:
            if len(frames):
                running.film.write(frames)
            seconds = {name: round(value, 4) for name, value in chunk.seconds.items()}
            running.record["chunks"].append({"frames": len(chunk.frames), "seconds": seconds})
        if chunk.last:
            self._close_shot(complete=True)
            self._write_record(complete=False)

    def _shown(self, chunk: FilmChunk, running: _RunningShot) -> np.ndarray:
        """The frames of a chunk that the film shows; at least the last one of a shot."""
        first = running.frames_made
        running.frames_made += len(chunk.frames)
        shown = shown_frames(running.frames_made, *self._points[chunk.shot])
        if shown.start < self._points[chunk.shot][0] and not chunk.last:
            return chunk.frames[:0]
        return chunk.frames[max(shown.start - first, 0) : max(shown.stop - first, 0)]

    def __exit__(self, kind: type[BaseException] | None, *exception: Any) -> None:
        with self._claim:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._finish()
            else:
                self._files.__exit__(kind, *exception)

    def _takes_folders(self) -> list[Path]:
        return sorted(self.latents.folder.glob("takes-of-*"))

    def _look(self) -> None:
        """Find out what an earlier run left."""
        record = read_record(self.folder)
        if self._overwrite or not (record or any(_written(self.folder))):
            return
        refuse_other(self.folder, self._asked)
        assert record is not None
        self._begun = self.goes_on = True
        self.whole = record["complete"]
        shots = [shot for shot in record["shots"] if shot["complete"]]
        self.finished = {shot["shot"]: shot for shot in shots if (self.folder / shot["film"]).is_file()}
        self.facts = {
            name: value for name, value in record.items() if name not in ("shots", "complete", "asked")
        }
        if self.whole:
            self.latents.remove()

    def _check_room(self) -> None:
        wanted = (self.last - len(self.finished)) * _SHOT_BYTES
        with write_errors(self.folder):
            free = shutil.disk_usage(self.folder).free
        if free < wanted:
            raise DiskFull(
                f"The disk of {self.folder} has {free >> 20} MiB free, and the story may need "
                f"{wanted >> 20}; free some space or choose another folder."
            )

    def _begin(self) -> None:
        """Make the folder that of this story, before anything is written."""
        if self._begun:
            return
        with write_errors(self.folder):
            for path in [self.folder / "story.json", *_written(self.folder)]:
                path.unlink(missing_ok=True)
            for place in self._takes_folders():
                LatentFolder(place).remove()
            self.latents.remove()
        self._begun = True
        self._write_record(complete=False)

    def _open_shot(self, chunk: FilmChunk) -> _RunningShot:
        self._close_shot(complete=False)
        self._fps, number = chunk.fps, chunk.shot + 1
        if number in self.finished:
            self._running = _RunningShot(self.finished[number], None)
            return self._running
        name = f"shots/{number:0{self._digits}d}.mp4"
        height = self._film_height or _enlarged(chunk.frames.shape[1])
        film = self._files.enter_context(VideoWriter(self.folder / name, chunk.fps, height))
        facts = {"prompt": chunk.prompt, "seed": chunk.seed, "take": chunk.take}
        facts |= {"lora": [adapter._asdict() for adapter in chunk.adapters]}
        self._running = _RunningShot({"shot": number, "film": name, **facts, "chunks": []}, film)
        return self._running

    def _close_shot(self, *, complete: bool) -> None:
        """Close the film of the running shot, and keep three of its pictures for the contact sheet."""
        running, self._running = self._running, None
        film = running and running.film
        if running is None or (film and not (film.intact and film.frames_written)):
            self._files.__exit__(KeyboardInterrupt, None, None)  # removes the film: its latents are kept
            return
        self._files.close()
        if film:
            running.record |= {"frames": film.frames_written, "complete": complete}
        pictures = running.pictures
        self._stills[running.record["shot"]] = [pictures[0], pictures[len(pictures) // 2], pictures[-1]]
        self.shots.append(running.record)

    def _mix(self, shots: Sequence[Mapping[str, Any]]) -> Iterator[np.ndarray] | None:
        """What is heard with the joined film; nothing where that begins in the middle of the story."""
        if not self._sounds or self.first > 1:
            return None
        return mix_sounds(self._sounds, sum(shot["frames"] for shot in shots) / self._fps)

    def _finish(self) -> None:
        self._close_shot(complete=False)
        shots = self._known_shots()
        if not self.shots:
            return
        join_films(
            [self.folder / shot["film"] for shot in shots], self.folder / "story.mp4", self._mix(shots)
        )
        if all(shot["shot"] in self._stills for shot in shots):  # else it stopped before the earlier run did
            rows = [self._stills[shot["shot"]] for shot in shots]
            prompts = [[f"{shot['shot']}. {shot['prompt']}"] for shot in shots]
            scale = max(1, round(_SHEET_WIDTH / rows[0][0].shape[1]))
            write_sheets(self.folder / "contact_sheet.png", rows, prompts, scale)
        complete = len(self.shots) == self.last - self.first + 1 and all(shot["complete"] for shot in shots)
        self._write_record(complete=complete)
        if complete:
            self.latents.remove()

    def _write_record(self, *, complete: bool) -> None:
        told = {"complete": complete, "asked": self._asked, "shots": self._known_shots()}
        record = json.dumps(self.facts | told, indent=2, ensure_ascii=False)
        write_text(self.folder / "story.json", record + "\n")

    def _known_shots(self) -> list[dict[str, Any]]:
        """The shots of this run and, where it has not come that far yet, of the earlier one."""
        return [
            shot for _, shot in sorted((self.finished | {shot["shot"]: shot for shot in self.shots}).items())
        ]


@dataclass
class _RunningShot:
    """The shot that chunks are added to."""

    record: dict[str, Any]
    """What story.json will tell of it."""
    film: VideoWriter | None
    """None if an earlier run finished it."""
    pictures: list[np.ndarray] = field(default_factory=list)
    """The frames that the film shows."""
    frames_made: int = 0
    """How many came, those that the film does not show included."""


def choose_folder(place: Path, story: Story, made_with: Mapping[str, Any], **settings: Any) -> Path:
    """The first of ``place``, ``place-2``, ``place-3``, ... that is free or holds this very story.

    Args:
        place: The wanted folder.
        story: As for `StoryFolder`, like the rest.
        made_with: What else decides how the film looks.
        **settings: ``shots`` and ``film_height``.
    """
    shots = settings.get("shots") or (1, len(story.shots))
    asked = as_asked(story, made_with, shots, settings.get("film_height"))
    candidates = (place if number == 1 else place.with_name(f"{place.name}-{number}") for number in count(1))
    for candidate in candidates:
        record = read_record(candidate)
        if record.get("asked") == asked if record else not any(_written(candidate)):
            return candidate
    raise AssertionError("there are always more numbers")


def refuse_other(folder: Path, asked: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another film than the one that is asked for.

    Args:
        folder: The folder, which need not exist.
        asked: What `as_asked` returned, or a part of it: the rest is not compared.

    Raises:
        OtherStoryError: In words, with every difference.
    """
    record = read_record(folder)
    there = (record or {}).get("asked")
    if there is None and not any(_written(folder)):
        return
    if not isinstance(there, dict):
        what = "films that no story.json of this version tells of. "
    elif lines := differences(there, asked):
        what = "\n  ".join(["another film than the one that is asked for:", *lines]) + "\n"
    else:
        return
    raise OtherStoryError(
        f"{folder} holds {what}Choose another folder (-o), or give --overwrite to lose what is there."
    )


def as_asked(
    story: Story, made_with: Mapping[str, Any] | None, shots: tuple[int, int], film_height: int | None
) -> dict[str, Any]:
    """All that decides how a film looks, as JSON gives it back: two tellings that agree in it are one."""
    told = story.model_dump(exclude={"title"}, exclude_none=True)
    if not story.sounds:  # folders of older versions do not know them
        del told["sounds"]
    told = {"story": told, "shots": shots, "film_height": film_height, **(made_with or {})}
    return json.loads(json.dumps(told))


def read_record(folder: Path) -> dict[str, Any] | None:
    """What story.json of a folder tells; None if there is none that this version can read."""
    with suppress(OSError, ValueError):
        record = json.loads((folder / "story.json").read_text(encoding="utf-8"))
        if isinstance(record, dict) and {"complete", "asked", "shots"} <= record.keys():
            return record
    return None


def _written(folder: Path) -> Iterator[Path]:
    """Files of a story in a folder, whichever it is, but for latents."""
    names = ("story.json", "story.mp4", "first_frame.png")
    yield from (path for name in names if (path := folder / name).exists())
    yield from find_sheets(folder / "contact_sheet.png")
    if (folder / "shots").is_dir():
        yield from (path for path in (folder / "shots").iterdir() if _SHOT_NAME.fullmatch(path.name))


def _enlarged(height: int) -> int:
    """Height of the film where nobody asked for one: the pictures', as many times as fit."""
    return (height + height % 2) * max(1, _FILM_HEIGHT // height)
