from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.serving.protocol.commands import Playhead
from shotstream.serving.story.playback import PendingCommand, PlaybackTracker

pytestmark = pytest.mark.unit


@dataclass
class Made:
    """As much of a chunk as counts here."""

    shot: int
    take: int
    first_frame: int
    frames: int


def playback(*shots: tuple[int, int, int]) -> PlaybackTracker:
    """Of (shot, take, frames), each in two chunks."""
    result = PlaybackTracker()
    for shot, take, frames in shots:
        result.made(Made(shot, take, 0, 2))  # type: ignore[arg-type]
        result.made(Made(shot, take, 2, frames - 2))  # type: ignore[arg-type]
    return result


def at(shot: int, take: int, frame: int) -> Playhead:
    return Playhead(shot=shot, take=take, frame=frame)


def test_the_furthest_viewer_counts() -> None:
    shown = playback((0, 0, 5), (1, 0, 5), (0, 1, 5))
    assert shown.lookahead_frames == 15
    shown.shown(at(1, 0, 2), 0)
    assert shown.lookahead_frames == 7
    shown.shown(at(0, 0, 4), 0)
    assert shown.lookahead_frames == 7, "looking at a former shot changes nothing"
    shown.shown(at(0, 1, 4), 0)
    assert shown.lookahead_frames == 0


def test_what_was_never_made_is_overlooked() -> None:
    shown = playback((0, 0, 5))
    for playhead in (at(0, 0, 5), at(1, 0, 0), at(0, 1, 0), at(0, 0, 2**32 - 1)):
        assert shown.shown(playhead, 0) == []
    assert shown.lookahead_frames == 5


def test_a_command_is_on_the_screen_once() -> None:
    shown = playback((0, 0, 5))
    shown.expect(PendingCommand("a", (0, 0, 3), 1.0))
    shown.expect(PendingCommand("later", (1, 0, 0), 1.0))
    assert shown.shown(at(0, 0, 2), 2.0) == []
    assert shown.shown(at(0, 0, 4), 3.0) == [("a", 2.0)]
    assert shown.shown(at(0, 0, 4), 4.0) == []


@settings(deadline=None)
@given(st.lists(st.builds(at, st.integers(0, 2), st.integers(0, 1), st.integers(0, 7)), max_size=20))
def test_the_look_ahead_only_shrinks_while_nothing_is_made(playheads: list[Playhead]) -> None:
    shown, ahead = playback((0, 0, 5), (1, 0, 4), (0, 1, 6)), [15]
    for playhead in playheads:
        shown.shown(playhead, 0)
        ahead.append(shown.lookahead_frames)
    assert ahead == sorted(ahead, reverse=True)
    assert ahead[-1] >= 0
