"""The light autoencoder: causal, the same in pieces as at once, and started from principal components."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.models.autoencoder_tiny import MemoryBlock, TinyVideoAutoencoder

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    network = TinyVideoAutoencoder(
        latent_channels=4,
        encoder_widths=(8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        latents_mean=(0.1, 0.2, 0.3, 0.4),
        latents_std=(1.0, 2.0, 3.0, 0.5),
    ).double()
    for block in network.modules():  # they start as the identity, which would hide what they remember
        if isinstance(block, MemoryBlock):
            torch.nn.init.normal_(block.conv_out.weight, std=0.1)
    return network.eval().requires_grad_(False)


def clip(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, frames, 3, 16, 24, generator=generator, dtype=torch.float64) * 2 - 1


def test_shapes(autoencoder):
    latents = autoencoder.encode_clip(clip(9))
    assert latents.shape == (2, 3, 4, 2, 3)
    assert autoencoder.open_decoder().decode(latents).shape == (2, 9, 3, 16, 24)


@settings(deadline=None, max_examples=20)
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_streaming_decode_is_whole_decode(autoencoder, pieces):
    latents = torch.randn(
        1, sum(pieces), 4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    whole = autoencoder.open_decoder().decode(latents)
    decoder = autoencoder.open_decoder()
    streamed = torch.cat([decoder.decode(piece) for piece in latents.split(pieces, dim=1)], dim=1)
    assert streamed.shape[1] == 1 + 4 * (sum(pieces) - 1)
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-12)


def test_nothing_looks_ahead(autoencoder):
    early, late = clip(9), clip(9)
    late[:, 5:] = clip(4, seed=7)
    first, second = autoencoder.encode_clip(early), autoencoder.encode_clip(late)
    torch.testing.assert_close(first[:, :2], second[:, :2], rtol=0, atol=1e-12)
    assert not torch.allclose(first[:, 2], second[:, 2])


def test_the_past_matters(autoencoder):
    latents = torch.randn(1, 2, 4, 2, 3, dtype=torch.float64)
    after = autoencoder.open_decoder().decode(latents)[:, 1:]
    other = latents.clone()
    other[:, 0] += 1
    assert not torch.allclose(after, autoencoder.open_decoder().decode(other)[:, 1:])


def test_stills_are_clips_of_one_frame(autoencoder):
    frames = clip(3)
    one_by_one = torch.cat([autoencoder.encode_clip(frames[:, i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(autoencoder.encode_stills(frames), one_by_one, rtol=0, atol=1e-12)


def test_decoder_state_goes_on_exactly(autoencoder):
    latents = torch.randn(1, 4, 4, 2, 3, dtype=torch.float64)
    decoder = autoencoder.open_decoder()
    decoder.decode(latents[:, :2])
    state = decoder.state()
    expected = decoder.decode(latents[:, 2:])
    other = autoencoder.open_decoder()
    other.restore(state)
    assert torch.equal(other.decode(latents[:, 2:]), expected)


def test_patches_start_as_whitened_components(autoencoder):
    network = TinyVideoAutoencoder(latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8))
    groups = torch.randn(40, 12, 16, 16, generator=torch.Generator().manual_seed(0))
    network.start_from_patches(groups)
    found = network.patches(groups).detach().movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(found.mean(0), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(torch.cov(found.T), torch.eye(4), rtol=0, atol=1e-2)


@pytest.mark.parametrize(("frames", "height"), [(8, 16), (9, 20)])
def test_impossible_clips_are_refused(autoencoder, frames, height):
    with pytest.raises(ValueError, match=r"1 \+ 4k frames"):
        autoencoder.encode_clip(torch.zeros(1, frames, 3, height, 24, dtype=torch.float64))


def test_saves_and_loads(autoencoder, tmp_path):
    autoencoder.save_pretrained(tmp_path)
    loaded = TinyVideoAutoencoder.from_pretrained(tmp_path, dtype=torch.float64)
    torch.testing.assert_close(loaded.encode_clip(clip(5)), autoencoder.encode_clip(clip(5)))
