"""Standard output and error of a process that goes on whatever becomes of its terminal."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_lost: dict[int, str] = {}
"""Why something that was printed is lost, by file descriptor, where nobody chose not to read it."""


class _Lasting(io.FileIO):
    """A file descriptor that takes everything: what can no longer be written is dropped."""

    def write(self, data: Any, /) -> int:
        """Write what can be written, and say that all was."""
        try:
            while (written := super().write(data)) is None:  # the reader of a pipe that may not block is slow
                select.select([], [self], [])
        except OSError as error:
            if error.errno in _NO_ROOM:
                _lost[self.fileno()] = error.strerror or str(error)
            return memoryview(data).nbytes
        return written


def print_without_fail() -> None:
    """Let nothing that is printed end the process.

    A reader that went away (``| head -1``), a full disk and a closed terminal swallow what is printed.
    Characters that the terminal cannot show become question marks. An output that was closed from the start
    is opened on nothing, so that no file takes its number. Streams that somebody has put in the place of the
    process's own stay as they are.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is sys.__stdout__:
        sys.stdout = sys.__stdout__ = _lasting(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = sys.__stderr__ = _lasting(sys.stderr, 2)


def why_lost() -> str | None:
    """Say why some of what was printed to standard output is lost; None if all of it was written.

    Readers that went away and terminals that were closed do not count: nobody waits for it there.
    """
    return _lost.get(1)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    """Put a stream that lasts in the place of `stream`, which is None if it was closed."""
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(number, "w", closefd=False)),
        encoding=stream.encoding if stream else "utf-8",
        errors="replace",
        line_buffering=True,
    )
