"""What one session has done by a thread that all sessions of a pipeline share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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
