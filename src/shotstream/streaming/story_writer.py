"""Tells a story into a folder, and goes on with what an earlier run has left there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from shotstream.media.story_folder import StoryFolder
from shotstream.story import Shot, Story
from shotstream.streaming.best_take import ONE_TAKE, TakeChoice, TakeMeter, TakeRule
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.pace import Pace
from shotstream.streaming.pipeline import ShotStreamPipeline


class StoryWriter:
    """Has a pipeline tell a story, and writes it.

    ::

        with StoryFolder(Path("out/fox"), story) as folder:
            for chunk in StoryWriter(pipeline, story, folder).chunks():
                show(chunk.frames)  # its latents are on the disk, and the shot's film if chunk.last

    Args:
        pipeline: The model. A folder that was begun by another model, or other settings, than its
            ``made_with`` tells will not be the film of either.
        story: The story, all of it.
        folder: The open folder; it says which shots are written.
        decoder: "full", or "tiny" to be given frames of the tiny decoder. Files have the full one's.
        meter: Measures takes, where the best of several is to stand for every shot; None makes one of each.
        rule: How many are made, with a meter.
        on_take: Is shown every chunk of a take that may be chosen, which may be one that is known.

    Raises:
        ValueError: If the model cannot tell the story, such as in pictures of its size.
    """

    def __init__(
        self,
        pipeline: ShotStreamPipeline,
        story: Story,
        folder: StoryFolder,
        decoder: str = "full",
        *,
        meter: TakeMeter | None = None,
        rule: TakeRule = ONE_TAKE,
        on_take: Callable[[Chunk], None] = lambda chunk: None,
    ) -> None:
        self.pace = Pace()
        self.story_frames = sum(_frames(pipeline, shot) for shot in story.shots[: folder.last])
        """How many frames are made, those of shots that are not written included."""
        self.frames_left = self.story_frames
        self._folder = folder
        self._known_chunks: dict[int, int] = {}
        self._waiting: list[Chunk] = []
        self._on_take = on_take
        self._stream = pipeline.stream(
            story,
            shots=(0, folder.last - 1),
            decoder=decoder,
            known=self._known,
            choice=TakeChoice(meter, rule, self) if meter else None,
        )

    def chunks(self) -> Generator[Chunk, None, None]:
        """Yield every chunk when it is kept, those that an earlier run made too; none of a whole film.

        Closing it writes the frames that are there in full quality, and waits for no others.

        Raises:
            FullFramesError: If the full decoder fails.
            MediaError: If a file cannot be written; what was kept until then stays.
        """
        waiting = self._waiting
        if self._folder.whole:
            return
        try:
            for chunk in self.pace.watch(self._stream, self.is_new):
                if self.is_new(chunk):
                    self._folder.keep(chunk)
                waiting.append(chunk)
                chunk.request_full()
                if chunk.last or chunk.full is None:
                    self.pace.wait(waiting)
                    self._write()
                self.frames_left -= len(chunk.frames)
                yield chunk
        except (GeneratorExit, KeyboardInterrupt):
            self._write()
            self.pace.frames -= sum(len(chunk.frames) for chunk in waiting)
            raise
        finally:
            for chunk in waiting:
                if chunk.full is not None:
                    chunk.full.cancel()  # or leaving would wait for it
            self._folder.facts |= self.pace.facts()

    def is_new(self, chunk: Chunk) -> bool:
        """Whether this run made the chunk."""
        return chunk.index >= self._known_chunks[chunk.shot]

    # ---- the best of several takes, see `TakeKeeper` ----

    def chosen_take(self, place: int) -> int | None:
        """The take that was chosen for a shot, from 0; None if none was."""
        return self._folder.chosen_take(place)

    def known_take(self, place: int, take: int) -> list[Tensor]:
        """Latents of a take that an earlier run made."""
        return [torch.from_numpy(array) for array in self._folder.takes_of(place).read(take)]

    def keep_take(self, chunk: Chunk) -> None:
        """Keep a chunk of a take that may be chosen."""
        self._folder.keep_take(chunk)
        self._on_take(chunk)

    def choose_take(self, place: int, report: Mapping[str, Any]) -> None:
        """Note which take was chosen, and how all were measured."""
        self._folder.choose_take(place, report)

    def _known(self, shot: int) -> list[Tensor]:
        latents = [torch.from_numpy(array) for array in self._folder.known(shot)]
        self._known_chunks[shot] = len(latents)
        return latents

    def _write(self) -> None:
        """Write the chunks that are there in full quality, in their order."""
        while self._waiting and self._waiting[0].ready:
            chunk = self._waiting.pop(0)
            self._folder.add(replace(chunk, frames=chunk.full_frames()))


def _frames(pipeline: ShotStreamPipeline, shot: Shot) -> int:
    """How many frames a shot will have."""
    timing = pipeline.timing
    chunks = shot.chunks or (timing.chunks(shot.seconds) if shot.seconds else None)
    return timing.frames(chunks or int(pipeline.transformer.config["window_chunks"]))
