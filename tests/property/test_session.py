"""Laws of a story being told, over random tellings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.session import StorySession

pytestmark = pytest.mark.law

Step = Callable[[StorySession], object]

PROMPTS = ["runs", "sleeps", "a cat in the snow"]


def cut(prompt: str, chunks: int) -> Step:
    return lambda session: session.cut(prompt, chunks=chunks)


def redirect(prompt: str) -> Step:
    return lambda session: session.redirect(prompt) if session._take else None


def extend(chunks: int) -> Step:
    return lambda session: session.extend(chunks=chunks) if session._take else None


def retake(back: int) -> Step:
    return lambda session: (
        session.retake(len(session.script) - 1 - back % len(session.script)) if session.script else None
    )


def pin(frame: int) -> Step:
    """Pin a frame that is remembered, in place of one that was pinned before."""

    def step(session: StorySession) -> None:
        for pinned in list(session.context.pins)[2:]:
            session.unpin(*pinned.key)
        if session.context.frames:
            session.pin(*session.context.frames[frame % len(session.context.frames)].key)

    return step


def make(session: StorySession) -> object:
    return session.next_chunk()


prompts = st.sampled_from(PROMPTS)
directions = st.one_of(
    st.builds(cut, prompts, st.integers(1, 4)),
    st.builds(redirect, prompts),
    st.builds(extend, st.integers(1, 2)),
    st.builds(retake, st.integers(0, 3)),
    st.builds(pin, st.integers(0, 20)),
)
tellings = st.lists(st.one_of(st.just(make), st.just(make), directions), min_size=3, max_size=14).map(
    lambda steps: [cut("runs", 3), make, *steps, make]
)


def tell(session: StorySession, steps: list[Step], patient: bool = False) -> list[tuple]:
    """What is seen; a patient caller waits until nothing goes on in the background."""
    seen = []
    for step in steps:
        result = step(session)
        if step is make and result is not None:
            seen.append((result.shot, result.take, result.index, result.prompt, result.frames.tobytes()))
        if patient:
            session._generator.stills.wait()
    return seen


@settings(max_examples=12, deadline=None)
@given(tellings)
def test_the_same_calls_give_the_same_bytes_however_long_one_waits(pipeline, steps: list[Step]) -> None:
    hasty, patient = pipeline.open("a fox", seed=1), pipeline.open("a fox", seed=1)
    assert tell(hasty, steps) == tell(patient, steps, patient=True)


@settings(max_examples=12, deadline=None)
@given(tellings)
def test_what_is_made_early_changes_nothing(pipeline, steps: list[Step]) -> None:
    """Clean passes, stills for the next shot, and the passes of the next chunk."""
    late, early = pipeline.open("a fox", seed=1), pipeline.open("a fox", seed=1, works_ahead=True)
    for session, is_early in ((late, False), (early, True)):
        session._generator.commits_early = session._generator.encodes_ahead = is_early
    assert tell(late, steps) == tell(early, steps)


@settings(max_examples=12, deadline=None)
@given(tellings, st.data())
def test_a_snapshot_at_any_moment_goes_on_bit_for_bit(pipeline, steps: list[Step], data) -> None:
    """In another session, and in the same one after it went on; taking it disturbs nothing."""
    session, elsewhere = pipeline.open("a fox", seed=1), pipeline.open("snow", seed=2)
    moment = data.draw(st.integers(0, len(steps)))
    before = tell(session, steps[:moment])
    snapshot = session.snapshot()
    after = tell(session, steps[moment:])
    assert before + after == tell(pipeline.open("a fox", seed=1), steps)
    elsewhere.restore(snapshot)
    assert tell(elsewhere, steps[moment:]) == after
    session.restore(snapshot)
    assert tell(session, steps[moment:]) == after


@settings(max_examples=12, deadline=None)
@given(tellings, st.data())
def test_a_story_told_again_from_its_latents_goes_on_bit_for_bit(pipeline, steps: list[Step], data) -> None:
    chunks = chunks_of(pipeline.open("a fox", seed=1), steps, [])
    known = [chunk.latents for chunk in chunks[: data.draw(st.integers(0, len(chunks)))]]
    again = chunks_of(pipeline.open("a fox", seed=1), steps, known)
    for chunk, expected in zip(again, chunks, strict=True):
        assert np.array_equal(chunk.frames, expected.frames)
        assert torch.equal(chunk.latents, expected.latents)


def chunks_of(session: StorySession, steps: list[Step], known: list[torch.Tensor]) -> list[Chunk]:
    """What is made, the first chunks from latents that are known."""
    chunks: list[Chunk] = []
    for step in steps:
        if step is not make:
            step(session)
        elif (chunk := session.next_chunk(*known[len(chunks) :][:1])) is not None:
            chunks.append(chunk)
    return chunks


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 5), st.data())
def test_a_retake_changes_one_shot_alone(pipeline, shots: int, data) -> None:
    session = pipeline.open("a fox", seed=1)
    for number in range(shots):
        list(session.shoot(PROMPTS[number % 3], chunks=1 + number % 2))
    shot = data.draw(st.integers(0, shots - 1))
    kept = {frame.key: frame for frame in session.context.frames}
    script = [(record.take, record.prompts) for record in session.script]
    list(session.retake(shot, prompt=data.draw(st.sampled_from([None, "night"]))))
    assert {frame.key for frame in session.context.frames} == set(kept)
    for frame in session.context.frames:
        same = np.array_equal(frame.pixels, kept[frame.key].pixels)
        assert same == (frame.shot != shot)
    for record, (take, prompts) in zip(session.script, script, strict=True):
        assert record.take == take + (record.shot == shot)
        assert record.shot == shot or record.prompts == prompts
