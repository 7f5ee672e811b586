"""Networks from published weight files, in whichever of the usual layouts those are.

The sizes of a network are read off the shapes of its weights; only what shapes do not tell is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.models.autoencoder_taew import TinyWanDecoder, tiny_decoder_sizes
from shotstream.models.checkpoints import (
    CheckpointError,
    check_finite,
    check_fit,
    pick_network,
    read_weights,
)
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.models.weight_names import from_original, umt5_from_original

HEAD_SIZE = 128
"""Channels of an attention head in all of Wan's models."""
_OURS = ("condition_embedder.", ".attn1.", ".attn2.", ".ffn.net.")
"""Parts of names that only diffusers gives."""
_ADAPTER = re.compile(r"(.+)\.(lora_[AB])(?:\.\w+)?\.weight")


def load_transformer(path: Path, wrapper: str | None = None, **config: Any) -> CausalWanTransformer3DModel:
    """Load Wan's transformer, or a ShotStream checkpoint, from a file or folder.

    Original and diffusers' names are understood, and adapters (PEFT's LoRA) that stand between the weights,
    or beside them as ``generator_lora``; they are merged.

    Args:
        path: The file, or a folder with safetensors.
        wrapper: Which network of a checkpoint to take; None for its generator, averaged where there is one.
        **config: Entries of the transformer's config that weights do not tell.

    Raises:
        CheckpointError: If it cannot be used.
    """
    found = read_weights(path)
    weights, adapter = split_adapter(pick_network(found, path, wrapper))
    if isinstance(found.get("generator_lora"), Mapping):
        adapter |= split_adapter(pick_network(found, path, "generator_lora"))[1]
    weights = _renamed(weights, path)
    with torch.device("meta"):
        transformer = CausalWanTransformer3DModel(**{**read_sizes(weights, path), **config})
    _fill(transformer, weights, path)
    if adapter:
        merge_adapter(transformer, adapter, path)
    return transformer


def split_adapter(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Separate PEFT's adapters from the weights they stand between.

    Returns:
        The weights under their plain names, and the adapters as ``MODULE.lora_A.weight``.
    """
    plain: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, value in weights.items():
        match = _ADAPTER.fullmatch(name)
        if match:
            adapter[f"{match[1]}.{match[2]}.weight"] = value
        else:
            plain[name.replace(".base_layer.", ".")] = value
    return plain, adapter


def read_sizes(weights: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Read a transformer's config off its weights, by our names.

    Raises:
        CheckpointError: If they are not those of a text-to-video Wan.
    """

    def shape(name: str) -> torch.Size:
        if name not in weights:
            raise CheckpointError(f"{path} lacks {name}; it is no text-to-video model of Wan, or cut off")
        return weights[name].shape

    width, channels, *patch = shape("patch_embedding.weight")
    layers = {int(name.split(".")[1]) for name in weights if name.startswith("blocks.")}
    if any("image_embedder" in name or "add_k_proj" in name for name in weights):
        raise CheckpointError(f"{path} is an image-to-video model; give the text-to-video model Wan 2.1 T2V")
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": max(width // HEAD_SIZE, 1),
        "attention_head_dim": min(HEAD_SIZE, width),
        "in_channels": channels,
        "out_channels": shape("proj_out.weight")[0] // (patch[1] * patch[2]),
        "text_dim": shape("condition_embedder.text_embedder.linear_1.weight")[1],
        "freq_dim": shape("condition_embedder.time_embedder.linear_1.weight")[1],
        "ffn_dim": shape("blocks.0.ffn.net.0.proj.weight")[0],
        "num_layers": max(layers) + 1,
        "cross_attn_norm": "blocks.0.norm2.weight" in weights,
    }


def merge_adapter(
    transformer: CausalWanTransformer3DModel, adapter: Mapping[str, Tensor], path: Path, scale: float = 1.0
) -> None:
    """Add a LoRA to the weights: ``W + scale B A``.

    Args:
        transformer: Changed in place.
        adapter: ``MODULE.lora_A.weight`` [rank, in] and ``MODULE.lora_B.weight`` [out, rank], modules by
            original names or ours.
        path: Where it comes from, for messages.
        scale: What it counts.

    Raises:
        CheckpointError: If it does not fit.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in adapter.items():
        module, part, _ = name.rsplit(".", 2)
        parts.setdefault(module, {})[part] = value
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
        weights = umt5_from_original(weights)
    weights.setdefault("encoder.embed_tokens.weight", weights.get("shared.weight", torch.empty(0)))
    with torch.device("meta"):
        encoder = UMT5EncoderModel(_umt5_config(weights, path))
    _fill(encoder, weights, path)
    return encoder


def _umt5_config(weights: Mapping[str, Tensor], path: Path) -> UMT5Config:
    first = "encoder.block.0.layer."
    try:
        words, width = weights["shared.weight"].shape
        buckets, heads = weights[f"{first}0.SelfAttention.relative_attention_bias.weight"].shape
        inner, hidden = (
            weights[f"{first}{name}.weight"].shape[0]
            for name in ("0.SelfAttention.q", "1.DenseReluDense.wi_0")
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error.args[0]}; it is no umT5 encoder, or cut off") from error
    return UMT5Config(
        vocab_size=words,
        d_model=width,
        d_kv=inner // heads,
        d_ff=hidden,
        num_layers=1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.block.")),
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
        weights = convert_wan_vae_to_diffusers(dict(weights))
    if "decoder.conv_in.weight" not in weights:
        raise CheckpointError(
            f"{path} is no autoencoder of Wan 2.1; give Wan2.1_VAE.pth or diffusers' vae folder"
        )
    base = weights["encoder.conv_in.weight"].shape[0]
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
    try:
        with torch.device("meta"):
            decoder = TinyWanDecoder(**tiny_decoder_sizes(weights))
    except (KeyError, IndexError) as error:
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


def _renamed(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if any(any(sign in name for sign in _OURS) for name in weights):
        return dict(weights)
    try:
        return from_original(weights)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _fill(network: torch.nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    check_fit(weights, network.state_dict(), path)
    check_finite(weights, path)
    network.load_state_dict(weights, assign=True)
    network.eval()
