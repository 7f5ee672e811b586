"""The tiny live decoder changes what is shown and nothing else; nor does an early clean pass."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from shotstream import Chunk, ShotStreamPipeline, StorySession, TinyWanDecoder
from shotstream.streaming.decoding import BackgroundDecoder, Moment
from shotstream.streaming.loading import ModelError

pytestmark = pytest.mark.cpu


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
    late, early = pipeline.open("a fox"), pipeline.open("a fox", decoder=decoder)
    assert early._stage.commits_early
    late._stage.commits_early = False
    assert same(telling(late), telling(early))


@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_an_early_clean_pass_changes_nothing(live, decoder: str) -> None:
    late, early = live.open("a fox", decoder=decoder), live.open("a fox", decoder=decoder)
    assert not late._stage.commits_early, "on a CPU it would only delay the frames"
    early._stage.commits_early = True
    assert same(telling(late), telling(early))


@pytest.mark.parametrize("early", [False, True])
def test_a_snapshot_mid_shot_goes_on_bit_for_bit(live, early: bool) -> None:
    session, other = (live.open("a fox", decoder="tiny") for _ in range(2))
    session._stage.commits_early = early
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


def test_a_snapshot_of_another_decoder(live) -> None:
    tiny, full = live.open("a fox", decoder="tiny"), live.open("a fox")
    list(tiny.shoot("runs"))
    with pytest.raises(ValueError, match="shown by the tiny decoder, this session uses the full one"):
        full.restore(tiny.snapshot())
    assert tiny.branch().decoder == "tiny"


def test_the_background_decoder_keeps_order_and_goes_on_beside(live) -> None:
    """The caller gets on with its work, and chunks come out as they would in its own thread."""
    clip = torch.randn(1, 6, 4, 2, 4)
    decoder, thread = live.autoencoder.open_decoder(), []
    plain = decoder.decode
    decoder.decode = lambda latents: (thread.append(threading.get_ident()), plain(latents))[1]
    background = BackgroundDecoder(torch.device("cpu"), torch.float32)
    made = Moment(torch.device("cpu"))
    promised = [background.submit(decoder, piece, made) for piece in clip.split(2, dim=1)]
    frames = np.concatenate([future.result() for future in promised])
    whole = live.autoencoder.open_decoder().decode(clip)[0].clamp(-1, 1)
    levels = (whole.movedim(1, -1).detach().numpy() + 1) * 127.5
    assert np.abs(levels - frames).max() < 0.51
    assert threading.get_ident() not in thread
    assert len(set(thread)) == 1


def test_a_failure_in_the_background_is_raised_where_frames_are_needed(live) -> None:
    session = live.open("a fox", decoder="tiny")
    session.cut("runs", chunks=2)
    session._take.full_decoder.restore([torch.zeros(7)])  # of no shape that fits
    shown = session.next_chunk()
    for _ in range(2):
        with pytest.raises((RuntimeError, IndexError)):
            session.pin(0, 0)


def test_decoders_that_are_not_there(pipeline, live) -> None:
    with pytest.raises(ValueError, match=r"no tiny decoder; .* convert ... --tiny-decoder taew2_1.pth"):
        pipeline.open(decoder="tiny")
    with pytest.raises(ValueError, match="the decoder 'small' is unknown; use 'full' or 'tiny'"):
        live.open(decoder="small")
    with pytest.raises(
        ModelError, match="the live decoder reads 16 latent channels, the autoencoder makes 4"
    ):
        ShotStreamPipeline(**{**pipeline.components, "live_decoder": TinyWanDecoder(widths=(4, 4, 4, 4))})


def test_it_is_saved_with_the_model(live, tmp_path) -> None:
    live.save_pretrained(tmp_path)
    loaded = ShotStreamPipeline.from_pretrained(tmp_path)
    shown = next(loaded.open("a fox", decoder="tiny").shoot("runs")).frames
    assert np.array_equal(shown, next(live.open("a fox", decoder="tiny").shoot("runs")).frames)
