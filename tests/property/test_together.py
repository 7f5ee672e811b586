"""Laws of stories that share their passes, over random tellings."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession
from shotstream.streaming.together import next_chunks

from ..streaming.alike import assert_alike
from .test_session import Step, make, tellings

pytestmark = pytest.mark.cpu


def turns(steps: list[Step]) -> list[list[Step]]:
    """Divide what a caller does: directions, then a chunk."""
    turns: list[list[Step]] = [[]]
    for step in steps:
        if step is make:
            turns.append([])
        else:
            turns[-1].append(step)
    return turns[:-1]


def direct(session: StorySession, directions: list[Step]) -> StorySession:
    for direction in directions:
        direction(session)
    return session


@settings(max_examples=12, deadline=None)
@given(st.lists(tellings, min_size=2, max_size=3))
def test_stories_together_tell_what_each_tells_alone(pipeline, told: list[list[Step]]) -> None:
    """However they are directed in between; those that are told to the end leave the others."""
    together, alone = ([pipeline.open("a fox", seed) for seed, _ in enumerate(told)] for _ in range(2))
    for directions in zip_longest(*map(turns, told)):
        due = [place for place, given in enumerate(directions) if given is not None]
        made = next_chunks([direct(together[place], directions[place]) for place in due])
        for place, chunk in zip(due, made, strict=True):
            assert_alike(chunk, direct(alone[place], directions[place]).next_chunk())


@settings(max_examples=12, deadline=None)
@given(st.lists(tellings, min_size=2, max_size=3))
def test_a_story_told_again_alone_from_its_latents_goes_on_bit_for_bit(
    pipeline, told: list[list[Step]]
) -> None:
    """What it holds depends on its own latents, and not on whom it shared passes with."""
    together, alone = ([pipeline.open("a fox", seed) for seed, _ in enumerate(told)] for _ in range(2))
    for directions in zip(*map(turns, told), strict=False):
        made = next_chunks([direct(*pair) for pair in zip(together, directions, strict=True)])
        for session, own, chunk in zip(alone, directions, made, strict=True):
            direct(session, own).next_chunk(chunk.latents if isinstance(chunk, Chunk) else None)
    for session, other in zip(together, alone, strict=True):
        (chunk,), (expected,) = session.shoot("runs", chunks=1), other.shoot("runs", chunks=1)
        assert chunk.frames.tobytes() == expected.frames.tobytes()
        assert chunk.latents.equal(expected.latents)
