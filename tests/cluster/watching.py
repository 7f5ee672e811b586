"""A story is begun with replicas and watched, and watched on when one of them is lost."""

from __future__ import annotations

from tests.serving.web.conftest import Watcher


def begin(studio) -> tuple[Watcher, str]:
    """Begin a story with a long shot, and watch its first chunks."""
    viewer = studio.watch()
    receipt = viewer.direct("shoot", prompt="a fox runs", chunks=60)
    assert receipt["type"] == "receipt", receipt
    while len(viewer.newest(0)) < 20:
        viewer.hear()
    return viewer, viewer.story


def newest(viewer: Watcher) -> dict:
    """The newest chunk that a viewer has all of: chunks of tiny have 5 frames at first, then 8."""
    return {"shot": 0, "take": 0, "chunk": (len(viewer.newest(0)) - 5) // 8}


def frames(*viewers: Watcher) -> list[int]:
    """Numbers of the frames of shot 0 that were shown, each once, in order."""
    return sorted({header.frame for viewer in viewers for header, _ in viewer.newest(0)})


def goes_on(studio, before: Watcher) -> Watcher:
    """Connect again, as the page does, and watch what is new."""
    assert before.closed() == 1012
    viewer = studio.watch(before.story, after=newest(before))
    shown = len(frames(before))
    while len(frames(before, viewer)) < shown + 16:
        viewer.hear(20)
    assert frames(before, viewer) == list(range(len(frames(before, viewer))))
    return viewer
