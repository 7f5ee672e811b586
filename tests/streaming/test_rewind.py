"""What nobody has seen is taken back: a rewound story is the story that was asked for then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.rollout import ChunkStopped, ShotRollout
from shotstream.streaming.session import StorySession

pytestmark = pytest.mark.law

PROMPTS = ("runs", "sleeps", "a cat", "at night")
REWIND = 4


def make(session: StorySession, chunks: int) -> list[Chunk]:
    made = [session.next_chunk() for _ in range(chunks)]
    return [chunk for chunk in made if chunk is not None]


def same(one: Sequence[Chunk], other: Sequence[Chunk]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(
        torch.equal(a.latents, b.latents)
        and np.array_equal(a.full_frames(), b.full_frames())
        and (a.index, a.first_frame, a.last, a.prompt) == (b.index, b.first_frame, b.last, b.prompt)
        for a, b in pairs
    )


def remembered(session: StorySession) -> list[tuple]:
    return [(frame.take_key, frame.prompt, frame.pixels.tobytes()) for frame in session.context.frames]


@pytest.fixture(scope="module")
def pipelines(make_pipeline) -> list[ShotStreamPipeline]:
    """Without and with a chunk that never leaves the window."""
    return [make_pipeline(sink_chunks=sink) for sink in (0, 1)]


turns = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, REWIND), st.sampled_from(PROMPTS)), min_size=1, max_size=3
)


@settings(max_examples=25, deadline=None)
@given(turns, st.integers(0, 1), st.booleans(), st.booleans())
def test_a_rewound_story_is_the_one_that_was_redirected_there(
    pipelines, turns: list, sink: int, is_first: bool, commits_early: bool
) -> None:
    """Whatever was redirected before, however far the window has slid; and so is the shot after it."""
    model = pipelines[sink]
    rewound, straight = model.open("a fox", seed=3, rewind_chunks=REWIND), model.open("a fox", seed=3)
    film, expected = [], []
    for session in (rewound, straight):
        session._generator.commits_early = commits_early
        if not is_first:
            list(session.shoot("runs", chunks=2))
        session.cut("runs", chunks=40)
    for chunks, back, prompt in turns:
        film += make(rewound, chunks)
        back = min(back, rewound.rewindable_chunks)
        rewound.rewind(back)
        del film[len(film) - back :]
        expected += make(straight, chunks - back)
        for session in (rewound, straight):
            session.redirect(prompt)
    film, expected = film + make(rewound, 4), expected + make(straight, 4)
    assert same(film, expected)
    assert rewound.script == straight.script
    assert same(list(rewound.shoot("a cat", chunks=1)), list(straight.shoot("a cat", chunks=1)))
    assert remembered(rewound) == remembered(straight)


@pytest.mark.parametrize("back", [1, 3, 5])
def test_a_cut_after_rewinding_is_a_cut_there(pipeline, back: int) -> None:
    """Further back than the shot could go on from, too."""
    rewound, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (rewound, straight):
        list(session.shoot("runs", chunks=2))
        session.cut("sleeps", chunks=9)
    film, expected = make(rewound, 6), make(straight, 6 - back)
    rewound.rewind(back)
    assert same(film[:-back], expected)
    assert same(list(rewound.shoot("a cat")), list(straight.shoot("a cat")))
    assert remembered(rewound) == remembered(straight)
    assert rewound.script == straight.script


def test_a_direction_stays_when_all_that_followed_it_is_taken_back(pipeline) -> None:
    rewound, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (rewound, straight):
        session.cut("runs", chunks=9)
        make(session, 2)
        session.redirect("sleeps")
    make(rewound, 2)
    rewound.rewind(2)
    assert rewound.script == straight.script
    assert same(make(rewound, 2), make(straight, 2))


def foresee(session: StorySession, chunks: int) -> None:
    while not session.foresee_cut(chunks):
        session._generator.stills.wait()


@pytest.mark.parametrize("comes", [True, False])
def test_what_a_cut_begins_with_can_be_done_before_it(pipeline, monkeypatch, comes: bool) -> None:
    """It is used where the cut comes as it was foreseen, and changes nothing either way."""
    foreseen, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (foreseen, straight):
        list(session.shoot("sleeps", chunks=2))
        session.cut("runs", chunks=9)
    make(foreseen, 4)
    make(straight, 2)
    for chunks in (1, 2) if comes else (2, 1):
        foresee(foreseen, chunks)
    foreseen.rewind(2)
    filled: list[ShotRollout] = []
    fill = ShotRollout.fill_context
    monkeypatch.setattr(ShotRollout, "fill_context", lambda *args: filled.append(args[0]) or fill(*args))
    for session in (foreseen, straight):
        session.cut("sleeps")
    made = make(foreseen, 2)
    assert len(filled) == (0 if comes else 1)
    assert same(made, make(straight, 2))
    for session in (foreseen, straight):
        foresee(session, 1)  # the next one, in the cache that is free now
    assert same(make(foreseen, 2), make(straight, 2))
    assert same(list(foreseen.shoot("a cat", chunks=1)), list(straight.shoot("a cat", chunks=1)))


def test_a_reference_that_goes_by_the_prompt_of_its_shot_is_not_foreseen(pipeline) -> None:
    foreseen, straight = pipeline.open("a fox"), pipeline.open("a fox")
    for session in (foreseen, straight):
        list(session.shoot("runs", chunks=2))
        session.cut("sleeps", chunks=3)
        make(session, 2)
        session.reference(np.full((16, 32, 3), 90, np.uint8))
    foresee(foreseen, 2)
    assert same(list(foreseen.shoot("a cat", chunks=1)), list(straight.shoot("a cat", chunks=1)))


def test_a_retake_of_a_rewound_shot_has_its_whole_length(pipeline) -> None:
    rewound, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (rewound, straight):
        session.cut("sleeps", chunks=5)
        make(session, 1)
    make(rewound, 2)
    rewound.rewind(2)
    assert same(list(rewound.retake(0)), list(straight.retake(0)))


def test_going_on_without_another_prompt_is_as_redirecting_to_the_same(pipeline) -> None:
    rewound, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (rewound, straight):
        session.cut("sleeps", chunks=9)
        make(session, 4)
    make(rewound, 2)
    rewound.rewind(2)
    assert rewound.snapshot().take.record.chunks == 4
    straight.redirect("sleeps")
    assert same(make(rewound, 3), make(straight, 3))


def test_wan_s_decoder_and_a_tiny_one_beside_it_go_back_too(wan_pipeline) -> None:
    torch.manual_seed(4)
    tiny = TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8))
    wan_pipeline.register_modules(live_decoder=tiny.eval())
    try:
        for decoder in ("full", "tiny"):
            rewound = wan_pipeline.open("a fox", rewind_chunks=2, decoder=decoder)
            straight = wan_pipeline.open("a fox", decoder=decoder)
            for session in (rewound, straight):
                session.cut("runs", chunks=9)
            film, expected = make(rewound, 4), make(straight, 2)
            rewound.rewind(2)
            for session in (rewound, straight):
                session.redirect("sleeps")
            film, expected = film[:2] + make(rewound, 2), expected + make(straight, 2)
            assert same(film, expected)
            shown = zip(film, expected, strict=True)
            assert all(np.array_equal(a.frames, b.frames) for a, b in shown)
    finally:
        wan_pipeline.register_modules(live_decoder=None)


@pytest.mark.parametrize("passes", [0, 1, 2, 3])
@pytest.mark.parametrize("back", [0, 2])
def test_a_chunk_that_was_stopped_leaves_no_trace(pipeline, passes: int, back: int) -> None:
    """A redirection after it is the one that would have been given before."""
    stopped, straight = pipeline.open("a fox", rewind_chunks=2), pipeline.open("a fox")
    for session in (stopped, straight):
        session.cut("runs", chunks=20)
    film, expected = make(stopped, 5), make(straight, 5 - back)
    left = iter([False] * passes)
    with pytest.raises(ChunkStopped):
        stopped.next_chunk(is_stopped=lambda: next(left, True))
    stopped.rewind(back)
    for session in (stopped, straight):
        session.redirect("sleeps")
    assert same(film[: 5 - back] + make(stopped, 4), expected + make(straight, 4))


def test_what_cannot_be_taken_back_is_said(pipeline) -> None:
    session = pipeline.open("a fox", rewind_chunks=1)
    assert session.rewindable_chunks == 0
    session.cut("runs", chunks=9)
    make(session, 4)
    assert session.rewindable_chunks == 3, "one chunk is left"
    session.pin(0, 8)
    assert session.rewindable_chunks == 2, "what is pinned was seen"
    with pytest.raises(ValueError, match="3 chunks of shot 1 cannot be taken back, 2 at most"):
        session.rewind(3)
    session.rewind(2)
    with pytest.raises(ValueError, match=r"than it can go on from \(rewind_chunks=1\); cut to the next shot"):
        session.next_chunk()
    session.cut("runs", chunks=9)
    make(session, 2)
    session.branch()
    assert session.rewindable_chunks == 0
    session.next_chunk()
    session.redirect("sleeps")
    make(session, 2)
    assert session.rewindable_chunks == 2
