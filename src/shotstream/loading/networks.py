"""Networks from published weight files, in whichever of the usual layouts those are.

The sizes of a network are read off the shapes of its weights; only what shapes do not tell is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.loading.lora import gather, merge_adapter, split_adapter
from shotstream.loading.lora_settings import read_settings
from shotstream.loading.weight_files import CheckpointError, WeightFile, networks_in, read_weights
from shotstream.loading.weight_names import in_our_names, umt5_from_original
from shotstream.models.autoencoder_taew import TinyWanDecoder, tiny_decoder_sizes
from shotstream.models.transformer import CausalWanTransformer3DModel

Network = TypeVar("Network", bound=nn.Module)

HEAD_SIZE = 128
"""Channels of an attention head in all of Wan's models."""


def load_transformer(path: Path, wrapper: str | None = None, **config: Any) -> CausalWanTransformer3DModel:
    """Load Wan's transformer, or a ShotStream checkpoint, from a file or folder.

    Original and diffusers' names are understood, and adapters (PEFT's LoRA) that stand between the weights,
    or beside them as ``generator_lora``; they are merged. Most checkpoints do not tell their alpha (some have
    PEFT's adapter_config.json beside them): it is their rank then, so that they count in full.

    Args:
        path: The file, or a folder with safetensors.
        wrapper: Which network of a checkpoint to take; None for its generator, averaged where there is one.
        **config: Entries of the transformer's config that weights do not tell.

    Raises:
        CheckpointError: If it cannot be used.
    """
    found = read_weights(path)
    plain, inside = split_adapter(WeightFile.pick(found, path, wrapper))
    adapters = [inside] if inside.tensors else []
    beside = "generator_lora" if wrapper in (None, "generator", "generator_ema") else f"{wrapper}_lora"
    if beside in networks_in(found):
        adapters.append(WeightFile.pick(found, path, beside))
    if not plain.tensors:
        raise CheckpointError(
            f"{path} holds only a LoRA; give it as such (--lora), beside the model's own weights"
        )
    file = plain.converted(in_our_names)
    with torch.device("meta"):
        transformer = CausalWanTransformer3DModel(**{**read_sizes(file), **config})
    _fill(transformer, file)
    for adapter in adapters:
        merge_adapter(transformer, gather(adapter, read_settings(path)))
    return transformer


def read_sizes(file: WeightFile) -> dict[str, Any]:
    """Read a transformer's config off the shapes of its weights, which have our names.

    Raises:
        CheckpointError: If they are not those of a text-to-video Wan.
    """
    path = file.path
    if any("image_embedder" in name or "add_k_proj" in name for name in file.tensors):
        raise CheckpointError(f"{path} is an image-to-video model; give the text-to-video model Wan 2.1 T2V")
    width, channels, *patch = file.shape("patch_embedding.weight", 5)
    if patch[0] != 1:
        raise CheckpointError(f"{path} has patches of {patch[0]} frames; only models with 1 can be streamed")

    def size(name: str, axis: int) -> int:
        return file.shape(f"{name}.weight", 2)[axis]

    return {
        "patch_size": tuple(patch),
        "num_attention_heads": max(width // HEAD_SIZE, 1),
        "attention_head_dim": min(HEAD_SIZE, width),
        "in_channels": channels,
        "out_channels": max(size("proj_out", 0) // math.prod(patch), 1),
        "text_dim": size("condition_embedder.text_embedder.linear_1", 1),
        "freq_dim": size("condition_embedder.time_embedder.linear_1", 1),
        "ffn_dim": size("blocks.0.ffn.net.0.proj", 0),
        "num_layers": file.count_layers("blocks."),
        "cross_attn_norm": "blocks.0.norm2.weight" in file.tensors,
    }


def cast_weights(network: Network, dtype: torch.dtype, kept: Sequence[str] | None = None) -> Network:
    """Change the weights' number format, except for modules that are kept in float32."""
    for name, values in network.named_parameters():
        values.data = values.data.to(torch.float32 if {*name.split(".")} & {*(kept or ())} else dtype)
    return network


def load_umt5(path: Path) -> UMT5EncoderModel:
    """Load umT5 from Wan's own file, or from transformers' folder.

    Raises:
        CheckpointError: If it cannot be used.
    """
    file = WeightFile.read(path)
    if "token_embedding.weight" in file.tensors:
        file = file.converted(umt5_from_original)
    words = file.tensors.get("shared.weight", torch.empty(0))
    file.tensors.setdefault("encoder.embed_tokens.weight", words)
    with torch.device("meta"):
        encoder = UMT5EncoderModel(_umt5_config(file))
    _fill(encoder, file)
    return encoder


def _umt5_config(file: WeightFile) -> UMT5Config:
    def shape(name: str) -> torch.Size:
        return file.shape(f"{name}.weight", 2)

    attention = "encoder.block.0.layer.0.SelfAttention"
    words, width = shape("shared")
    buckets, heads = shape(f"{attention}.relative_attention_bias")
    inner, hidden = shape(f"{attention}.q")[0], shape("encoder.block.0.layer.1.DenseReluDense.wi_0")[0]
    if inner % heads:
        raise CheckpointError(f"{file.path} has {inner} channels for {heads} heads of umT5; it is damaged")
    return UMT5Config(
        vocab_size=words,
        d_model=width,
        d_kv=inner // heads,
        d_ff=hidden,
        num_layers=file.count_layers("encoder.block."),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )


def load_autoencoder(path: Path) -> AutoencoderKLWan:
    """Load Wan 2.1's autoencoder from its own file, or from diffusers' folder.

    Raises:
        CheckpointError: If it cannot be used.
    """
    file = WeightFile.read(path)
    if "conv1.weight" in file.tensors:
        file = file.converted(convert_wan_vae_to_diffusers)
    if "decoder.conv_in.weight" not in file.tensors:
        raise CheckpointError(
            f"{path} is no autoencoder of Wan 2.1; give Wan2.1_VAE.pth or diffusers' vae folder"
        )
    base = file.shape("encoder.conv_in.weight", 5)[0]
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=base)
    _fill(vae, file)
    return vae


def load_tiny_decoder(path: Path) -> TinyWanDecoder:
    """Load the public tiny decoder of Wan 2.1's latents (``taew2_1``); the encoder beside it is left out.

    Raises:
        CheckpointError: If it cannot be used.
    """
    found = WeightFile.read(path).tensors
    file = WeightFile(path, {name: value for name, value in found.items() if name.startswith("decoder.")})
    for name in file.tensors:
        if name.endswith(".weight"):  # all are convolutions
            file.shape(name, 4)
    try:
        with torch.device("meta"):
            decoder = TinyWanDecoder(**tiny_decoder_sizes(file.tensors))
    except KeyError as error:
        raise CheckpointError(
            f"{path} is no tiny decoder of Wan 2.1 (no proper {error.args[0]}); give taew2_1.pth"
        ) from error
    for name, value in decoder.state_dict().items():
        if (
            name.endswith(".conv.weight") and name in file.tensors
        ):  # relatives make more frames: the last count
            file.tensors[name] = file.tensors[name][-value.shape[0] :]
    _fill(decoder, file)
    return decoder


def _fill(network: nn.Module, file: WeightFile) -> None:
    file.check_fit(network.state_dict())
    file.check_finite()
    network.load_state_dict(file.tensors, assign=True)
    network.eval()
