from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from shotstream.models.block import PatchEmbedding
from shotstream.models.captions import Captions
from shotstream.models.transformer import CausalWanTransformer3DModel

from .conftest import tiny_transformer

pytestmark = pytest.mark.unit

B, F, C, H, W = 2, 5, 4, 4, 6


def latents(frames: int = F, height: int = H, width: int = W) -> Tensor:
    return torch.randn(B, frames, C, height, width, generator=torch.Generator().manual_seed(1))


def text(count: int = 1, length: int = 5) -> Tensor:
    return torch.randn(B, count, length, 12, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
@pytest.mark.parametrize("per_frame", [False, True])
def test_plain_text_to_video_agrees_with_diffusers(per_frame: bool):
    ours = tiny_transformer(num_layers=3)
    theirs = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=C,
        out_channels=C,
        text_dim=12,
        freq_dim=16,
        ffn_dim=48,
        num_layers=3,
        rope_max_seq_len=16,
    ).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    timestep = torch.tensor([900.0, 17.0])
    expected = theirs(
        latents().transpose(1, 2),
        timestep[:, None].expand(-1, F * H * W // 4) if per_frame else timestep,
        text()[:, 0],
    ).sample.transpose(1, 2)
    actual = ours(latents(), timestep[:, None].expand(-1, F) if per_frame else timestep, text()).sample
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_one_timestep_for_all_frames_is_the_same_as_one_for_each(transformer: CausalWanTransformer3DModel):
    timestep = torch.tensor([900.0, 17.0])
    whole = transformer(latents(), timestep, text()).sample
    torch.testing.assert_close(whole, transformer(latents(), timestep[:, None].expand(-1, F), text()).sample)


@torch.no_grad()
def test_short_captions_are_padded_with_zeros(transformer: CausalWanTransformer3DModel):
    padded = text()
    padded[:, :, 3:] = 0
    timestep = torch.full((B,), 500.0)
    expected = transformer(latents(), timestep, padded).sample
    torch.testing.assert_close(transformer(latents(), timestep, padded[:, :, :3]).sample, expected)


@torch.no_grad()
def test_every_frame_attends_to_its_own_caption():
    """In one layer, a frame's flow depends on no caption but its own."""
    model, captions, timestep = tiny_transformer(num_layers=1), text(3), torch.full((B,), 500.0)
    index = torch.tensor([[2, 0, 1, 1, 0], [1, 1, 2, 0, 2]])
    mixed = model(latents(), timestep, captions, caption_index=index).sample
    for caption in range(3):
        alone = model(latents(), timestep, captions[:, caption : caption + 1]).sample
        own = index == caption
        torch.testing.assert_close(mixed[own], alone[own], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(mixed[~own], alone[~own], atol=1e-3)


@torch.no_grad()
def test_encoded_captions_equal_text_and_can_be_joined(transformer: CausalWanTransformer3DModel):
    index, timestep = torch.tensor([0, 0, 1, 1, 1]), torch.full((B,), 500.0)
    expected = transformer(latents(), timestep, text(2), caption_index=index).sample
    parts = [transformer.encode_captions(text(2)[:, i : i + 1]) for i in range(2)]
    joined = Captions.join(parts)
    assert joined.count == 2
    actual = transformer(latents(), timestep, joined, caption_index=index).sample
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_block_causal_frames_see_nothing_of_later_chunks():
    model = tiny_transformer(chunk_frames=2)
    timestep = torch.full((B,), 500.0)
    before = latents(7)  # 1 of context, then chunks of 2, 2, 2
    after = before.clone()
    after[:, 5:] += 1
    changed = (
        model(before, timestep, text(), context_frames=1).sample
        - model(after, timestep, text(), context_frames=1).sample
    ).abs().amax((0, 2, 3, 4)) > 0
    assert changed.tolist() == [False] * 5 + [True] * 2


@torch.no_grad()
def test_shot_index_shifts_unless_turned_off():
    timestep, index = torch.full((B,), 500.0), torch.tensor([0, 0, 1, 1, 1])
    shifted = tiny_transformer()
    off = tiny_transformer(shot_theta=None)
    plain = shifted(latents(), timestep, text()).sample
    assert not torch.allclose(shifted(latents(), timestep, text(), shot_index=index).sample, plain, atol=1e-4)
    torch.testing.assert_close(off(latents(), timestep, text(), shot_index=index).sample, plain)


@torch.no_grad()
def test_spatial_embedding_is_interpolated_for_another_grid():
    model = tiny_transformer(spatial_embedding=(2, 3))
    assert model.spatial_position is not None
    timestep = torch.full((B,), 500.0)
    before = model(latents(height=8, width=8), timestep, text()).sample
    model.spatial_position += torch.randn_like(model.spatial_position)
    after = model(latents(height=8, width=8), timestep, text()).sample
    assert not torch.allclose(before, after, atol=1e-3)


def test_gradient_checkpointing_changes_no_gradient(transformer: CausalWanTransformer3DModel):
    def gradients() -> list[Tensor]:
        transformer.zero_grad()
        index = torch.tensor([0, 0, 1, 1, 1])
        flow = transformer(latents(), torch.full((B,), 500.0), text(2), caption_index=index, context_frames=2)
        flow.sample.square().mean().backward()
        return [
            parameter.grad.clone() for parameter in transformer.parameters() if parameter.grad is not None
        ]

    plain = gradients()
    assert len(plain) == len(list(transformer.parameters()))
    transformer.enable_gradient_checkpointing()
    torch.testing.assert_close(gradients(), plain)


@torch.no_grad()
def test_attention_back_ends_agree(transformer: CausalWanTransformer3DModel):
    arguments = (latents(), torch.full((B,), 500.0), text())
    results = []
    for backend in ("_native_math", "native"):
        transformer.set_attention_backend(backend)
        results.append(transformer(*arguments, context_frames=2).sample)
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_bfloat16_keeps_modulation_and_norms_in_float32(transformer: CausalWanTransformer3DModel, tmp_path):
    transformer.save_pretrained(tmp_path)
    half = CausalWanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert half.blocks[0].scale_shift_table.dtype == torch.float32
    assert half.blocks[0].norm2.weight.dtype == torch.float32
    assert half.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    timestep = torch.full((B,), 500.0)
    flow = half(latents().bfloat16(), timestep, text().bfloat16()).sample
    assert flow.dtype == torch.bfloat16
    expected = transformer(latents(), timestep, text()).sample
    assert (flow - expected).norm() < 0.05 * expected.norm()


@torch.no_grad()
def test_saved_and_loaded_again(tmp_path):
    model = tiny_transformer(spatial_embedding=(2, 3), shot_theta=None)
    model.save_pretrained(tmp_path)
    loaded = CausalWanTransformer3DModel.from_pretrained(tmp_path)
    timestep = torch.full((B,), 500.0)
    expected = model(latents(), timestep, text()).sample
    assert torch.equal(loaded(latents(), timestep, text()).sample, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latents": torch.zeros(B, F, 3, H, W)}, "latents have shape"),
        ({"latents": torch.zeros(B, F, C, 5, W)}, "height divisible by 2"),
        ({"timestep": torch.zeros(B, F + 1)}, "timestep has shape"),
        ({"captions": torch.zeros(B, 1, 6, 12)}, "at most 5 tokens"),
        ({"captions": torch.zeros(B, 5, 12)}, "captions have shape"),
        ({"captions": torch.zeros(1, 1, 5, 12)}, "1 rows of captions"),
        ({"captions": torch.zeros(B, 2, 5, 12)}, "caption_index"),
    ],
)
def test_wrong_shapes_are_named(transformer: CausalWanTransformer3DModel, arguments: dict, message: str):
    fitting = {"latents": latents(), "timestep": torch.zeros(B), "captions": text()}
    with pytest.raises(ValueError, match=message):
        transformer(**{**fitting, **arguments})


def test_a_token_is_one_frame_deep():
    with pytest.raises(ValueError, match="only 1 can be streamed"):
        tiny_transformer(patch_size=(2, 2, 2))


@torch.no_grad()
@pytest.mark.parametrize("patch", [(2, 2), (1, 2), (4, 2)])
def test_patches_are_embedded_as_the_convolution_that_their_weight_is_named_for(patch: tuple[int, int]):
    torch.manual_seed(0)
    embedding = PatchEmbedding(C, 24, patch)
    convolution = torch.nn.Conv3d(C, 24, (1, *patch), stride=(1, *patch))
    convolution.load_state_dict(embedding.state_dict(), strict=True)
    frames = torch.randn(F, C, 1, 8, 6)
    found, expected = embedding(frames), convolution(frames)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    assert found.squeeze(2).flatten(2).transpose(1, 2).is_contiguous()  # tokens need no copy


def test_the_patch_embedding_has_gradients():
    embedding = PatchEmbedding(C, 24, (2, 2))
    embedding(torch.randn(F, C, 1, 4, 6)).square().mean().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.abs().sum() > 0
