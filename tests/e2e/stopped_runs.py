"""`shotstream generate` as a process that can be stopped, forked from one that has read the libraries."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

_LIBRARIES = [
    "shotstream.cli.generate",
    "shotstream.cli.main",
    "shotstream.streaming.speed",
    "shotstream.streaming.story_writer",
    "transformers.models.clip.modeling_clip",
    "av",
    "PIL.Image",
]


class Run:
    """One run.

    Args:
        words: What follows ``shotstream generate``.
        log: Gets what is printed; "terminal" or "pipe" gives it to a terminal of the run's own, or to a pipe,
            either of which `close_output` closes.
    """

    def __init__(self, words: list[str], log: Path | Literal["terminal", "pipe"]) -> None:
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(_LIBRARIES)
        self._log, self._said, self._reader = log, "", -1
        if log == "terminal":
            self._reader, output = os.openpty()
            place = os.ttyname(output)
            os.close(output)
            os.set_blocking(self._reader, False)
        elif log == "pipe":
            place = str(Path(tempfile.mkdtemp()) / "pipe")
            os.mkfifo(place)
            self._reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
        else:
            place = str(log)
            Path(place).write_text("")
        self.process = processes.Process(target=_generate, args=(words, place))
        self.process.start()
        while self._reader >= 0 and self.process.is_alive() and "ready" not in self.said():
            time.sleep(0.01)

    def wait_for_shots(self, shots: int, seconds: float = 120) -> None:
        """Wait until as many shots are reported, or it has ended."""
        deadline = time.monotonic() + seconds
        while len(self.reported()) < shots and self.process.is_alive():
            assert time.monotonic() < deadline, "nothing was reported"
            time.sleep(0.01)

    def reported(self) -> list[int]:
        """Numbers of the shots that it has reported so far."""
        return [int(number) for number in re.findall(r"shot (\d+)/\d+  .*\n", self.said())]

    def said(self) -> str:
        """All that it has printed, or that was read of that before its output was closed."""
        if isinstance(self._log, Path):
            return self._log.read_text()
        with suppress(OSError):  # there is nothing, or the output is closed
            while data := os.read(self._reader, 65536):
                self._said += data.decode(errors="replace")
        return self._said

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def close_output(self) -> None:
        """Close its terminal, as somebody does who closes the window, or the reading end of its pipe."""
        self.said()
        os.close(self._reader)
        self._reader = -1  # no later file's number

    def end(self) -> int:
        """Wait for its end; returns the exit code, below 0 for a signal that killed it."""
        self.process.join(120)
        assert self.process.exitcode is not None, "it hangs"
        return self.process.exitcode


def _generate(words: list[str], place: str) -> None:
    """Be `shotstream generate`, in a session of its own; a terminal that it opens is its own, too."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    terminal = stat.S_ISCHR(os.stat(place).st_mode)
    output = os.open(place, os.O_RDWR if terminal else os.O_WRONLY)  # it is its own only if it may be read
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    if not os.path.isfile(place):
        os.write(1, b"ready\n")
    assert sys.stdout is sys.__stdout__
    from shotstream.cli.main import app

    app(["generate", *words])
