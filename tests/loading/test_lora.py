"""A LoRA counts what its file says, or is refused."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import save_file

from shotstream.loading.lora import read_lora
from shotstream.loading.weight_files import CheckpointError

pytestmark = pytest.mark.unit

LAYER = "blocks.0.attn1.to_q"
OTHER = "blocks.0.attn1.to_k"


def pair(layer: str, rank: int = 4) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {f"{layer}.lora_A.weight": torch.randn(rank, 6), f"{layer}.lora_B.weight": torch.randn(6, rank)}


def product(adapter: dict[str, torch.Tensor], layer: str = LAYER) -> torch.Tensor:
    return adapter[f"{layer}.lora_B.weight"] @ adapter[f"{layer}.lora_A.weight"]


def write_lora(folder, weights, **told):
    """As diffusers' pipelines write them."""
    settings = {"transformer_lora_adapter_metadata": told} if told else {}
    WanPipeline.save_lora_weights(folder, transformer_lora_layers=weights, **settings)
    return folder / "pytorch_lora_weights.safetensors"


@pytest.mark.parametrize(
    ("told", "scale"),
    [
        ({}, 1),
        ({"r": 4, "lora_alpha": 4}, 1),
        ({"r": 4, "lora_alpha": 1}, 1 / 4),
        ({"r": 4, "lora_alpha": 1, "use_rslora": True}, 1 / 2),
        ({"r": 4, "lora_alpha": 1, "alpha_pattern": {"attn1.to_q": 12}}, 3),
        ({"r": 4, "lora_alpha": 1, "alpha_pattern": {OTHER: 12}}, 1 / 4),
    ],
)
def test_what_diffusers_writes_into_the_header_counts(tmp_path, told, scale):
    weights = pair(LAYER) | pair(OTHER)
    lora = read_lora(write_lora(tmp_path, weights, **told)).tensors
    torch.testing.assert_close(product(lora), scale * product(weights))
    assert read_lora(tmp_path).tensors.keys() == lora.keys()  # from its folder


@pytest.mark.parametrize("layer", [LAYER, "blocks.0.self_attn.q"])
def test_a_network_s_own_file_has_no_prefix(tmp_path, layer):
    header = {"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 2})}
    save_file(pair(layer), tmp_path / "a.safetensors", header)
    torch.testing.assert_close(
        product(read_lora(tmp_path / "a.safetensors").tensors), product(pair(LAYER)) / 2
    )


def test_alphas_beside_the_weights_count(tmp_path):
    lora = {f"diffusion_model.{name}": value for name, value in pair("blocks.0.self_attn.q").items()}
    lora["diffusion_model.blocks.0.self_attn.q.alpha"] = torch.tensor(1.0)
    save_file(lora, tmp_path / "a.safetensors")
    torch.testing.assert_close(
        product(read_lora(tmp_path / "a.safetensors").tensors), product(pair(LAYER)) / 4
    )


@pytest.mark.parametrize(
    "name",
    [
        f"transformer.{LAYER}.lora_magnitude_vector",
        f"transformer.{LAYER}.alpha",
        f"transformer.{LAYER}.lora_B.bias",
        f"transformer.{LAYER}.dora_scale",
        "diffusion_model.blocks.0.self_attn.q.diff_b",
        "diffusion_model.blocks.0.self_attn.norm_q.diff",
        "diffusion_model.patch_embedding.diff",
        "diffusion_model.blocks.999999999.self_attn.q.lora_A.weight",
    ],
)
def test_what_would_not_be_merged_is_refused_by_name(tmp_path, name):
    layer = f"transformer.{LAYER}" if name.startswith("t") else "diffusion_model.blocks.0.self_attn.q"
    save_file(pair(layer) | {name: torch.zeros(6)}, tmp_path / "a.safetensors")
    with pytest.raises(
        CheckpointError, match=f"{name.removeprefix('transformer.')}, which is no part of a plain"
    ):
        read_lora(tmp_path / "a.safetensors")


def test_several_adapters_are_refused(tmp_path):
    weights = {
        f"transformer.{LAYER}.lora_{part}.{name}.weight": torch.ones(2, 2) for part in "AB" for name in "xy"
    }
    save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="holds several adapters"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "does not tell the LoRA's alpha"),
        ("[]", "does not tell the LoRA's alpha"),
        ("{}", "does not tell the LoRA's alpha .*lora_alpha"),
        ('{"lora_alpha": "many"}', "does not tell the LoRA's alpha"),
        (
            '{"lora_alpha": 1, "alpha_pattern": {"nowhere": 2}}',
            "an alpha of nowhere, which the LoRA does not",
        ),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(tmp_path, header, message):
    save_file(pair(f"transformer.{LAYER}"), tmp_path / "a.safetensors", {"lora_adapter_metadata": header})
    with pytest.raises(CheckpointError, match=message):
        read_lora(tmp_path / "a.safetensors")
