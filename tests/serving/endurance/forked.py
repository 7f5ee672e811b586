"""A studio that starts in a second: forked from a process that has read the libraries already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

from benchmarks.studio_process import StudioProcess

_LIBRARIES = ["shotstream.serving.web.app", "shotstream.streaming.pipeline", "shotstream.cli.main", "uvicorn"]


class ForkedStudio(StudioProcess):
    """As `StudioProcess`, for tests that measure nothing."""

    def __init__(self, library: Path, port: int) -> None:
        self.port, self.started_at = port, time.monotonic()
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(_LIBRARIES)
        self.process = processes.Process(target=_serve, args=(library, port), daemon=True)
        self.process.start()

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self.process.kill()
        self.process.join()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal as Ctrl-C does; kill it if that takes more than a minute."""
        assert self.process.pid
        os.kill(self.process.pid, number)
        self.process.join(60)
        self.kill()


def _serve(library: Path, port: int) -> None:
    """Be `shotstream studio`."""
    from shotstream.cli.main import app

    with library.with_name("studio.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    app(["studio", "--library", str(library), "--port", str(port)])
