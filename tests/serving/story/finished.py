"""Replays a story at once."""

from __future__ import annotations

from collections.abc import Generator

from shotstream.serving.story.director import Director


def finish(replaying: Generator[None, None, Director]) -> Director:
    """Tell all the rest at once."""
    while True:
        try:
            next(replaying)
        except StopIteration as end:
            return end.value
