"""What a session hands out: a few frames of a shot, ready to be shown."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from shotstream.streaming.adapters import AdapterUse


class FullFramesError(RuntimeError):
    """Frames that were shown could not be made in full quality; the message says which, and what is left."""


class PendingFrames(Future[np.ndarray]):
    """Pictures uint8 ``[T, H, W, 3]`` that are made once somebody asks for them.

    Args:
        request: Has them made, and returns at once; called again, it does nothing more.
    """

    def __init__(self, request: Callable[[], None]) -> None:
        super().__init__()
        self.request = request


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive frames of one shot."""

    frames: np.ndarray
    """Pictures, uint8 ``[T, H, W, 3]``."""
    shot: int
    """Number of the shot in the story, from 0."""
    take: int
    """Number of the take of that shot, from 0; a retake counts up."""
    seed: int
    """Seed of the take's noise."""
    index: int
    """Number of the chunk in the shot, from 0."""
    first_frame: int
    """Number of ``frames[0]`` in the shot."""
    last: bool
    """Whether the shot ends with this chunk."""
    prompt: str
    """The shot's prompt while this chunk was made."""
    fps: float
    """Frames per second to be shown at."""
    latents: Tensor = field(repr=False)
    """The clean latents ``[1, F, C, h, w]`` behind the frames, on the CPU."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent: ``denoise`` (with the context or clean pass due before it), ``decode`` and ``total``."""
    adapters: tuple[AdapterUse, ...] = ()
    """The LoRAs it was made with."""
    full: PendingFrames | None = field(default=None, repr=False)
    """Where a quicker decoder is shown live: the same frames by the full one, made where they are needed."""

    @property
    def ready(self) -> bool:
        """Whether `full_frames` has them, without waiting."""
        full = self.full
        return full is None or (full.done() and not full.cancelled() and full.exception() is None)

    def request_full(self) -> None:
        """Have the frames made in full quality in the background, and return at once."""
        if self.full is not None:
            self.full.request()

    def full_frames(self) -> np.ndarray:
        """The frames in full quality, uint8 ``[T, H, W, 3]``; has them made and waits for them if need be.

        Raises:
            FullFramesError: If they were not made: the full decoder failed, or the story was stopped before.
        """
        if self.full is None:
            return self.frames
        self.full.request()
        try:
            failure = self.full.exception()  # a raised one would keep its callers, and so the session, alive
        except CancelledError as cancelled:
            failure = cancelled
        if failure is None:
            return self.full.result()
        why = "was stopped" if isinstance(failure, CancelledError) else f"failed ({failure!r})"
        raise FullFramesError(
            f"the full decoder {why} before it had made chunk {self.index + 1} of shot {self.shot + 1}; from "
            "there on the shot has only the frames that the tiny decoder showed; retake it to have all anew"
        ) from failure


def to_pictures(pixels: Tensor) -> np.ndarray:
    """Turn pixels ``[T, 3, H, W]`` in [-1, 1] into pictures, uint8 ``[T, H, W, 3]``."""
    levels = (pixels.float() + 1).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_pixels(pictures: np.ndarray | Tensor) -> Tensor:
    """Turn pictures, uint8 ``[..., H, W, 3]``, into pixels ``[..., 3, H, W]`` in [-1, 1]."""
    return torch.as_tensor(pictures).movedim(-1, -3).float() / 127.5 - 1
