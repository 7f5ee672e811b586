"""Waiting for what another thread or process does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def until(done: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `done` says so; fail after `seconds`, which leave a busy machine time to start a process."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


async def eventually(done: Callable[[], object]) -> None:
    """As `until`, while the event loop runs on."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.005)
