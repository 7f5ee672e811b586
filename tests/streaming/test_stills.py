"""Frames are encoded for the next shot while theirs is still being made, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from shotstream import Chunk, ShotStreamPipeline, StorySession, TinyWanDecoder
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.stills import StillEncoder

pytestmark = pytest.mark.law


@pytest.fixture(scope="module")
def live(make_pipeline) -> ShotStreamPipeline:
    """The tiny model with a tiny decoder put in."""
    pipeline = make_pipeline()
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    return pipeline


def open_ahead(pipeline: ShotStreamPipeline, decoder: str = "full") -> StorySession:
    """A session that encodes ahead, as on a GPU."""
    session = pipeline.open("a fox", decoder=decoder)
    assert not session._generator.encodes_ahead, "on a CPU it would only delay the frames"
    session._generator.encodes_ahead = True
    return session


def encoded(frames: list[ContextFrame]) -> list[tuple[int, int]]:
    return [frame.key for frame in frames if frame.latent is not None]


def finish(session: StorySession) -> list[Chunk]:
    return list(iter(session.next_chunk, None))


def cut_early(session: StorySession) -> list[Chunk]:
    session.cut("sleeps", chunks=6)
    return [session.next_chunk() for _ in range(3)]


def extend(session: StorySession) -> list[Chunk]:
    session.cut("sleeps", chunks=2)
    chunks = [session.next_chunk()]
    session.extend(chunks=1)
    chunks += finish(session)
    session.extend(chunks=1)
    return [*chunks, *finish(session)]


def redirect(session: StorySession) -> list[Chunk]:
    session.cut("sleeps", chunks=3)
    chunks = [session.next_chunk()]
    session.redirect("snow")
    return [*chunks, *finish(session)]


def retake_halfway(session: StorySession) -> list[Chunk]:
    chunks = cut_early(session)
    return [*chunks, *session.retake(1), *session.retake(0)]


def branch_halfway(session: StorySession) -> list[Chunk]:
    chunks = cut_early(session)
    return [*chunks, *session.branch().shoot("night"), *finish(session)]


def restore_halfway(session: StorySession) -> list[Chunk]:
    chunks = cut_early(session)
    snapshot = session.snapshot()
    chunks += finish(session)
    session.restore(snapshot)
    return [*chunks, *finish(session)]


def rule_changed(session: StorySession) -> list[Chunk]:
    chunks = cut_early(session)
    session.context.select = lambda shot_frames, budget: [(shot, 1) for shot in range(len(shot_frames))]
    return [*chunks, *finish(session)]


WAYS = [cut_early, extend, redirect, retake_halfway, branch_halfway, restore_halfway, rule_changed]


@pytest.mark.parametrize("decoder", ["full", "tiny"])
@pytest.mark.parametrize("way", WAYS)
def test_encoding_ahead_changes_nothing(live, decoder: str, way: Callable) -> None:
    tellings, stills = [], []
    for session in (live.open("a fox", decoder=decoder), open_ahead(live, decoder)):
        chunks = [*session.shoot("runs"), *way(session), *session.shoot("a cat"), *session.shoot("night")]
        tellings.append(chunks)
        remembered = session.context.choose(len(session.script))
        stills.append(session._generator.stills.latents(remembered))
    for late, ahead in zip(*tellings, strict=True):
        assert torch.equal(late.latents, ahead.latents)
        assert np.array_equal(late.full_frames(), ahead.full_frames())
    assert torch.equal(*stills)


@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_a_frame_is_encoded_once_it_is_made(live, decoder: str) -> None:
    """Those of earlier shots that this one was not made from too; each of them once."""
    session, calls = open_ahead(live, decoder), []
    stills = session._generator.stills
    encode = stills._encode
    stills._encode = lambda frame: (calls.append(frame.key), encode(frame))[1]
    list(session.shoot("runs"))
    stills.wait()
    assert calls == [(0, 0), (0, 4), (0, 8), (0, 12), (0, 16), (0, 20)]
    session.cut("sleeps")
    for made in ([(0, 10), (1, 0)], [(0, 10), (1, 0), (1, 10)]):
        session.next_chunk().full_frames()
        take = session.running  # a tiny decoder is ready only now
        foreseen = take.foresee(session.context, session.pipeline.timing.frames(take.length_chunks))
        session._generator.stills.request(foreseen)
        stills.wait()
        assert calls[6:] == made
    finish(session)
    stills.wait()
    assert calls[6:] == [(0, 10), (1, 0), (1, 10), (1, 20)]
    assert encoded(session.context.choose(2)) == [(0, 0), (0, 10), (0, 20), (1, 0), (1, 10), (1, 20)]


def test_what_was_encoded_in_vain_is_dropped(live) -> None:
    """However often the plan changes, at most the frames of one shot's context are kept ahead."""
    session = open_ahead(live)
    session.cut("runs", chunks=1)
    for _ in range(8):
        session.extend(chunks=2)
        session.next_chunk()
        assert len(session._take.ahead) <= session.context.budget
        assert len(session._generator.stills._pending) <= session.context.budget
    session._generator.stills.wait()
    ahead = list(session._take.ahead.values())
    session.cut("sleeps")
    kept = [frame for frame in ahead if frame in session.context.frames]
    assert 0 < len(kept) < len(ahead)


def test_a_failure_ahead_is_raised_where_the_still_is_needed(live) -> None:
    session, alone = open_ahead(live), live.open("a fox")
    stills = session._generator.stills
    encode, failed = stills._encode, []

    def fail_once(frame: ContextFrame) -> None:
        if not failed:
            failed.append(frame)
            raise torch.OutOfMemoryError
        encode(frame)

    stills._encode = fail_once
    list(alone.shoot("runs"))
    list(session.shoot("runs"))
    session.cut("sleeps")
    with pytest.raises(torch.OutOfMemoryError):
        session.next_chunk()
    assert torch.equal(session.next_chunk().latents, next(alone.shoot("sleeps")).latents)


def test_a_request_replaces_the_one_before(live) -> None:
    worker, go_on = ThreadPoolExecutor(1), threading.Event()
    stills = StillEncoder(live.autoencoder, torch.float32, torch.device("cpu"), worker)
    frames = [ContextFrame(np.zeros((16, 32, 3), np.uint8), 0, 0, number, "runs") for number in range(4)]
    worker.submit(go_on.wait, 10)
    stills.request(frames[:3])
    stills.request(frames[2:])
    go_on.set()
    stills.wait()
    assert encoded(frames) == [(0, 2), (0, 3)]
    assert stills.latents([frames[3], frames[0], frames[3]]).shape == (1, 3, 4, 2, 4)
