"""Weight files as others publish them, by names written down here, with weights made up here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

RESIDUAL = (
    "residual.0.gamma",
    "residual.2.weight",
    "residual.2.bias",
    "residual.3.gamma",
    "residual.6.weight",
    "residual.6.bias",
)
SHORTCUT = ("shortcut.weight", "shortcut.bias")
ATTENTION = ("norm.gamma", "to_qkv.weight", "to_qkv.bias", "proj.weight", "proj.bias")
RESAMPLE = ("resample.1.weight", "resample.1.bias")
IN_TIME = ("time_conv.weight", "time_conv.bias")
ENDS = ("conv1.weight", "conv1.bias", "head.0.gamma", "head.2.weight", "head.2.bias")


def original_vae_names() -> Iterator[str]:
    """Names in Wan2.1_VAE.pth."""
    yield from ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")
    down = {
        2: RESAMPLE,
        5: RESAMPLE + IN_TIME,
        8: RESAMPLE + IN_TIME,
        3: RESIDUAL + SHORTCUT,
        6: RESIDUAL + SHORTCUT,
    }
    up = {3: RESAMPLE + IN_TIME, 7: RESAMPLE + IN_TIME, 11: RESAMPLE, 4: RESIDUAL + SHORTCUT}
    for half, path, special, blocks in (
        ("encoder", "downsamples", down, 11),
        ("decoder", "upsamples", up, 15),
    ):
        yield from (f"{half}.{name}" for name in ENDS)
        for block, names in enumerate((RESIDUAL, ATTENTION, RESIDUAL)):
            yield from (f"{half}.middle.{block}.{name}" for name in names)
        for block in range(blocks):
            yield from (f"{half}.{path}.{block}.{name}" for name in special.get(block, RESIDUAL))


def original_vae(base_dim: int = 4) -> tuple[AutoencoderKLWan, dict[str, Tensor]]:
    """An autoencoder, and its weights by their original names."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=base_dim).eval()
    names = list(original_vae_names())
    # diffusers' converter says which name is which; it moves tensors about without looking into them
    ours = convert_wan_vae_to_diffusers({name: name for name in names})
    weights = vae.state_dict()
    assert ours.keys() == weights.keys()
    return vae, {original: weights[name] for name, original in ours.items()}


def original_umt5(layers: int = 2) -> tuple[UMT5EncoderModel, dict[str, Tensor]]:
    """A text encoder, and its weights by the names in models_t5_umt5-xxl-enc-bf16.pth."""
    torch.manual_seed(1)
    config = UMT5Config(
        vocab_size=20,
        d_model=16,
        d_kv=4,
        d_ff=24,
        num_layers=layers,
        num_heads=2,
        relative_attention_num_buckets=8,
        feed_forward_proj="gated-gelu",
    )
    encoder = UMT5EncoderModel(config).eval()
    weights = encoder.state_dict()
    original = {
        "token_embedding.weight": weights["shared.weight"],
        "norm.weight": weights["encoder.final_layer_norm.weight"],
    }
    for layer in range(layers):
        ours, theirs = f"encoder.block.{layer}.layer", f"blocks.{layer}"
        original |= {
            f"{theirs}.attn.{part}.weight": weights[f"{ours}.0.SelfAttention.{part}.weight"]
            for part in "qkvo"
        }
        original |= {
            f"{theirs}.norm1.weight": weights[f"{ours}.0.layer_norm.weight"],
            f"{theirs}.norm2.weight": weights[f"{ours}.1.layer_norm.weight"],
            f"{theirs}.pos_embedding.embedding.weight": weights[
                f"{ours}.0.SelfAttention.relative_attention_bias.weight"
            ],
            f"{theirs}.ffn.gate.0.weight": weights[f"{ours}.1.DenseReluDense.wi_0.weight"],
            f"{theirs}.ffn.fc1.weight": weights[f"{ours}.1.DenseReluDense.wi_1.weight"],
            f"{theirs}.ffn.fc2.weight": weights[f"{ours}.1.DenseReluDense.wo.weight"],
        }
    return encoder, original


def original_tiny_decoder(
    channels: int = 16, widths: tuple[int, ...] = (256, 128, 64, 64)
) -> dict[str, Tensor]:
    """Random weights of the decoder half of taew2_1.pth, by their names there."""
    shapes: dict[str, tuple[int, ...]] = {
        "1.weight": (widths[0], channels, 3, 3),
        "1.bias": (widths[0],),
        "22.weight": (3, widths[3], 3, 3),
        "22.bias": (3,),
    }
    for level, (width, growth) in enumerate(zip(widths, (1, 2, 2), strict=False)):
        for block in range(3 + 6 * level, 6 + 6 * level):
            for layer, inputs in ((0, 2 * width), (2, width), (4, width)):
                shapes[f"{block}.conv.{layer}.weight"] = (width, inputs, 3, 3)
                shapes[f"{block}.conv.{layer}.bias"] = (width,)
        shapes[f"{7 + 6 * level}.conv.weight"] = (growth * width, width, 1, 1)
        shapes[f"{8 + 6 * level}.weight"] = (widths[level + 1], width, 3, 3)
    torch.manual_seed(2)
    return {f"decoder.{name}": torch.randn(shape) for name, shape in shapes.items()}


def write(path: Path, value: object) -> Path:
    """Write what `torch.save` can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path
