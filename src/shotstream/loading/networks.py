"""Networks from published weight files, in whichever of the usual layouts those are.

The sizes of a network are read off the shapes of its weights; only what shapes do not tell is assumed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.loading.weight_files import (
    CheckpointError,
    check_finite,
    check_fit,
    count_layers,
    pick_network,
    read_weights,
    shape_of,
)
from shotstream.loading.weight_names import from_original, umt5_from_original
from shotstream.models.autoencoder_taew import TinyWanDecoder, tiny_decoder_sizes
from shotstream.models.transformer import CausalWanTransformer3DModel

Weights = Mapping[str, Tensor]

HEAD_SIZE = 128
"""Channels of an attention head in all of Wan's models."""
_OURS = ("condition_embedder.", ".attn1.", ".attn2.", ".ffn.net.")
"""Parts of names that only diffusers gives."""
_ADAPTER = re.compile(r"(.+)\.(lora_[AB])(?:\.\w+)?\.weight")


def load_transformer(path: Path, wrapper: str | None = None, **config: Any) -> CausalWanTransformer3DModel:
    """Load Wan's transformer, or a ShotStream checkpoint, from a file or folder.

    Original and diffusers' names are understood, and adapters (PEFT's LoRA) that stand between the weights,
    or beside them as ``generator_lora``; they are merged. A checkpoint does not tell their alpha: it is taken
    to be their rank, so that they count in full.

    Args:
        path: The file, or a folder with safetensors.
        wrapper: Which network of a checkpoint to take; None for its generator, averaged where there is one.
        **config: Entries of the transformer's config that weights do not tell.

    Raises:
        CheckpointError: If it cannot be used.
    """
    found = read_weights(path)
    weights, inside = split_adapter(pick_network(found, path, wrapper), path)
    adapters = [inside]
    if isinstance(found.get("generator_lora"), Mapping):
        adapters.append(only_adapter(pick_network(found, path, "generator_lora"), path))
    weights = _renamed(weights, path)
    with torch.device("meta"):
        transformer = CausalWanTransformer3DModel(**{**read_sizes(weights, path), **config})
    _fill(transformer, weights, path)
    for adapter in adapters:
        merge_adapter(transformer, adapter, path)
    return transformer


