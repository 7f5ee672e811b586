"""A film to be judged, and where it comes from: told by a model, drawn, or (`clips`) read from files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shotstream.evaluation.frames import check_frames
from shotstream.story import Story
from shotstream.world.sampler import WorldStory
from shotstream.world.scene import draw_shot

if TYPE_CHECKING:
    from shotstream.streaming.chunk import Chunk
    from shotstream.streaming.pipeline import ShotStreamPipeline

StreamStory = Callable[["ShotStreamPipeline", Story], "Iterator[Chunk]"]
"""A way to have a pipeline tell a story."""


class ToldAgain(NamedTuple):
    """The first shot of a film, told twice more."""

    retake: np.ndarray
    """Another take of it, uint8 ``[T, H, W, 3]``."""
    from_portraits: np.ndarray
    """The same shot as the beginning of a story that has portraits of its cast as references."""


@dataclass(frozen=True, eq=False)
class Film:
    """The shots of a story as they are seen, and what is known of how they came to be."""

    shots: list[np.ndarray]
    """Frames of every shot, uint8 ``[T, H, W, 3]``, all of one size."""
    fps: float
    """Frames per second."""
    prompts: list[str]
    """What each shot was to show; empty texts where nobody knows."""
    setting: str = ""
    """Who and where; empty if nobody knows."""
    seed: int | None = None
    attributes: dict[str, Any] | None = None
    """What is to be seen, for a story of the story world (`WorldStory.attributes`)."""
    first_frame_seconds: float | None = None
    """From the start of generating until the first frames can be shown."""
    generating_seconds: float | None = None
    """From the start of generating until the last frame."""
    chunk_starts: list[list[int]] | None = None
    """Of every shot, the frames with which its chunks begin; None where nobody knows."""
    told_again: ToldAgain | None = None
    """The first shot told twice more, where that was asked for."""

    def __post_init__(self) -> None:
        if not self.shots:
            raise ValueError("a film without shots cannot be judged; give at least one.")
        for shot in self.shots:
            check_frames(shot)
        sizes = {shot.shape[1:3] for shot in self.shots}
        if len(sizes) > 1:
            (height, width), (other_height, other_width), *_ = sorted(sizes)
            raise ValueError(
                f"the shots of a film must have one size, but some are {height}x{width} and others "
                f"{other_height}x{other_width} pixels; make them alike."
            )
        if len(self.prompts) != len(self.shots):
            raise ValueError(
                f"there are {len(self.shots)} shots and {len(self.prompts)} prompts; every shot needs one."
            )
        told = len(self.attributes["shots"]) if self.attributes else len(self.shots)
        if told != len(self.shots):
            raise ValueError(
                f"the attributes tell of {told} shots and the film has {len(self.shots)}; "
                "give it the attributes of its own story."
            )

    @property
    def frames(self) -> int:
        """Number of frames of the whole film."""
        return sum(len(shot) for shot in self.shots)

    @property
    def cuts(self) -> list[int]:
        """First frames of the shots after the first, counted from the start of the film."""
        return list(accumulate(len(shot) for shot in self.shots[:-1]))


def in_order(pipeline: ShotStreamPipeline, story: Story) -> Iterator[Chunk]:
    """Tell a story as users are told it."""
    return pipeline.stream(story)


def tell(
    pipeline: ShotStreamPipeline,
    story: Story,
    attributes: dict[str, Any] | None = None,
    telling: StreamStory = in_order,
) -> Film:
    """Have a model tell a story, by the code that serves users, and take the time.

    Args:
        pipeline: The model.
        story: The story.
        attributes: What is to be seen, for a story of the story world.
        telling: How.

    Raises:
        ValueError: If the model cannot tell this story.
    """
    chunks: list[Chunk] = []
    arrivals: list[float] = []
    started = time.perf_counter()
    for chunk in telling(pipeline, story):
        arrivals.append(time.perf_counter() - started)
        chunks.append(chunk)
    by_shot = [list(shot) for _, shot in groupby(chunks, key=lambda chunk: chunk.shot)]
    return Film(
        shots=[np.concatenate([chunk.frames for chunk in shot]) for shot in by_shot],
        chunk_starts=[[chunk.first_frame for chunk in shot] for shot in by_shot],
        fps=chunks[0].fps,
        prompts=[shot.prompt for shot in story.shots],
        setting=story.setting,
        seed=story.seed,
        attributes=attributes,
        first_frame_seconds=arrivals[0],
        generating_seconds=arrivals[-1],
    )


def drawn(story: WorldStory, *, height: int = 64, width: int = 96, fps: float = 12) -> Film:
    """Draw a story of the story world as it truly is: the best that any model can score.

    Args:
        story: The story; it says how many frames its shots have.
        height: Pixels.
        width: Pixels.
        fps: Frames per second.

    Raises:
        ImportError: If skia is missing, with the line that installs it.
    """
    shots = range(len(story.shots))
    return Film(
        shots=[draw_shot(story, shot, height=height, width=width, fps=fps) for shot in shots],
        fps=fps,
        prompts=[shot.prompt for shot in story.shots],
        setting=story.setting,
        seed=story.seed,
        attributes=story.attributes(),
    )
