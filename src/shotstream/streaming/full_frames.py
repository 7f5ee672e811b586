"""Frames in full quality of what a quicker decoder shows: made in the background, where they are needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from shotstream.models.autoencoder import StreamingDecoder
from shotstream.streaming.chunk import PendingFrames, to_pictures
from shotstream.streaming.decoding import BackgroundTasks, SideStream


class BackgroundDecoder:
    """Where the full frames of one session are made, while the caller goes on.

    Args:
        device: Where it runs.
        dtype: Data type that the decoder reads.
        worker: The thread that it works in.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, worker: Executor) -> None:
        self.stream = SideStream(device)
        self._device, self._dtype = device, dtype
        self._tasks = BackgroundTasks(worker)
        self._promised: weakref.WeakSet[PendingFrames] = weakref.WeakSet()

    def promise(self, frames: PendingFrames) -> None:
        """Take note of frames that nobody has asked for yet: `close` cancels them too."""
        self._promised.add(frames)

    def submit(self, task: Callable[[], None]) -> Future[None]:
        """Have a task done after those before it, and return at once."""
        return self._tasks.submit(task)

    @torch.no_grad()
    def decode(self, decoder: StreamingDecoder, latents: Tensor) -> Tensor:
        """Decode the next chunk ``[1, F, C, h, w]`` of a shot to pixels ``[T, 3, H, W]`` on the device."""
        with self.stream.inside():
            return decoder.decode(latents.to(self._device, self._dtype))[0]

    def close(self) -> None:
        """Cancel what was not begun, and return at once; a chunk that was begun is made."""
        for frames in list(self._promised):
            frames.cancel()
        self._tasks.cancel()


class FullFrames:
    """The full frames of one take.

    A chunk's frames depend on all latents of the take up to it. So chunks are decoded in their order, as far
    as somebody asks, and not further. The decoder keeps one state. Where it stands behind what is asked for,
    because chunks were taken back or its state was let go of, the take is decoded from its beginning again.

    Args:
        background: Where they are made.
        open_decoder: Opens the full decoder at the beginning of a shot.
    """

    def __init__(self, background: BackgroundDecoder, open_decoder: Callable[[], StreamingDecoder]) -> None:
        self._background = background
        self._open_decoder = open_decoder
        self.latents: list[Tensor] = []
        """Of the take's chunks, ``[1, F, C, h, w]`` each, on the CPU."""
        self._frames: list[weakref.ref[PendingFrames]] = []
        self._requested = 0
        self._tasks: set[Future[None]] = set()
        self._kept = True
        self._failed = False
        self._lock = Lock()
        self.decoder: StreamingDecoder | None = open_decoder()
        """Belongs to the background once the first frames are asked for."""
        self._decoded: tuple[Tensor, ...] = ()
        """What the decoder has read."""

    def add(self, latents: Tensor) -> PendingFrames:
        """Take in the next chunk's latents, on the CPU; return what will be its frames."""
        frames = PendingFrames(partial(self.request, len(self.latents) + 1))
        self.latents.append(latents)
        self._frames.append(weakref.ref(frames))
        self._background.promise(frames)
        return frames

    def request(self, chunks: int) -> None:
        """Have the frames of the first chunks made, as far as anybody still holds them; return at once."""
        with self._lock:
            for chunk in range(self._requested, min(chunks, len(self.latents))):
                self._requested = chunk + 1
                frames = self._frames[chunk]()
                if frames is not None:
                    task = self._background.submit(partial(self._make, frames, self.latents[: chunk + 1]))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    def settle(self) -> None:
        """Wait until nothing is being made."""
        wait(list(self._tasks))

    def rewind(self, chunks: int) -> None:
        """Forget all but the first chunks; of the others, frames that are not made never will be."""
        with self._lock:
            for reference in self._frames[chunks:]:
                if (frames := reference()) is not None:
                    frames.cancel()
            del self.latents[chunks:], self._frames[chunks:]
            self._requested = min(self._requested, chunks)

    def release(self) -> None:
        """Let go of the decoder's state as soon as nothing is being made; frames can still be asked for."""
        with self._lock:
            self._kept = False
            if not self._tasks:
                self._forget_decoder()

    def _make(self, frames: PendingFrames, latents: Sequence[Tensor]) -> None:
        """Make the frames of the last chunk of `latents`."""
        if not frames.set_running_or_notify_cancel():
            return
        try:
            pictures = self._decode(latents)
        except BaseException as error:
            self._failed = True
            self._forget_decoder()
            frames.set_exception(error)
        else:
            frames.set_result(pictures)
        frames.request = _nothing  # whoever keeps them keeps nothing else
        with self._lock:
            if not self._kept and len(self._tasks) <= 1:
                self._forget_decoder()

    def _decode(self, latents: Sequence[Tensor]) -> np.ndarray:
        if self._failed:
            raise RuntimeError("the chunk before it was not made")
        read = self._decoded
        goes_on = len(read) < len(latents) and all(
            one is other for one, other in zip(read, latents, strict=False)
        )
        if self.decoder is None or not goes_on:
            self.decoder, read = self._open_decoder(), ()
        for chunk in latents[len(read) : -1]:
            self._background.decode(self.decoder, chunk)
        pixels = self._background.decode(self.decoder, latents[-1])
        with self._background.stream.inside():
            pictures = to_pictures(pixels)
        self._decoded = tuple(latents)
        pictures.flags.writeable = False
        return pictures

    def _forget_decoder(self) -> None:
        self.decoder, self._decoded = None, ()


def _nothing() -> None:
    pass
