"""The public tiny decoder: what its weights mean, and the same in pieces as at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shotstream import TinyWanDecoder
from shotstream.models.autoencoder import StreamingDecoder

from ..loading.published_files import original_tiny_decoder

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def decoder() -> TinyWanDecoder:
    torch.manual_seed(0)
    network = TinyWanDecoder(latent_channels=4, widths=(8, 6, 4, 4)).double()
    return network.eval().requires_grad_(False)


def latents(frames: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, frames, 4, 2, 3, dtype=torch.float64, generator=generator)


def as_published(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Decode one clip ``[F, C, h, w]`` by the published order of layers, all frames at once."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = weights[f"decoder.{name}.weight"]
        return F.conv2d(x, weight, weights.get(f"decoder.{name}.bias"), padding=weight.shape[-1] // 2)

    x = conv("1", torch.tanh(x / 3) * 3).relu()
    for level in range(3):
        for block in range(3 + 6 * level, 6 + 6 * level):
            past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
            y = conv(f"{block}.conv.0", torch.cat([x, past], dim=1)).relu()
            x = (conv(f"{block}.conv.4", conv(f"{block}.conv.2", y).relu()) + x).relu()
        height, width = 2 * x.shape[-2], 2 * x.shape[-1]
        channels = x.shape[1]
        x = conv(f"{7 + 6 * level}.conv", F.interpolate(x, (height, width)))
        x = conv(f"{8 + 6 * level}", x.reshape(-1, channels, height, width))
    return conv("22", x.relu()).clamp(0, 1)[3:]


def test_it_computes_what_its_weights_are_published_for(decoder: TinyWanDecoder) -> None:
    clip = latents(3)
    frames = decoder.open_decoder().decode(clip)
    expected = torch.stack([as_published(dict(decoder.state_dict()), x) for x in clip]) * 2 - 1
    assert frames.shape == (2, 9, 3, 16, 24)
    assert expected.std() > 0.05, "all clamped would prove nothing"
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-12)


def test_its_weights_have_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        own = TinyWanDecoder().state_dict()
        published = original_tiny_decoder()
    assert {name: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in published.items()
    }


@settings(deadline=None, max_examples=20)
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_streaming_decode_is_whole_decode(decoder: TinyWanDecoder, pieces: list[int]) -> None:
    clip = latents(sum(pieces))
    session = decoder.open_decoder()
    assert isinstance(session, StreamingDecoder)
    streamed = [session.decode(piece) for piece in clip.split(pieces, dim=1)]
    assert [piece.shape[1] for piece in streamed] == [4 * f - 3 * (i == 0) for i, f in enumerate(pieces)]
    whole = decoder.open_decoder().decode(clip)
    torch.testing.assert_close(torch.cat(streamed, dim=1), whole, rtol=0, atol=1e-12)


def test_the_past_matters_and_the_future_does_not(decoder: TinyWanDecoder) -> None:
    frames = decoder.open_decoder().decode(latents(3))
    clip = latents(3)
    clip[:, 1] += 1
    other = decoder.open_decoder().decode(clip)
    assert torch.equal(frames[:, :1], other[:, :1])
    assert not torch.allclose(frames[:, 5:], other[:, 5:])


def test_a_restored_decoder_goes_on_exactly(decoder: TinyWanDecoder) -> None:
    clip, session, again = latents(4), decoder.open_decoder(), decoder.open_decoder()
    session.decode(clip[:, :2])
    state = session.state()
    expected = session.decode(clip[:, 2:])
    for _ in range(2):  # what is decoded from a state leaves it as it was
        again.restore(state)
        assert torch.equal(again.decode(clip[:, 2:]), expected)


def test_weights_lie_as_pictures_do_once_it_decodes(decoder: TinyWanDecoder, tmp_path) -> None:
    decoder.save_pretrained(tmp_path)
    loaded = TinyWanDecoder.from_pretrained(tmp_path, dtype=torch.float64)
    loaded.open_decoder()
    weights = [values for values in loaded.parameters() if values.ndim == 4]
    assert all(values.is_contiguous(memory_format=torch.channels_last) for values in weights)
    addresses = [values.data_ptr() for values in weights]
    loaded.open_decoder()
    assert addresses == [values.data_ptr() for values in weights]
    loaded.save_pretrained(tmp_path / "again")
    again = TinyWanDecoder.from_pretrained(tmp_path / "again", dtype=torch.float64)
    assert all(map(torch.equal, again.parameters(), decoder.parameters()))


def test_saves_and_loads(decoder: TinyWanDecoder, tmp_path) -> None:
    decoder.save_pretrained(tmp_path)
    loaded = TinyWanDecoder.from_pretrained(tmp_path, dtype=torch.float64)
    assert torch.equal(loaded.open_decoder().decode(latents(2)), decoder.open_decoder().decode(latents(2)))
