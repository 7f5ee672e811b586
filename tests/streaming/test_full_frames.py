"""Full frames beside a tiny decoder: the fewest that memory needs, the same bits, no state kept too long."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shotstream import Chunk, ShotStreamPipeline, StorySession, TinyWanDecoder
from shotstream.streaming.decoding import HIGH_PRIORITY, HIGHEST_PRIORITY, SideStream
from shotstream.streaming.memory_rules import MEMORY_RULES, SPREAD

pytestmark = pytest.mark.law

SHOTS = ("runs", "sleeps", "a cat", "at night", "snow", "runs", "cat", "sleeps", "night", "snow")


class CountingDecoder:
    """A full decoder that counts the chunks it decodes, those of a take that begins anew included."""

    count = 0

    def __init__(self, decoder) -> None:
        self.plain = decoder

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        CountingDecoder.count += 1
        return self.plain.decode(latents)

    def state(self) -> list[torch.Tensor]:
        return self.plain.state()

    def restore(self, state: list[torch.Tensor]) -> None:
        self.plain.restore(state)


@pytest.fixture
def live(make_pipeline) -> ShotStreamPipeline:
    """The tiny model with a tiny decoder, whose full one counts."""
    pipeline = make_pipeline()
    torch.manual_seed(3)
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    plain = pipeline.vae.open_decoder
    pipeline.vae.open_decoder = lambda: CountingDecoder(plain())
    CountingDecoder.count = 0
    return pipeline


def settle(session: StorySession) -> None:
    if session._take and session._take.full:
        session._take.full.settle()


def remembered(session: StorySession) -> list[tuple]:
    frames = (*session.context.frames, *session.context.pins)
    return [(frame.take_key, frame.prompt, frame.pixels.tobytes()) for frame in frames]


def same(one: list[Chunk], other: list[Chunk]) -> bool:
    return all(torch.equal(a.latents, b.latents) for a, b in zip(one, other, strict=True))


def test_a_long_story_makes_few_full_frames_and_is_the_same_story(live) -> None:
    """From the shot on whose first frame is all that memory can ask for, one chunk of each."""
    full, tiny = live.open("a fox"), live.open("a fox", decoder="tiny")
    budget = full.context.budget
    made: list[int] = []
    for prompt in SHOTS:
        expected = list(full.shoot(prompt, chunks=4))
        CountingDecoder.count = 0
        assert same(expected, list(tiny.shoot(prompt, chunks=4)))
        settle(tiny)
        made.append(CountingDecoder.count)
        full.end_shot()
        tiny.end_shot()
        assert remembered(full) == remembered(tiny)
    assert made == [4] * (budget - 1) + [1] * (len(SHOTS) - budget + 1)


@pytest.mark.parametrize("rule", [rule for rule in MEMORY_RULES if rule != SPREAD])
def test_a_rule_by_words_can_ask_for_the_last_frame_of_every_shot(live, rule: str) -> None:
    sessions = [live.open("a fox", decoder=decoder, memory_rule=rule) for decoder in ("full", "tiny")]
    for prompt in SHOTS:
        shots = [list(session.shoot(prompt, chunks=2)) for session in sessions]
        assert same(*shots)
    for session in sessions:
        session.end_shot()
    assert remembered(sessions[0]) == remembered(sessions[1])


def test_what_can_be_taken_back_is_not_made_and_taking_back_waits_for_nothing(live) -> None:
    session = live.open("a fox", decoder="tiny", rewind_chunks=2)
    session.cut("runs", chunks=6)
    for made in (0, 0, 1, 2):
        session.next_chunk()
        settle(session)
        assert CountingDecoder.count == made
    session.rewind(2)
    session.redirect("sleeps")
    session.next_chunk()
    settle(session)
    assert CountingDecoder.count == 2, "the third is new, and can be taken back"
    assert [len(session._take.full.latents), session._take.record.chunks] == [3, 3]


def take_back_what_is_made(session: StorySession) -> None:
    session.pin(0, 25)  # the full decoder stands behind all chunks
    session.unpin(0, 25)
    session.rewind(2)


def take_back_what_is_not_made(session: StorySession) -> None:
    session.rewind(2)


def cancel_one(session: StorySession) -> None:
    take = session._take
    if take.full:
        assert take.pending[-1].full.cancel(), "it can be taken back, so nobody has begun it"
    session.rewind(2)


def restore_another(session: StorySession) -> None:
    snapshot = session.snapshot()
    session.redirect("sleeps")
    session.next_chunk()
    session.restore(snapshot)


@pytest.mark.parametrize(
    "change", [take_back_what_is_made, take_back_what_is_not_made, cancel_one, restore_another]
)
def test_whatever_is_taken_back_the_frames_that_are_remembered_are_the_same(live, change: Callable) -> None:
    sessions = [live.open("a fox", decoder=decoder, rewind_chunks=3) for decoder in ("full", "tiny")]
    films = []
    for session in sessions:
        session.cut("runs", chunks=6)
        for _ in range(4):
            session.next_chunk()
        change(session)
        session.redirect("sleeps")
        rest = list(iter(session.next_chunk, None))
        films.append([*rest, *session.shoot("a cat")])
        session.end_shot()
    assert same(*films)
    for shown, expected in zip(films[1], films[0], strict=True):
        assert np.array_equal(shown.full_frames(), expected.frames)
    assert remembered(sessions[0]) == remembered(sessions[1])


def test_frames_that_nobody_needed_are_made_when_somebody_asks(live) -> None:
    full, tiny = live.open("a fox"), live.open("a fox", decoder="tiny")
    for prompt in SHOTS[:6]:
        expected, shown = (list(session.shoot(prompt, chunks=4)) for session in (full, tiny))
    CountingDecoder.count = 0
    assert not shown[2].ready
    tiny.cut("a cat")  # the take is over, and its decoder's state is gone
    assert np.array_equal(shown[2].full_frames(), expected[2].frames)
    assert CountingDecoder.count == 3
    assert np.array_equal(shown[1].full_frames(), expected[1].frames)
    assert not shown[3].ready
    shown[3].request_full()
    assert np.array_equal(shown[3].full_frames(), expected[3].frames)


def test_foreseeing_a_cut_has_made_what_it_needs(live) -> None:
    session = live.open("a fox", decoder="tiny", rewind_chunks=4)
    session.cut("runs", chunks=8)
    for _ in range(4):
        session.next_chunk()
    assert CountingDecoder.count == 0
    while not session.foresee_cut(2):
        settle(session)
        session._generator.stills.wait()
    assert CountingDecoder.count == 2
    session.rewind(2)
    session.cut("sleeps")
    assert CountingDecoder.count == 2, "the cut waited for nothing"


@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_decoders_of_a_take_that_is_over_are_let_go(live, decoder: str) -> None:
    """At once, and whatever somebody keeps of it: a decoder's state is the largest part of a take."""
    session = live.open("a fox", decoder=decoder, rewind_chunks=2)
    kept, gone = [], []
    gc.collect()
    gc.disable()
    try:
        for prompt in SHOTS[:3]:
            session.cut(prompt, chunks=3)
            take = session._take
            gone.append(weakref.ref(take.decoder))
            if take.full:
                gone.append(weakref.ref(take.full.decoder))
            kept += list(iter(session.next_chunk, None))
            gone += [weakref.ref(tensor) for state in take.states for tensor in state]
            settle(session)
            del take
            session.end_shot()
            assert len(gone) > 1
            assert not [reference for reference in gone if reference() is not None]
    finally:
        gc.enable()
    assert [chunk.full_frames().shape for chunk in kept] == [chunk.frames.shape for chunk in kept]


