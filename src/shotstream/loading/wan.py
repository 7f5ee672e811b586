"""The parts of a model from published files: Wan 2.1, ShotStream's released checkpoint, and LoRAs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch
from diffusers import AutoencoderKLWan
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5EncoderModel

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.folders import shorten
from shotstream.loading.lora import merge_adapter, read_lora
from shotstream.loading.lora_files import Lora
from shotstream.loading.networks import (
    cast_weights,
    load_autoencoder,
    load_tiny_decoder,
    load_transformer,
    load_umt5,
)
from shotstream.loading.weight_files import CheckpointError
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.transformer import CausalWanTransformer3DModel


class PartPaths(NamedTuple):
    """Paths of the parts of a published model: files, or folders of safetensors."""

    transformer: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path


ORIGINAL = PartPaths(
    Path("diffusion_pytorch_model.safetensors"),
    Path("Wan2.1_VAE.pth"),
    Path("models_t5_umt5-xxl-enc-bf16.pth"),
    Path("google/umt5-xxl"),
)
"""Names in the folder that Wan's authors publish."""
DIFFUSERS = PartPaths(Path("transformer"), Path("vae"), Path("text_encoder"), Path("tokenizer"))
"""Names in the folder in diffusers' layout."""


def find_parts(folder: Path) -> PartPaths:
    """Find the parts of Wan 2.1 in a folder of either layout.

    Raises:
        CheckpointError: Naming what is missing.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}; give the folder of Wan 2.1 T2V 1.3B")
    layout = DIFFUSERS if (folder / "model_index.json").is_file() else ORIGINAL
    parts = PartPaths(*(folder / name for name in layout))
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
    parts: PartPaths,
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
        merge_adapter(network, read_lora(lora.path), lora.scale)
    text_dtype = torch.bfloat16 if dtype == torch.float16 else dtype  # umT5 overflows float16
    return Components(
        transformer=cast_weights(network, dtype, network._keep_in_fp32_modules),
        vae=load_autoencoder(parts.vae),
        text_encoder=cast_weights(load_umt5(parts.text_encoder), text_dtype),
        tokenizer=_load_tokenizer(parts.tokenizer),
        scheduler=FlowSchedule(),
        live_decoder=cast_weights(load_tiny_decoder(tiny_decoder), dtype) if tiny_decoder else None,
    )


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        raise CheckpointError(f"the tokenizer in {folder} cannot be read: {shorten(error)}") from error
