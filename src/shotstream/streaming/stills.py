"""Encodes remembered frames in the background, while the caller still watches the shot before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future, wait

import torch
from torch import Tensor

from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.chunk import to_pixels
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.decoding import BackgroundTasks


class StillEncoder:
    """Turns the remembered frames of one session into still latents and leaves these on the frames.

    Frames are encoded one by one and always in the worker's thread, so that the result depends neither on
    when it was asked for nor on what else was.

    Args:
        autoencoder: Encodes the stills.
        dtype: Data type of its weights.
        device: Where it runs.
        worker: The thread that it works in.
    """

    def __init__(
        self, autoencoder: VideoAutoencoder, dtype: torch.dtype, device: torch.device, worker: Executor
    ) -> None:
        self._autoencoder = autoencoder
        self._dtype = dtype
        self._device = device
        self._tasks = BackgroundTasks(worker)
        self._pending: dict[ContextFrame, Future[None]] = {}

    def request(self, frames: Sequence[ContextFrame]) -> None:
        """Begin to encode those that have no latent yet, and return at once.

        What was requested before and is not among them is dropped.
        """
        former, self._pending = self._pending, {}
        for frame in dict.fromkeys(frames):
            if frame.latent is None:
                self._pending[frame] = former.pop(frame, None) or self._tasks.submit(self._encode, frame)
        for future in former.values():
            future.cancel()

    def wait(self) -> None:
        """Wait until all that was requested is there; raise what went wrong with it."""
        pending, self._pending = self._pending.values(), {}
        wait(pending)
        for future in pending:
            future.result()

    def latents(self, frames: Sequence[ContextFrame]) -> Tensor:
        """The stills of `frames`, float32 ``[1, F, C, h, w]``."""
        self.request(frames)
        self.wait()
        return torch.stack([frame.latent for frame in frames if frame.latent is not None]).unsqueeze(0)

    def close(self) -> None:
        """Cancel what was not begun, and return at once."""
        self._pending = {}
        self._tasks.cancel()

    @torch.no_grad()
    def _encode(self, frame: ContextFrame) -> None:
        if frame.latent is None:  # a session that shares it may have had it encoded since
            pixels = to_pixels(frame.pixels[None]).to(self._device, self._dtype)
            frame.latent = self._autoencoder.encode_stills(pixels.unsqueeze(0))[0, 0].float()