def test_frames_that_are_made_keep_nothing_else_alive(live) -> None:
    session = live.open("a fox", decoder="tiny")
    chunk = next(session.shoot("runs", chunks=2))
    chunk.full_frames()
    full = weakref.ref(session._take.full)
    session.close()
    del session
    gc.collect()
    assert full() is None
    assert chunk.ready


def test_shown_frames_go_before_passes_and_passes_before_full_frames(live) -> None:
    generator = live.open("a fox", decoder="tiny")._generator
    streams = (generator._beside, generator._passes, generator._background.stream)
    assert [stream.priority for stream in streams] == [HIGHEST_PRIORITY, HIGH_PRIORITY, 0]
    assert HIGHEST_PRIORITY < HIGH_PRIORITY < 0, "lower numbers go first"
    with SideStream(torch.device("cpu")).instead():
        assert torch.ones(1).item() == 1


def test_sessions_share_a_stream_of_each_priority(monkeypatch) -> None:
    """Torch keeps memory for the stream that it was used on: others could not have it."""
    made = []
    module = SimpleNamespace(Stream=lambda device, priority: made.append((device, priority)))
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    here, there = torch.device("cuda", 98), torch.device("cuda", 99)
    for device, priority in [(here, 0), (here, -1), (here, 0), (there, 0), (there, 0), (here, -1)]:
        SideStream(device, priority)
    assert made == [(here, 0), (here, -1), (there, 0)]
