"""LoRAs: reading them in every naming, and merging them into the transformer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.loaders import WanLoraLoaderMixin
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from torch import Tensor

from shotstream.loading.folders import shorten
from shotstream.loading.weight_files import CheckpointError, WeightFile, read_metadata, read_weights
from shotstream.loading.weight_names import in_our_names
from shotstream.models.transformer import CausalWanTransformer3DModel

_ADAPTER = re.compile(r"(.+)\.(lora_[AB])(?:\.\w+)?\.weight")
_LORA = re.compile(r"(?!.*blocks\D\d{4}).+\.(lora_(A|B|down|up)(\.\w+)?\.weight|alpha)")
"""Names in a LoRA; diffusers goes through all layers up to the highest number, so that is bounded."""


class Lora(NamedTuple):
    """A LoRA that is merged into the transformer."""

    path: Path
    scale: float = 1.0


def split_adapter(file: WeightFile) -> tuple[WeightFile, WeightFile]:
    """Separate PEFT's adapter from the weights it stands between.

    Returns:
        The weights under their plain names, and the adapter as ``MODULE.lora_A.weight`` and ``lora_B``.

    Raises:
        CheckpointError: If there are several adapters.
    """
    plain: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, value in file.tensors.items():
        match = _ADAPTER.fullmatch(name)
        if match:
            part = f"{match[1]}.{match[2]}.weight"
            if part in adapter:
                raise CheckpointError(
                    f"{file.path} holds several adapters, one of them with {name}; "
                    "give a file with one of them"
                )
            adapter[part] = value
        else:
            plain[name.replace(".base_layer.", ".")] = value
    return file.having(plain), file.having(adapter)


def only_adapter(file: WeightFile) -> WeightFile:
    """Return the adapter of a file that holds nothing else, named as `split_adapter` names it.

    Raises:
        CheckpointError: With the first weight that is of no plain LoRA (of a DoRA, say, or a changed bias).
    """
    others, adapter = split_adapter(file)
    if others.tensors:
        raise CheckpointError(
            f"{file.path} holds {next(iter(others.tensors))}, which is no part of a plain LoRA and would be "
            "lost; only lora_A and lora_B of Wan's layers can be merged"
        )
    return adapter


def merge_adapter(transformer: CausalWanTransformer3DModel, adapter: WeightFile, scale: float = 1.0) -> None:
    """Add a LoRA to the weights: ``W + scale B A``.

    Args:
        transformer: Changed in place.
        adapter: ``MODULE.lora_A.weight`` [rank, in] and ``MODULE.lora_B.weight`` [out, rank], modules by
            original names or ours.
        scale: Factor of the product.

    Raises:
        CheckpointError: If it does not fit, or holds no finite numbers.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in adapter.tensors.items():
        adapter.shape(name, 2)
        module, part, _ = name.rsplit(".", 2)
        parts.setdefault(module, {})[part] = value
    adapter.check_finite()
    own = dict(transformer.named_parameters())
    names = adapter.having({f"{module}.weight": torch.empty(0) for module in parts}).converted(in_our_names)
    for (module, pair), name in zip(parts.items(), names.tensors, strict=True):
        if set(pair) != {"lora_A", "lora_B"} or name not in own:
            raise CheckpointError(
                f"the adapter in {adapter.path} does not fit: {module} has {', '.join(sorted(pair))}"
            )
        down, up, weight = pair["lora_A"].float(), pair["lora_B"].float(), own[name]
        if (up.shape[0], down.shape[1]) != tuple(weight.shape) or up.shape[1] != down.shape[0]:
            raise CheckpointError(
                f"the adapter in {adapter.path} does not fit: for {module} {list(weight.shape)} it has "
                f"{list(up.shape)} x {list(down.shape)}; it belongs to a model of another size"
            )
        with torch.no_grad():
            own[name].data = (weight.float() + scale * up @ down).to(weight.dtype)  # never into a mapped file


def read_lora(path: Path) -> WeightFile:
    """Read a LoRA in diffusers' naming, the original or kohya's, as ``MODULE.lora_A.weight`` and ``lora_B``.

    ``lora_B`` is multiplied by alpha / rank. Alphas stand beside the weights, or in the file's header as
    diffusers writes them. Without any, alpha is the rank, so that the LoRA counts in full.

    Raises:
        CheckpointError: If it cannot be used, or holds anything that would not be merged.
    """
    found = read_weights(path)
    if not any("lora" in str(name) for name in found):
        raise CheckpointError(f"{path} holds no LoRA (no lora_A and lora_B); give a LoRA file of Wan")
    for name, value in found.items():
        if not isinstance(value, Tensor) or not _LORA.fullmatch(str(name)):
            raise CheckpointError(
                f"{path} holds {name}, which is no part of a plain LoRA and would be lost; "
                "only lora_A, lora_B and alpha of Wan's layers can be merged"
            )
    beside, pairs = split_adapter(WeightFile(path, found))
    found = beside.tensors | pairs.tensors
    if not any(name.startswith(("transformer.", "diffusion_model.", "lora_unet_")) for name in found):
        prefix = (
            "transformer"
            if any(".attn1." in name or ".attn2." in name for name in found)
            else "diffusion_model"
        )
        found = {f"{prefix}.{name}": value for name, value in found.items()}
    try:
        state: Any = WanLoraLoaderMixin.lora_state_dict(found)
    except Exception as error:  # the conversions raise whatever they stumble over
        raise CheckpointError(
            f"{path} is no LoRA of Wan's text-to-video model ({shorten(error)}); check what it was made for"
        ) from error
    plain = {name.removeprefix("transformer."): value for name, value in state.items()}
    adapter = only_adapter(WeightFile(path, plain))
    header = read_metadata(path).get(LORA_ADAPTER_METADATA_KEY)
    return adapter if header is None else scale_adapter(adapter, header)


def scale_adapter(adapter: WeightFile, header: str) -> WeightFile:
    """Multiply every ``lora_B`` of an adapter by alpha / rank, or alpha / sqrt(rank) with ``use_rslora``.

    Args:
        adapter: From `read_lora`.
        header: PEFT's settings as diffusers writes them, JSON: ``lora_alpha``, and in ``alpha_pattern`` the
            alphas of some layers by the ends of their names.

    Raises:
        CheckpointError: If the settings cannot be read, or name layers that the adapter does not have.
    """
    path = adapter.path
    try:
        settings = {name.removeprefix("transformer."): value for name, value in json.loads(header).items()}
        alphas = {f".{layer}": float(alpha) for layer, alpha in (settings.get("alpha_pattern") or {}).items()}
        usual = float(settings["lora_alpha"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"the header of {path} does not tell the LoRA's alpha ({LORA_ADAPTER_METADATA_KEY}: "
            f"{shorten(error)}); save it again with diffusers"
        ) from error
    scaled = dict(adapter.tensors)
    layers = {f".{name.removesuffix('.lora_B.weight')}": name for name in scaled if ".lora_B." in name}
    for end in alphas:
        if not any(layer.endswith(end) for layer in layers):
            raise CheckpointError(
                f"the header of {path} tells an alpha of {end[1:]}, which the LoRA does not have"
            )
    for layer, name in layers.items():
        rank = adapter.shape(name, 2)[1]
        alpha = next((alpha for end, alpha in alphas.items() if layer.endswith(end)), usual)
        scaled[name] = adapter.tensors[name].float() * (
            alpha / (rank**0.5 if settings.get("use_rslora") else rank)
        )
    return adapter.having(scaled)
