"""The folder a story is written to while it is being generated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from shotstream.media.files import write_text
from shotstream.media.pictures import write_png
from shotstream.media.sheet import contact_sheet
from shotstream.media.video import VideoWriter

_FILM_HEIGHT = 384  # pixels that automatic enlargement stays below, so that a small model fills a screen
_SHEET_WIDTH = 288  # the same for the width of a picture on the contact sheet


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
    def last(self) -> bool:
        """Whether the shot ends here."""
        ...

    @property
    def prompt(self) -> str:
        """Prompt of the shot."""
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


class StoryFolder:
    """``story.mp4``, ``shots/NN.mp4``, ``contact_sheet.png`` and ``story.json`` of one generation.

    Use as a context manager and `add` every chunk as it comes. The videos grow with every chunk; all files
    take their names when they are whole. An exception inside the block leaves finished shots only; to keep
    everything made so far after Ctrl-C, catch ``KeyboardInterrupt`` inside the block.

    Args:
        folder: Where to write; made if missing.
        scale: Whole-number enlargement of the videos; None chooses it from the size of the frames.
    """

    def __init__(self, folder: Path, scale: int | None = None) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}
        """Goes into story.json before the shots: model, weights, seed, version, speed."""
        self.shots: list[dict[str, Any]] = []
        """What was made: shot (from 1), prompt, seed, take, LoRAs, frames, whether complete, times."""
        self._scale = scale
        self._rows: list[list[np.ndarray]] = []
        self._running: list[np.ndarray] = []
        self._files = ExitStack()
        self._reel = ExitStack()  # holds the video of the running shot

    def __enter__(self) -> Self:
        return self

    def add(self, chunk: FilmChunk) -> None:
        """Write a chunk.

        Raises:
            ImportError: If PyAV or Pillow is not installed.
            MediaError: If a file cannot be written.
        """
        if not self.shots or self.shots[-1]["shot"] != chunk.shot + 1:
            self._open_shot(chunk)
        for writer in self._writers:
            writer.write(chunk.frames)
        self._running.extend(chunk.frames)
        shot = self.shots[-1]
        shot["frames"] += len(chunk.frames)
        shot["complete"] = chunk.last
        seconds = {name: round(value, 4) for name, value in chunk.seconds.items()}
        shot["chunks"].append({"frames": len(chunk.frames), "seconds": seconds})

    def __exit__(self, *exception: Any) -> None:
        self._files.__exit__(*exception)
        if exception[0] is not None or not self.shots:
            return
        self._keep_stills()
        prompts = [[f"{shot['shot']}. {shot['prompt']}"] for shot in self.shots]
        scale = max(1, round(_SHEET_WIDTH / self._rows[0][0].shape[1]))
        write_png(self.folder / "contact_sheet.png", contact_sheet(self._rows, prompts, scale))
        record = json.dumps(self.facts | {"shots": self.shots}, indent=2, ensure_ascii=False)
        write_text(self.folder / "story.json", record + "\n")

    def _open_shot(self, chunk: FilmChunk) -> None:
        scale = self._scale or max(1, _FILM_HEIGHT // chunk.frames.shape[1])
        if self.shots:
            self._reel.close()
            self._keep_stills()
        else:
            self._story = self._files.enter_context(VideoWriter(self.folder / "story.mp4", chunk.fps, scale))
            self._files.push(self._reel)
        reel = VideoWriter(self.folder / "shots" / f"{chunk.shot + 1:02d}.mp4", chunk.fps, scale)
        self._writers = [self._story, self._reel.enter_context(reel)]
        self.shots.append(
            {
                "shot": chunk.shot + 1,
                "prompt": chunk.prompt,
                "seed": chunk.seed,
                "take": chunk.take,
                "lora": [adapter._asdict() for adapter in chunk.adapters],
                "frames": 0,
                "chunks": [],
            }
        )

    def _keep_stills(self) -> None:
        frames = self._running
        self._rows.append([frames[0], frames[len(frames) // 2], frames[-1]])
        self._running = []
