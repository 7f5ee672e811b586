"""The tiny live decoder changes what is shown and nothing else; nor does an early clean pass."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from shotstream import Chunk, ShotStreamPipeline, Story, StorySession, TinyWanDecoder
from shotstream.loading.folders import ModelError
from shotstream.streaming.chunk import FullFramesError
from shotstream.streaming.full_frames import BackgroundDecoder, FullFrames
from shotstream.streaming.noise import noise
from shotstream.streaming.take import Take


@pytest.fixture(scope="module")
def live(make_pipeline) -> ShotStreamPipeline:
    """The tiny model with a tiny decoder put in."""
    pipeline = make_pipeline()
    torch.manual_seed(3)
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    return pipeline


def telling(session: StorySession) -> list[Chunk]:
    """Three shots with a redirection past the window, an extension, a pin and a retake."""
    chunks = []
    for chunk in session.shoot("runs", chunks=6):
        chunks.append(chunk)
        if chunk.index in (1, 4):
            session.redirect("sleeps in the snow" if chunk.index == 1 else "runs")
    chunks += session.shoot("cat", chunks=1)
    session.pin(1, 2)
    session.extend(chunks=2)
    chunks += iter(session.next_chunk, None)
    return [*chunks, *session.shoot("night"), *session.retake(1, prompt="snow")]


def same(chunks: list[Chunk], others: list[Chunk]) -> bool:
    return all(
        torch.equal(a.latents, b.latents) and np.array_equal(a.full_frames(), b.full_frames())
        for a, b in zip(chunks, others, strict=True)
    )


@pytest.mark.law
def test_the_tiny_decoder_is_shown_and_the_full_one_is_remembered(live) -> None:
    full, tiny = telling(live.open("a fox")), telling(live.open("a fox", decoder="tiny"))
    assert same(full, tiny)
    assert [chunk.frames.shape for chunk in full] == [chunk.frames.shape for chunk in tiny]
    assert all(chunk.full is None and chunk.full_frames() is chunk.frames for chunk in full)
    for chunk in tiny:
        assert chunk.frames.std() > 0
        assert not np.array_equal(chunk.frames, chunk.full_frames())
        with pytest.raises(ValueError, match="read-only"):
            chunk.full_frames()[0] = 0
    whole = live.live_decoder.open_decoder().decode(torch.cat([chunk.latents for chunk in tiny[:6]], dim=1))
    shown = np.concatenate([chunk.frames for chunk in tiny[:6]])
    levels = (whole[0].movedim(1, -1).detach().numpy() + 1) * 127.5
    assert np.abs(levels - shown).max() < 0.51, "pieces are the whole"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_streams_beside_one_another_change_nothing(make_pipeline, decoder: str) -> None:
    pipeline = make_pipeline()
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    pipeline.to("cuda")
    late, early = pipeline.open("a fox"), pipeline.open("a fox", decoder=decoder, works_ahead=True)
    assert early._generator.commits_early
    assert early._generator.encodes_ahead
    late._generator.commits_early = late._generator.encodes_ahead = False
    assert same(telling(late), telling(early))


@pytest.mark.law
@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_an_early_clean_pass_changes_nothing(live, decoder: str) -> None:
    late, early = live.open("a fox", decoder=decoder), live.open("a fox", decoder=decoder)
    assert not late._generator.commits_early, "on a CPU it would only delay the frames"
    early._generator.commits_early = True
    assert same(telling(late), telling(early))


@pytest.mark.law
def test_passes_that_are_begun_ahead_change_nothing(live) -> None:
    """Whatever comes between: another prompt, a retake, chunks taken back, a snapshot, a cut."""

    def tell(session: StorySession) -> list[Chunk]:
        made = []

        def make(chunks: int) -> None:
            made.extend(chunk for _ in range(chunks) if (chunk := session.next_chunk()))

        session.cut("runs", chunks=6)
        make(3)
        session.redirect("waves")
        make(2)
        session.rewind(1)
        snapshot = session.snapshot()
        make(2)
        session.restore(snapshot)
        make(1)
        session.redirect("waves")  # the same words again, after which earlier chunks are passed anew
        make(1)
        session.retake(0, seed=5)
        make(2)
        session.cut("sleeps", chunks=3)
        make(3)
        session.extend(chunks=2)
        make(2)
        return made

    films, ahead = [], []
    for works_ahead in (False, True):
        session = live.open("a fox", rewind_chunks=2, works_ahead=works_ahead)
        generator = session._generator
        generator.commits_early = True
        make = generator.denoise

        def denoise(take: Take, known=None, make=make, generator=generator) -> torch.Tensor:
            begun = generator._ahead
            x0 = make(take, known)
            ahead.append(begun is not None and x0 is begun.x0)
            return x0

        generator.denoise = denoise
        films.append(tell(session))
    assert same(*films)
    assert sum(ahead) == 8, "all but a take's first chunk, and those after a redirection or a restored state"


@pytest.mark.law
def test_noise_that_is_drawn_ahead_is_drawn_once_and_the_same(live) -> None:
    """Also after a cut, for which it was drawn in vain."""
    keys: list[list[tuple]] = [[], []]
    films = []
    for ahead, drawn in enumerate(keys):
        session = live.open("a fox")
        session._generator.commits_early = bool(ahead)
        session._generator.noise_source = lambda key, *of, drawn=drawn, **how: (
            drawn.append(tuple(key)) or noise(key, *of, **how)
        )
        session.cut("runs", chunks=4)
        made = [session.next_chunk() for _ in range(3)]
        films.append([*made, *session.shoot("sleeps", chunks=3)])
    assert same(*films)
    in_vain = [key for key in keys[1] if key not in keys[0]]
    assert {key[1:4] for key in in_vain} == {(0, 0, 3)}
    assert sorted(set(keys[1]) - set(in_vain)) == sorted(keys[0])
    assert len(keys[1]) == len(set(keys[1])) == len(keys[0]) + len(in_vain)


@pytest.mark.law
@pytest.mark.parametrize("early", [False, True])
def test_a_snapshot_mid_shot_goes_on_bit_for_bit(live, early: bool) -> None:
    session, other = (live.open("a fox", decoder="tiny") for _ in range(2))
    session._generator.commits_early = session._generator.encodes_ahead = early
    list(session.shoot("runs"))
    session.cut("sleeps", chunks=6)
    for _ in range(4):
        session.next_chunk()
    snapshot = session.snapshot()

    def go_on(session: StorySession) -> list[Chunk]:
        session.restore(snapshot)
        session.redirect("a cat")
        return [*iter(session.next_chunk, None), *session.shoot("runs")]

    went_on = [go_on(teller) for teller in (session, other, session)]
    for chunks in went_on[1:]:
        assert same(chunks, went_on[0])
        assert all(np.array_equal(a.frames, b.frames) for a, b in zip(chunks, went_on[0], strict=True))


@pytest.mark.law
def test_a_snapshot_of_another_decoder(live) -> None:
    tiny, full = live.open("a fox", decoder="tiny"), live.open("a fox")
    list(tiny.shoot("runs"))
    with pytest.raises(ValueError, match="shown by the tiny decoder, this session uses the full one"):
        full.restore(tiny.snapshot())
    assert tiny.branch().decoder == "tiny"


@pytest.mark.law
def test_the_background_decoder_keeps_order_and_goes_on_beside(live) -> None:
    """The caller gets on with its work, and chunks come out as they would in its own thread."""
    clip = torch.randn(1, 6, 4, 2, 4)
    decoder, thread = live.autoencoder.open_decoder(), []
    plain = decoder.decode
    decoder.decode = lambda latents: (thread.append(threading.get_ident()), plain(latents))[1]
    background = BackgroundDecoder(torch.device("cpu"), torch.float32, ThreadPoolExecutor(1))
    full = FullFrames(background, lambda: decoder)
    promised = [full.add(piece) for piece in clip.split(2, dim=1)]
    assert not any(future.running() or future.done() for future in promised), "nobody asked"
    full.request(3)
    frames = np.concatenate([future.result() for future in promised])
    whole = live.autoencoder.open_decoder().decode(clip)[0].clamp(-1, 1)
    levels = (whole.movedim(1, -1).detach().numpy() + 1) * 127.5
    assert np.abs(levels - frames).max() < 0.51
    assert threading.get_ident() not in thread
    assert len(set(thread)) == 1


@pytest.mark.law
def test_a_failure_in_the_background_is_raised_where_frames_are_needed(live) -> None:
    session = live.open("a fox", decoder="tiny")
    session.cut("runs", chunks=2)
    session._take.full.decoder.restore([torch.zeros(7)])  # of no shape that fits
    shown = session.next_chunk()
    with pytest.raises(FullFramesError, match=r"decoder failed \(.*\) before it had made chunk 1 of shot 1"):
        session.pin(0, 0)
    assert np.array_equal(session.pin(0, 0).pixels, shown.frames[0]), "what was shown stands in, from then on"


def broken(live, **length: int) -> tuple[StorySession, list[Chunk]]:
    """A story whose second shot has failed in the background at its second chunk."""
    session = live.open("a fox", decoder="tiny")
    list(session.shoot("cat", chunks=2))
    session.cut("runs", chunks=4)
    decode, calls = session._take.full.decoder.decode, []

    def fail_once(latents: torch.Tensor) -> torch.Tensor:
        calls.append(latents)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return decode(latents)

    session._take.full.decoder.decode = fail_once
    return session, [session.next_chunk() for _ in range(3)]


WAYS_ON = {
    "cut": lambda session: session.cut("sleeps"),
    "retake": lambda session: session.retake(1),
    "branch": lambda session: session.branch(),
    "pin": lambda session: session.pin(1, 6),
}


@pytest.mark.law
@pytest.mark.parametrize("way", WAYS_ON.values(), ids=WAYS_ON)
def test_a_failure_in_the_background_is_told_once_and_the_story_goes_on(live, way) -> None:
    session, chunks = broken(live)
    with pytest.raises(FullFramesError, match=r"out of memory.* chunk 2 of shot 2; .* retake it"):
        way(session)
    assert [record.prompt for record in session.script] == ["cat", "runs"], "nothing else has happened"
    way(session)
    assert chunks[0].ready
    for chunk in chunks[1:]:  # the third is decodable, but not from where the second should have left off
        assert not chunk.ready
        with pytest.raises(FullFramesError):
            chunk.full_frames()
    again = list(session.retake(1))
    for chunk in again:
        assert not np.array_equal(chunk.frames, chunk.full_frames()), "the retake is in full quality"


@pytest.mark.law
def test_a_shot_that_failed_in_the_background_goes_on_as_it_is_shown(live) -> None:
    session, chunks = broken(live)
    with pytest.raises(FullFramesError):
        session.pin(1, 6)
    snapshot = session.snapshot()
    for _ in range(2):
        last = session.next_chunk()
        assert last.full is None
        assert last.last
        pictures = np.stack([session._take.picture(frame) for frame in range(len(session._take.prompts))])
        kept = [chunks[0].full_frames(), chunks[1].frames, chunks[2].frames, last.frames]
        assert np.array_equal(pictures, np.concatenate(kept))
        session.restore(snapshot)


@pytest.mark.law
def test_from_a_snapshot_full_frames_are_made_anew(live) -> None:
    """It needs none, so a failure does not reach it; nor do chunks that are taken back or made later."""
    session, chunks = broken(live)
    snapshot = session.snapshot()
    session.restore(snapshot)
    again = session._take.pending[:]
    session.next_chunk()
    session.cut("sleeps")
    whole = live.open("a fox")
    list(whole.shoot("cat", chunks=2))
    expected = list(whole.shoot("runs", chunks=4))
    assert [chunk.index for chunk in again] == list(range(3 - len(again), 3))
    for chunk in again:
        assert np.array_equal(chunk.full_frames(), expected[chunk.index].frames)
    assert np.array_equal(chunks[0].full_frames(), expected[0].frames)


@pytest.mark.law
def test_a_failure_in_the_background_does_not_stop_a_restore(live) -> None:
    whole = live.open("a fox", decoder="tiny")
    list(whole.shoot("cat", chunks=2))
    snapshot = whole.snapshot()
    session, _ = broken(live)
    session.restore(snapshot)
    assert same(list(session.shoot("sleeps")), list(whole.shoot("sleeps")))


def held_up(live, chunks: int) -> tuple[StorySession, list[Chunk], threading.Event]:
    """A story whose full decoder stands still at chunk 2 of shot 2 until the event is set."""
    session, go_on = live.open("a fox", decoder="tiny"), threading.Event()
    list(session.shoot("cat", chunks=1))
    session.cut("runs", chunks=chunks)
    decode = session._take.full.decoder.decode
    told = [session.next_chunk()]
    told[0].full_frames()
    session._take.full.decoder.decode = lambda latents: (go_on.wait(10), decode(latents))[1]
    return session, [*told, *(session.next_chunk() for _ in range(3))], go_on


@pytest.mark.law
@pytest.mark.parametrize("chunks", [4, 5], ids=["complete", "mid-shot"])
def test_a_closed_session_waits_for_nothing_and_can_be_gone_on_from(live, chunks: int) -> None:
    session, told, go_on = held_up(live, chunks)
    session.close()
    session.close()
    assert not told[1].full.done(), "nobody waited"
    for chunk in told[2:]:
        with pytest.raises(FullFramesError, match=r"was stopped before it had made chunk [34] of shot 2"):
            chunk.full_frames()
    with pytest.raises(ValueError, match="this session is closed; open another"):
        session.cut("sleeps")
    assert session.next_chunk() is None
    assert session.context.shot_frames == [5, 29]
    pictures = {frame.key: frame.pixels for frame in session.context.frames}
    assert np.array_equal(pictures[1, 0], told[0].full_frames()[0])
    assert np.array_equal(pictures[1, 28], told[3].frames[-1]), "as it was shown"
    go_on.set()
    assert told[1].full_frames().shape == told[1].frames.shape
    other = live.open("a fox", decoder="tiny")
    other.restore(session.snapshot())
    assert same(list(other.shoot("sleeps")), list(session.branch().shoot("sleeps")))


@pytest.mark.law
def test_full_frames_that_are_cancelled_stop_no_story(live) -> None:
    session, told, go_on = held_up(live, chunks=5)
    assert told[2].full.cancel()
    go_on.set()
    with pytest.raises(FullFramesError, match="was stopped before it had made chunk 3"):
        session.cut("sleeps")
    session.cut("sleeps")
    assert session.context.shot_frames == [5, 29]


@pytest.mark.law
@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_a_story_that_is_dropped_half_way_leaves_nothing_behind(live, decoder: str) -> None:
    """A chunk that is kept still gets its full frames."""
    story = Story.model_validate(
        {"setting": "a fox", "shots": [{"prompt": "runs", "chunks": 2}, {"prompt": "cat", "chunks": 6}]}
    )
    chunks = live.stream(story, decoder=decoder)
    kept = [next(chunks) for _ in range(5)][-1]
    session = weakref.ref(chunks.gi_frame.f_locals["script"].session)
    chunks.close()
    gc.collect()
    assert session() is None
    assert kept.full_frames().shape == kept.frames.shape


@pytest.mark.law
def test_a_closed_session_leaves_the_work_of_others_alone(live) -> None:
    closed, _, go_on = held_up(live, chunks=5)
    other = live.open("a fox", decoder="tiny")
    other.cut("cat", chunks=2)
    waiting = [other.next_chunk() for _ in range(2)]
    closed.close()
    assert not any(chunk.ready for chunk in waiting), "they wait for the thread"
    go_on.set()
    alone = list(live.open("a fox").shoot("cat", chunks=2))
    assert same(waiting, alone)


@pytest.mark.law
def test_sessions_share_two_threads_which_end_with_the_pipeline(make_pipeline) -> None:
    before = set(threading.enumerate())

    def workers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in before]

    pipeline = make_pipeline()
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    sessions = [pipeline.open("a fox", decoder="tiny") for _ in range(2)]
    assert not workers(), "none is begun before there is work"
    for session in sessions:
        list(session.shoot("runs", chunks=1))
        list(session.shoot("sleeps", chunks=1))
        session.close()
    threads = workers()
    assert sorted(thread.name for thread in threads) == ["shotstream-decode_0", "shotstream-stills_0"]
    del pipeline, sessions, session
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.law
@pytest.mark.parametrize("way", ["pin", "full_frames"])
def test_a_failure_in_the_background_keeps_no_session_alive(live, way: str) -> None:
    session, chunks = broken(live)
    with pytest.raises(FullFramesError):
        session.pin(1, 6) if way == "pin" else chunks[1].full_frames()
    alive = weakref.ref(session)
    del session
    gc.collect()
    assert alive() is None, "chunks that were handed out are all that is left"


@pytest.mark.law
def test_decoders_that_are_not_there(pipeline, live) -> None:
    with pytest.raises(ValueError, match=r"no tiny decoder; .* convert ... --tiny-decoder taew2_1.pth"):
        pipeline.open(decoder="tiny")
    with pytest.raises(ValueError, match="the decoder 'small' is unknown; use 'full' or 'tiny'"):
        live.open(decoder="small")
    with pytest.raises(
        ModelError, match="the live decoder reads 16 latent channels, the autoencoder makes 4"
    ):
        ShotStreamPipeline(**{**pipeline.components, "live_decoder": TinyWanDecoder(widths=(4, 4, 4, 4))})


@pytest.mark.law
def test_it_is_saved_with_the_model(live, tmp_path) -> None:
    live.save_pretrained(tmp_path)
    loaded = ShotStreamPipeline.from_pretrained(tmp_path)
    shown = next(loaded.open("a fox", decoder="tiny").shoot("runs")).frames
    assert np.array_equal(shown, next(live.open("a fox", decoder="tiny").shoot("runs")).frames)