def split_adapter(weights: Weights, path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Separate PEFT's adapter from the weights it stands between.

    Returns:
        The weights under their plain names, and the adapter as ``MODULE.lora_A.weight`` and ``lora_B``.

    Raises:
        CheckpointError: If there are several adapters.
    """
    plain: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, value in weights.items():
        match = _ADAPTER.fullmatch(name)
        if match:
            part = f"{match[1]}.{match[2]}.weight"
            if part in adapter:
                raise CheckpointError(
                    f"{path} holds several adapters, one of them with {name}; give a file with one of them"
                )
            adapter[part] = value
        else:
            plain[name.replace(".base_layer.", ".")] = value
    return plain, adapter


def only_adapter(weights: Weights, path: Path) -> dict[str, Tensor]:
    """Give an adapter as `split_adapter` does, where there is to be nothing else.

    Raises:
        CheckpointError: With the first weight that is of no plain LoRA (of a DoRA, say, or a changed bias).
    """
    others, adapter = split_adapter(weights, path)
    if others:
        raise CheckpointError(
            f"{path} holds {next(iter(others))}, which is no part of a plain LoRA and would be lost; "
            "only lora_A and lora_B of Wan's layers can be merged"
        )
    return adapter


def read_sizes(weights: Weights, path: Path) -> dict[str, Any]:
    """Read a transformer's config off its weights, by our names.

    Raises:
        CheckpointError: If they are not those of a text-to-video Wan.
    """
    if any("image_embedder" in name or "add_k_proj" in name for name in weights):
        raise CheckpointError(f"{path} is an image-to-video model; give the text-to-video model Wan 2.1 T2V")
    width, channels, *patch = shape_of(weights, "patch_embedding.weight", 5, path)
    if patch[0] != 1:
        raise CheckpointError(f"{path} has patches of {patch[0]} frames; only models with 1 can be streamed")

    def size(name: str, axis: int) -> int:
        return shape_of(weights, f"{name}.weight", 2, path)[axis]

    return {
        "patch_size": tuple(patch),
        "num_attention_heads": max(width // HEAD_SIZE, 1),
        "attention_head_dim": min(HEAD_SIZE, width),
        "in_channels": channels,
        "out_channels": max(size("proj_out", 0) // math.prod(patch), 1),
        "text_dim": size("condition_embedder.text_embedder.linear_1", 1),
        "freq_dim": size("condition_embedder.time_embedder.linear_1", 1),
        "ffn_dim": size("blocks.0.ffn.net.0.proj", 0),
        "num_layers": count_layers(weights, "blocks.", path),
        "cross_attn_norm": "blocks.0.norm2.weight" in weights,
    }


def merge_adapter(
    transformer: CausalWanTransformer3DModel, adapter: Weights, path: Path, scale: float = 1.0
) -> None:
    """Add a LoRA to the weights: ``W + scale B A``.

    Args:
        transformer: Changed in place.
        adapter: ``MODULE.lora_A.weight`` [rank, in] and ``MODULE.lora_B.weight`` [out, rank], modules by
            original names or ours.
        path: Where it comes from, for messages.
        scale: What it counts.

    Raises:
        CheckpointError: If it does not fit, or holds no finite numbers.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in adapter.items():
        shape_of(adapter, name, 2, path)
        module, part, _ = name.rsplit(".", 2)
        parts.setdefault(module, {})[part] = value
    check_finite(adapter, path)
    own = dict(transformer.named_parameters())
    names = _renamed({f"{module}.weight": torch.empty(0) for module in parts}, path)
    for (module, pair), name in zip(parts.items(), names, strict=True):
        if set(pair) != {"lora_A", "lora_B"} or name not in own:
            raise CheckpointError(
                f"the adapter in {path} does not fit: {module} has {', '.join(sorted(pair))}"
            )
        down, up, weight = pair["lora_A"].float(), pair["lora_B"].float(), own[name]
        if (up.shape[0], down.shape[1]) != tuple(weight.shape) or up.shape[1] != down.shape[0]:
            raise CheckpointError(
                f"the adapter in {path} does not fit: for {module} {list(weight.shape)} it has "
                f"{list(up.shape)} x {list(down.shape)}; it belongs to a model of another size"
            )
        with torch.no_grad():
            own[name].data = (weight.float() + scale * up @ down).to(weight.dtype)  # never into a mapped file


def load_text_encoder_file(path: Path) -> UMT5EncoderModel:
    """Load umT5 from Wan's own file, or from transformers' folder.

    Raises:
        CheckpointError: If it cannot be used.
    """
    weights = pick_network(read_weights(path), path)
    if "token_embedding.weight" in weights:
        weights = _converted(umt5_from_original, weights, path)
    weights.setdefault("encoder.embed_tokens.weight", weights.get("shared.weight", torch.empty(0)))
    with torch.device("meta"):
        encoder = UMT5EncoderModel(_umt5_config(weights, path))
    _fill(encoder, weights, path)
    return encoder


def _umt5_config(weights: Weights, path: Path) -> UMT5Config:
    def shape(name: str) -> torch.Size:
        return shape_of(weights, f"{name}.weight", 2, path)

    attention = "encoder.block.0.layer.0.SelfAttention"
    words, width = shape("shared")
    buckets, heads = shape(f"{attention}.relative_attention_bias")
    inner, hidden = shape(f"{attention}.q")[0], shape("encoder.block.0.layer.1.DenseReluDense.wi_0")[0]
    if inner % heads:
        raise CheckpointError(f"{path} has {inner} channels for {heads} heads of umT5; it is damaged")
    return UMT5Config(
        vocab_size=words,
        d_model=width,
        d_kv=inner // heads,
        d_ff=hidden,
        num_layers=count_layers(weights, "encoder.block.", path),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )


def load_autoencoder(path: Path) -> AutoencoderKLWan:
    """Load Wan 2.1's autoencoder from its own file, or from diffusers' folder.

    Raises:
        CheckpointError: If it cannot be used.
    """
    weights = pick_network(read_weights(path), path)
    if "conv1.weight" in weights:
        weights = _converted(convert_wan_vae_to_diffusers, weights, path)
    if "decoder.conv_in.weight" not in weights:
        raise CheckpointError(
            f"{path} is no autoencoder of Wan 2.1; give Wan2.1_VAE.pth or diffusers' vae folder"
        )
    base = shape_of(weights, "encoder.conv_in.weight", 5, path)[0]
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=base)
    _fill(vae, weights, path)
    return vae


def load_tiny_decoder(path: Path) -> TinyWanDecoder:
    """Load the public tiny decoder of Wan 2.1's latents (``taew2_1``); the encoder beside it is left out.

    Raises:
        CheckpointError: If it cannot be used.
    """
    found = pick_network(read_weights(path), path)
    weights = {name: value for name, value in found.items() if name.startswith("decoder.")}
    for name in weights:
        if name.endswith(".weight"):  # all are convolutions
            shape_of(weights, name, 4, path)
    try:
        with torch.device("meta"):
            decoder = TinyWanDecoder(**tiny_decoder_sizes(weights))
    except KeyError as error:
        raise CheckpointError(
            f"{path} is no tiny decoder of Wan 2.1 (no proper {error.args[0]}); give taew2_1.pth"
        ) from error
    for name, value in decoder.state_dict().items():
        if (
            name.endswith(".conv.weight") and name in weights
        ):  # relatives that make more frames: the last count
            weights[name] = weights[name][-value.shape[0] :]
    _fill(decoder, weights, path)
    return decoder


def _renamed(weights: Weights, path: Path) -> dict[str, Tensor]:
    if any(any(sign in name for sign in _OURS) for name in weights):
        return dict(weights)
    return _converted(from_original, weights, path)


def _converted(convert: Callable[[dict], dict], weights: Weights, path: Path) -> dict[str, Tensor]:
    try:
        return convert(dict(weights))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _fill(network: torch.nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    check_fit(weights, network.state_dict(), path)
    check_finite(weights, path)
    network.load_state_dict(weights, assign=True)
    network.eval()
