from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.utils import counters

from shotstream.models.autoencoder import StreamingDecoder, VideoAutoencoder
from shotstream.models.autoencoder_wan import WanVideoAutoencoder, as_video_autoencoder

pytestmark = pytest.mark.law


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    """In float64: a random network magnifies rounding."""
    torch.manual_seed(0)
    statistics = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [0.5, 1.5, 2.0, 1.0]}
    return (
        AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **statistics)
        .double()
        .eval()
    )


@pytest.fixture(scope="module")
def wrapped(vae: AutoencoderKLWan) -> VideoAutoencoder:
    return as_video_autoencoder(vae)


def statistics(vae: AutoencoderKLWan) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.tensor([vae.config.latents_mean, vae.config.latents_std], dtype=torch.float64)
    mean, deviation = values.view(2, 1, -1, 1, 1, 1)
    return mean, deviation


def test_wrapped_has_the_interface(wrapped: VideoAutoencoder) -> None:
    assert isinstance(wrapped, VideoAutoencoder)
    assert isinstance(wrapped.open_decoder(), StreamingDecoder)
    assert as_video_autoencoder(wrapped) is wrapped
    assert (wrapped.spatial_ratio, wrapped.temporal_ratio, wrapped.latent_channels) == (8, 4, 4)


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="Linear is no video autoencoder"):
        as_video_autoencoder(nn.Linear(1, 1))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3))
@torch.no_grad()
def test_streaming_decode_is_whole_decode(vae, wrapped, chunks: list[int]) -> None:
    latents = torch.randn(1, sum(chunks), 4, 2, 3, dtype=torch.float64)
    mean, deviation = statistics(vae)
    whole = vae.decode(latents.transpose(1, 2) * deviation + mean).sample.transpose(1, 2)
    decoder = wrapped.open_decoder()
    pieces = [decoder.decode(piece) for piece in latents.split(chunks, dim=1)]
    assert [piece.shape[1] for piece in pieces] == [4 * f - 3 * (i == 0) for i, f in enumerate(chunks)]
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-9)


@torch.no_grad()
def test_a_restored_decoder_goes_on_exactly(wrapped: VideoAutoencoder) -> None:
    latents = torch.randn(2, 5, 4, 2, 2, dtype=torch.float64)
    decoder, again = wrapped.open_decoder(), wrapped.open_decoder()
    fresh = decoder.state()
    for begun in (1, 2):  # after the first frame the state holds diffusers' mark instead of features
        decoder.restore(fresh)
        decoder.decode(latents[:, :begun])
        state = decoder.state()
        expected = decoder.decode(latents[:, begun:])
        again.restore(state)
        assert torch.equal(again.decode(latents[:, begun:]), expected)


@torch.no_grad()
def test_encode_clip_is_the_normalised_mean(vae, wrapped) -> None:
    frames = torch.rand(2, 9, 3, 16, 24, dtype=torch.float64) * 2 - 1
    mean, deviation = statistics(vae)
    expected = (vae.encode(frames.transpose(1, 2)).latent_dist.mean - mean) / deviation
    assert torch.allclose(wrapped.encode_clip(frames), expected.transpose(1, 2), atol=1e-6)
    with pytest.raises(ValueError, match="a clip of 8 frames"):
        wrapped.encode_clip(frames[:, :8])


@torch.no_grad()
def test_stills_do_not_see_one_another(wrapped: VideoAutoencoder) -> None:
    frames = torch.rand(2, 3, 3, 16, 16, dtype=torch.float64) * 2 - 1
    stills = wrapped.encode_stills(frames)
    assert stills.shape == (2, 3, 4, 2, 2)
    assert torch.allclose(stills[1, 2], wrapped.encode_clip(frames[1:, 2:])[0, 0], atol=1e-9)


@torch.no_grad()
def test_wan_2_2_s_autoencoder_is_refused() -> None:
    sizes = {"base_dim": 4, "decoder_base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_dim": 4}
    with pytest.raises(ValueError, match=r"Wan 2\.2"):
        as_video_autoencoder(AutoencoderKLWan(is_residual=True, patch_size=2, **sizes))


@torch.no_grad()
def test_its_decoder_compiles_whole_and_once_for_all_shots() -> None:
    """In three graphs (a shot's first frame, the rest of its first chunk, other chunks), no more later."""
    torch.manual_seed(0)
    sizes = {"dim_mult": [1, 1], "num_res_blocks": 0, "temperal_downsample": [True]}
    vae = AutoencoderKLWan(base_dim=4, z_dim=4, latents_mean=[0.0] * 4, latents_std=[1.0] * 4, **sizes).eval()
    wrapped, latents = WanVideoAutoencoder(vae), torch.randn(1, 6, 4, 2, 3)
    plain = wrapped.open_decoder().decode(latents)
    torch._dynamo.reset()
    counters.clear()
    wrapped.compile_decoder(backend="aot_eager")

    def stream(decoder: StreamingDecoder) -> torch.Tensor:
        return torch.cat([decoder.decode(chunk) for chunk in latents.split(3, dim=1)], dim=1)

    compiled = stream(wrapped.open_decoder())
    assert torch.allclose(compiled, plain, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]
    decoder, again = wrapped.open_decoder(), wrapped.open_decoder()
    with torch._dynamo.config.patch(error_on_recompile=True):
        first = decoder.decode(latents[:, :3])
        again.restore([past.contiguous() for past in decoder.state()])  # as files give it back
        assert torch.equal(torch.cat([first, again.decode(latents[:, 3:])], dim=1), compiled)
    wrapped.undo_compile()
    assert torch.allclose(wrapped.open_decoder().decode(latents), plain, atol=1e-5)
