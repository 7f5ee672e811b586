"""Tells a story into a folder, and goes on with what an earlier run has left there."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import torch
from torch import Tensor

from shotstream.media.story_folder import StoryFolder
from shotstream.story import Shot, Story
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

    Raises:
        ValueError: If the model cannot tell the story, such as in pictures of its size.
    """

    def __init__(
        self, pipeline: ShotStreamPipeline, story: Story, folder: StoryFolder, decoder: str = "full"
    ) -> None:
        self.pace = Pace()
        self.story_frames = sum(_frames(pipeline, shot) for shot in story.shots[: folder.last])
        """How many frames are made, those of shots that are not written included."""
        self.frames_left = self.story_frames
        self._folder = folder
        self._known_chunks: dict[int, int] = {}
        self._waiting: list[Chunk] = []
        self._stream = pipeline.stream(
            story,
            shots=(0, folder.last - 1),
            decoder=decoder,
            known=self._known,
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
