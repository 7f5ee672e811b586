"""The parts of a model from published files: Wan 2.1, ShotStream's released checkpoint, and LoRAs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders import WanLoraLoaderMixin
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5EncoderModel

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.folders import shorten
from shotstream.loading.networks import (
    load_autoencoder,
    load_text_encoder_file,
    load_tiny_decoder,
    load_transformer,
    merge_adapter,
    only_adapter,
    split_adapter,
)
from shotstream.loading.weight_files import CheckpointError, read_metadata, read_weights, shape_of
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.transformer import CausalWanTransformer3DModel

Network = TypeVar("Network", bound=nn.Module)
_LORA = re.compile(r"(?!.*blocks\D\d{4}).+\.(lora_(A|B|down|up)(\.\w+)?\.weight|alpha)")
"""Names in a LoRA; diffusers goes through all layers up to the highest number, so that is bounded."""


class Parts(NamedTuple):
    """Where the parts of a published model are: files, or folders of safetensors."""

    transformer: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path


ORIGINAL = Parts(
    Path("diffusion_pytorch_model.safetensors"),
    Path("Wan2.1_VAE.pth"),
    Path("models_t5_umt5-xxl-enc-bf16.pth"),
    Path("google/umt5-xxl"),
)
"""Names in the folder that Wan's authors publish."""
DIFFUSERS = Parts(Path("transformer"), Path("vae"), Path("text_encoder"), Path("tokenizer"))
"""Names in the folder in diffusers' layout."""


class Lora(NamedTuple):
    """A LoRA that is merged into the transformer."""

    path: Path
    scale: float = 1.0


def find_parts(folder: Path) -> Parts:
    """Find the parts of Wan 2.1 in a folder of either layout.

    Raises:
        CheckpointError: Naming what is missing.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}; give the folder of Wan 2.1 T2V 1.3B")
    layout = DIFFUSERS if (folder / "model_index.json").is_file() else ORIGINAL
    parts = Parts(*(folder / name for name in layout))
    missing = [str(name) for name, part in zip(layout, parts, strict=True) if not part.exists()]
    if missing:
        raise CheckpointError(
            f"the folder {folder} lacks {', '.join(missing)}; give the folder of Wan 2.1 T2V 1.3B as it is "
            "published, by its authors or for diffusers"
        )
    return parts


class Components(TypedDict):
    """The parts of a pipeline, by the names of its arguments."""

    transformer: CausalWanTransformer3DModel
    vae: AutoencoderKLWan
    text_encoder: UMT5EncoderModel
    tokenizer: PreTrainedTokenizerBase
    scheduler: FlowSchedule
    live_decoder: TinyWanDecoder | None


def assemble(
    parts: Parts,
    checkpoint: Path | None = None,
    *,
    wrapper: str | None = None,
    loras: Sequence[Lora] = (),
    tiny_decoder: Path | None = None,
    dtype: torch.dtype = torch.bfloat16,
    transformer: Mapping[str, Any] | None = None,
) -> Components:
    """Load the parts of a pipeline.

    Args:
        parts: Of Wan 2.1.
        checkpoint: ShotStream's released weights, instead of Wan's transformer.
        wrapper: Which network of the checkpoint; None for its generator, averaged where there is one.
        loras: Merged into the transformer, in order.
        tiny_decoder: File of the public tiny decoder (``taew2_1``), for watching live.
        dtype: Of the transformer (but its norms and modulations, which stay float32), of the tiny decoder and
            of the text encoder (bfloat16 instead of float16); the autoencoder stays as it is published.
        transformer: Entries of the transformer's config that weights do not tell.

    Raises:
        CheckpointError: If a part cannot be used.
    """
    network = load_transformer(checkpoint or parts.transformer, wrapper, **(transformer or {}))
    for lora in loras:
        merge_adapter(network, read_lora(lora.path), lora.path, lora.scale)
    text_dtype = torch.bfloat16 if dtype == torch.float16 else dtype  # umT5 overflows float16
    return Components(
        transformer=cast_weights(network, dtype, network._keep_in_fp32_modules),
        vae=load_autoencoder(parts.vae),
        text_encoder=cast_weights(load_text_encoder_file(parts.text_encoder), text_dtype),
        tokenizer=_load_tokenizer(parts.tokenizer),
        scheduler=FlowSchedule(),
        live_decoder=cast_weights(load_tiny_decoder(tiny_decoder), dtype) if tiny_decoder else None,
    )


def cast_weights(network: Network, dtype: torch.dtype, kept: Sequence[str] | None = None) -> Network:
    """Change the weights' number format, except for modules that are kept in float32."""
    for name, values in network.named_parameters():
        values.data = values.data.to(torch.float32 if {*name.split(".")} & {*(kept or ())} else dtype)
    return network


def read_lora(path: Path) -> dict[str, Tensor]:
    """Read a LoRA in diffusers' naming, the original or kohya's, as ``MODULE.lora_A.weight`` and ``lora_B``.

    What its alphas make it count is multiplied in: those beside its weights, or those that diffusers writes
    into the file's header. Where a file tells none they are taken to be the rank: it counts in full.

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
    beside, pairs = split_adapter(found, path)
    found = beside | pairs
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
    adapter = only_adapter({name.removeprefix("transformer."): value for name, value in state.items()}, path)
    header = read_metadata(path).get(LORA_ADAPTER_METADATA_KEY)
    return adapter if header is None else scale_adapter(adapter, header, path)


def scale_adapter(adapter: Mapping[str, Tensor], header: str, path: Path) -> dict[str, Tensor]:
    """Multiply what alpha and rank make an adapter count into its ``lora_B``.

    Args:
        adapter: From `read_lora`.
        header: PEFT's settings as diffusers writes them, JSON: ``lora_alpha``, and in ``alpha_pattern`` that
            of layers by the ends of their names. It counts alpha / rank; with ``use_rslora``,
            alpha / sqrt(rank).
        path: The file.

    Raises:
        CheckpointError: If the settings cannot be read, or speak of layers that the adapter does not have.
    """
    try:
        told = {name.removeprefix("transformer."): value for name, value in json.loads(header).items()}
        alphas = {f".{layer}": float(alpha) for layer, alpha in (told.get("alpha_pattern") or {}).items()}
        usual = float(told["lora_alpha"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"the header of {path} does not tell the LoRA's alpha ({LORA_ADAPTER_METADATA_KEY}: "
            f"{shorten(error)}); save it again with diffusers"
        ) from error
    scaled = dict(adapter)
    layers = {f".{name.removesuffix('.lora_B.weight')}": name for name in adapter if ".lora_B." in name}
    for end in alphas:
        if not any(layer.endswith(end) for layer in layers):
            raise CheckpointError(
                f"the header of {path} tells an alpha of {end[1:]}, which the LoRA does not have"
            )
    for layer, name in layers.items():
        rank = shape_of(adapter, name, 2, path)[1]
        alpha = next((alpha for end, alpha in alphas.items() if layer.endswith(end)), usual)
        scaled[name] = adapter[name].float() * (alpha / (rank**0.5 if told.get("use_rslora") else rank))
    return scaled


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        raise CheckpointError(f"the tokenizer in {folder} cannot be read: {shorten(error)}") from error
