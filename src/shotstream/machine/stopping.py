"""One way to be stopped: Ctrl-C, a termination and a closed terminal all end a command cleanly."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_AGAIN_SECONDS = 0.05


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a process to stop, without those that it was started to ignore (``nohup``)."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """Raise ``KeyboardInterrupt`` in the block for every signal that asks to stop, not only for Ctrl-C.

    A second signal is raised in whatever the first one made the block do. One that comes where Python ignores
    exceptions, such as in a finaliser, is sent once more. In other threads than the main one signals are left
    as they are.

    Yields:
        The signals that came, in their order. The exit code of a process that the first of them stopped is
        128 and its number.
    """
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    def repeat(ignored: sys.UnraisableHookArgs) -> None:
        if received and issubclass(ignored.exc_type, KeyboardInterrupt):
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), received[-1])).start()
        else:
            hook(ignored)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    former = {number: signal.signal(number, stop) for number in stop_signals()}
    hook, sys.unraisablehook = sys.unraisablehook, repeat
    try:
        yield received
    finally:
        sys.unraisablehook = hook
        for number, handler in former.items():
            signal.signal(number, handler)
