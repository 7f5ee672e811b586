"""Work beside other work: a device's streams of their own, and threads that sessions share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")

WITH_STREAMS = ("cuda", "xpu")
"""Devices that work on several streams at once; on others all is done in the order of the calls."""
HIGH_PRIORITY = -1
"""Priority of a stream that goes before the others, whose priority is 0, a GPU's lowest."""
HIGHEST_PRIORITY = -2
"""Priority of a stream whose results somebody waits for."""


class SideStream:
    """A stream beside the main one of a device. Without streams, work in its blocks is simply done.

    All of one priority are the same stream, whoever made them: torch keeps memory that was let go of for the
    stream that it was used on, so a stream of its own would have every session allocate all of it anew.

    Args:
        device: Where it runs.
        priority: `HIGHEST_PRIORITY`, `HIGH_PRIORITY` or 0.
    """

    def __init__(self, device: torch.device, priority: int = 0) -> None:
        self.priority = priority
        self._device = device
        self._real = device.type in WITH_STREAMS
        self._streams: Any = torch.get_device_module(device) if self._real else torch.cpu
        self._stream: Any = _stream(device, priority) if self._real else torch.cpu.Stream()

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

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Work in the block is done here instead of on the current stream, in its order."""
        if not self._real:
            yield
            return
        current = self._streams.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with self.inside():
                yield
        finally:
            current.wait_stream(self._stream)

    def inside(self) -> AbstractContextManager:
        """Work in the block goes on after what this stream does already."""
        return self._streams.stream(self._stream)


@cache
def _stream(device: torch.device, priority: int) -> Any:
    return torch.get_device_module(device).Stream(device, priority=priority)


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
