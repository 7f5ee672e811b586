"""Work beside other work: a device's stream of its own, threads that sessions share, and decoding there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from shotstream.models.autoencoder import StreamingDecoder
from shotstream.streaming.chunk import to_pictures

P = ParamSpec("P")
T = TypeVar("T")

WITH_STREAMS = ("cuda", "xpu")
"""Devices that work on several streams at once; on others all is done in the order of the calls."""
HIGH_PRIORITY = -1
"""Priority of a stream whose results somebody waits for (0 for others)."""


class SideStream:
    """A stream beside the main one of a device. Without streams, work in its blocks is simply done.

    Args:
        device: Where it runs.
        priority: `HIGH_PRIORITY` or 0.
    """

    def __init__(self, device: torch.device, priority: int = 0) -> None:
        self._real = device.type in WITH_STREAMS
        self._streams: Any = torch.get_device_module(device) if self._real else torch.cpu
        self._stream: Any = (
            self._streams.Stream(device, priority=priority) if self._real else torch.cpu.Stream()
        )

    @contextmanager
    def after(self, moment: StreamEvent, *read: Tensor) -> Iterator[None]:
        """Work in the block begins after `moment`, and reads tensors that were made on the main stream."""
        with self.inside():
            if self._real:
                self._stream.wait_event(moment.event)
                for tensor in read:  # their memory may be used again only when this stream is done too
                    if tensor.device.type in WITH_STREAMS:
                        tensor.record_stream(self._stream)
            yield

    def inside(self) -> AbstractContextManager:
        """Work in the block goes on after what this stream does already."""
        return self._streams.stream(self._stream)


class StreamEvent:
    """What was issued so far on the current stream of a device: to wait for, and to measure from.

    Taking a moment stops nothing. On a device without streams it is simply now.
    """

    def __init__(self, device: torch.device) -> None:
        self.event: Any = None
        if device.type in WITH_STREAMS:
            streams = torch.get_device_module(device)
            self.event = streams.Event(enable_timing=True)
            self.event.record(streams.current_stream(device))
        self._seconds = time.perf_counter()

    def seconds_until(self, later: StreamEvent) -> float:
        """Wait for `later` and say how long after this it was."""
        if self.event is None:
            return later._seconds - self._seconds
        later.event.synchronize()
        return self.event.elapsed_time(later.event) / 1000


class BackgroundTasks:
    """The tasks that one session gives a shared worker, which it can cancel without touching those of others.

    Args:
        worker: Does them one by one, in the order in which all sessions give theirs.
    """

    def __init__(self, worker: Executor) -> None:
        self._worker = worker
        self._unfinished: set[Future] = set()

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a task done, and return at once."""
        future = self._worker.submit(task, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def cancel(self) -> None:
        """Cancel what was not begun, and return at once."""
        for future in list(self._unfinished):
            future.cancel()


class BackgroundDecoder:
    """Decodes the chunks of one session in the order they are given, while the caller goes on.

    Args:
        device: Where it runs.
        dtype: Data type that the decoder reads.
        worker: The thread that it works in.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, worker: Executor) -> None:
        self._device = device
        self._dtype = dtype
        self.stream = SideStream(device)
        self._tasks = BackgroundTasks(worker)

    def submit(
        self,
        decoder: StreamingDecoder,
        latents: Tensor,
        made: StreamEvent,
        former: Future[np.ndarray] | None = None,
        states: deque[list[Tensor]] | None = None,
    ) -> Future[np.ndarray]:
        """Begin to decode a shot's next chunk.

        Args:
            decoder: The shot's decoder, which is left alone until the result is there.
            latents: Of the chunk, ``[1, F, C, h, w]``.
            made: When they are there.
            former: The shot's chunk before, if it may not be decoded yet. Without it this one fails too, for
                the decoder goes on from where that one left it.
            states: Is given the decoder's state after it.

        Returns:
            What will be its pictures, uint8 ``[T, H, W, 3]``.
        """
        return self._tasks.submit(self._decode, decoder, latents, made, former, states)

    def close(self) -> None:
        """Cancel what was not begun, and return at once; a chunk that was begun is made."""
        self._tasks.cancel()

    @torch.no_grad()
    def _decode(
        self,
        decoder: StreamingDecoder,
        latents: Tensor,
        made: StreamEvent,
        former: Future[np.ndarray] | None,
        states: deque[list[Tensor]] | None,
    ) -> np.ndarray:
        if former and (former.cancelled() or former.exception()):
            raise RuntimeError("the chunk before it was not made")
        with self.stream.after(made, latents):
            pictures = to_pictures(decoder.decode(latents.to(self._dtype))[0])
            if states is not None:
                states.append(decoder.state())
        pictures.flags.writeable = False
        return pictures
