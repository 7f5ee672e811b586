"""What the parts of a model take, and their work.

Nothing is loaded and nothing is tabled: the networks that serve users are built on fake tensors, from their
configs, and do a context pass, the chunk passes of a shot and a decode at the asked size, while the bytes
that they allocate are counted (`machine/tensor_memory.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKLWan
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, PreTrainedModel, UMT5Config, UMT5EncoderModel

import shotstream
from shotstream.loading.folders import ModelError, check_configs, load_errors, locate_model
from shotstream.loading.networks import cast_weights
from shotstream.machine.attention_choice import use_attention
from shotstream.machine.tensor_memory import peak_bytes, storage_bytes
from shotstream.models.autoencoder import StreamingDecoder
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.autoencoder_wan import WanStreamingDecoder, as_video_autoencoder
from shotstream.models.captions import Captions
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.models.wan_decoder import WanDecoder
from shotstream.streaming.timing import check_picture_size
from shotstream.streaming.vram_plan import VramSizes

UMT5_XXL = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""Sizes of Wan 2.1's text encoder."""


@dataclass(frozen=True)
class Networks:
    """The networks of a model, and the pictures that they make."""

    transformer: CausalWanTransformer3DModel
    vae: nn.Module
    text_encoder: PreTrainedModel
    live_decoder: TinyWanDecoder | None
    height: int
    width: int


def measure(model: str, height: int | None = None, width: int | None = None) -> tuple[VramSizes, int, int]:
    """Measure a model in bfloat16, as GPUs run it.

    Args:
        model: "wan-1.3b", a shipped model, or a folder.
        height: Of the pictures; what the model was trained at if None.
        width: Likewise.

    Returns:
        What it takes, and height and width.

    Raises:
        ValueError: If the model is not here, or cannot make pictures of that size.
    """
    with fake_tensors():
        networks = build(model, height, width)
        return measure_networks(networks), networks.height, networks.width


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Inside, new tensors have shapes but no contents.

    Functions that keep tensors for the next call (`functools.lru_cache`) forget them before and after: real
    and fake ones do not mix.
    """
    _forget_results()
    try:
        with FakeTensorMode():
            yield
    finally:
        _forget_results()


def _forget_results() -> None:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("shotstream.models.")]
    for function in (value for module in modules for value in vars(module).values()):
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def build(model: str, height: int | None = None, width: int | None = None) -> Networks:
    """Build the networks of a model in bfloat16, with whatever weights they begin with.

    Args:
        model: See `measure`.
        height: See `measure`.
        width: See `measure`.

    Raises:
        ValueError: See `measure`.
    """
    parts, config = _build_wan() if model == "wan-1.3b" else _build_from(Path(locate_model(model)))
    for part in parts.values():
        if part is not None:
            kept = [] if isinstance(part, PreTrainedModel) else part._keep_in_fp32_modules
            cast_weights(part, torch.bfloat16, kept)  # transformers keeps modules in float32 for float16 only
    networks = Networks(**parts, height=height or int(config["height"]), width=width or int(config["width"]))
    _, rows, columns = networks.transformer.config["patch_size"]
    ratio = as_video_autoencoder(networks.vae).spatial_ratio
    check_picture_size(networks.height, networks.width, ratio * rows, ratio * columns)
    return networks


def measure_networks(networks: Networks) -> VramSizes:
    """Measure networks by letting them work, on fake tensors or real ones.

    Args:
        networks: In the number format that they are to run in.
    """
    transformer, vae, live = networks.transformer, networks.vae, networks.live_decoder
    captions = _make_captions(transformer)
    autoencoder = as_video_autoencoder(vae)
    pictures = torch.zeros(1, 1, 3, networks.height, networks.width, dtype=transformer.dtype)
    cache, passes = _measure_passes(networks, captions, transformer.dtype)
    cache_float8, passes_float8 = _measure_passes(networks, captions, torch.float8_e4m3fn)
    decoding, state = _measure_decoder(networks, autoencoder.open_decoder())
    at_once = decoding
    if isinstance(vae, AutoencoderKLWan):
        at_once, _ = _measure_decoder(networks, WanStreamingDecoder(vae, WanDecoder(vae), at_once=True))
    live_decoding, live_state = _measure_decoder(networks, live.open_decoder()) if live else (0, 0)
    seen = transformer.config["context_frames"] + 1
    return VramSizes(
        transformer=_weights(transformer),
        vae=_weights(vae),
        live_decoder=_weights(live) if live else 0,
        text_encoder=_weights(networks.text_encoder),
        text_encoder_int8=_weights(networks.text_encoder) - _saved_by_int8(networks.text_encoder),
        kv_cache=cache,
        kv_cache_float8=cache_float8,
        captions=seen * sum(storage_bytes(layer) for layer in captions.layers),
        encoding=_measure_text(networks),
        passes=passes,
        passes_float8=passes_float8,
        still=peak_bytes(lambda: autoencoder.encode_stills(pictures)),
        decoder_state=state,
        decoding=decoding,
        decoding_at_once=at_once,
        live_decoding=live_decoding,
        live_state=live_state,
    )


def _build_wan() -> tuple[dict[str, Any], dict[str, int]]:
    parts = {
        "transformer": CausalWanTransformer3DModel(),
        "vae": diffusers.AutoencoderKLWan(),
        "text_encoder": UMT5EncoderModel(UMT5Config(**UMT5_XXL)),
        "live_decoder": TinyWanDecoder(),
    }
    return parts, {"height": 480, "width": 832}


def _build_from(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if not folder.is_dir():
        raise ModelError(
            f"the model {str(folder)!r} is not here; plan for wan-1.3b, or fetch it and give its folder"
        )
    check_configs(folder)
    with load_errors(folder):
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        parts = {name: _build_part(folder, index, name) for name in ("transformer", "vae", "live_decoder")}
        if not isinstance(parts["transformer"], CausalWanTransformer3DModel):
            raise ModelError(
                f"the folder {folder} holds no model that ShotStream knows; `convert` makes those"
            )
        as_video_autoencoder(parts["vae"])  # or says that it is none
        if "text_encoder" not in index or not (folder / "text_encoder" / "config.json").is_file():
            raise ModelError(f"the model {str(folder)!r} lacks its text_encoder; fetch or export it again")
        config = AutoConfig.from_pretrained(folder / "text_encoder", local_files_only=True)
        return {**parts, "text_encoder": getattr(transformers, index["text_encoder"][1])(config)}, index


def _build_part(folder: Path, index: dict[str, Any], name: str) -> Any:
    library, class_name = index.get(name) or (None, None)
    if class_name is None:
        return None
    network: Any = getattr(shotstream if library == "shotstream" else diffusers, class_name)
    return network.from_config(network.load_config(folder / name))


def _make_captions(transformer: CausalWanTransformer3DModel) -> Captions:
    length, width = transformer.config["text_length"], transformer.config["text_dim"]
    with torch.no_grad():
        return transformer.encode_captions(torch.zeros(1, 1, length, width, dtype=transformer.dtype))


def _measure_passes(networks: Networks, captions: Captions, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the cache in a number format, and most bytes of a pass.

    Without gradients every block lets go of what it made, so the passes are made by one block.
    """
    whole = networks.transformer
    context, *chunks = _latents(networks)
    _, rows, columns = whole.config["patch_size"]
    tokens = (context.shape[3] // rows) * (context.shape[4] // columns)
    config: Any = {name: value for name, value in whole.config.items() if not name.startswith("_")}
    block = CausalWanTransformer3DModel(**{**config, "num_layers": 1})
    cast_weights(block, whole.dtype, block._keep_in_fp32_modules)
    use_attention(block, "native")  # on a CPU bfloat16 goes another way, whose tables a GPU does not make
    settings: Any = {"batch": 1, "tokens_per_frame": tokens, "dtype": dtype, "device": context.device}
    cache = block.new_cache(**settings)
    inputs = {"timestep": torch.zeros(1), "captions": Captions(captions.layers[:1]), "shot_index": 1}
    cache.fill_context(context.shape[1])
    peaks = [peak_bytes(partial(block, context, cache=cache, **inputs))]
    for chunk in chunks:
        cache.begin_chunk()
        peaks.append(peak_bytes(partial(block, chunk, cache=cache, **inputs)))
        cache.commit()
    return storage_bytes(vars(whole.new_cache(**settings)).values()), max(peaks)


def _latents(networks: Networks) -> Iterator[Tensor]:
    """Latents of a context, and of as many chunks as a shot sees."""
    config, autoencoder = networks.transformer.config, as_video_autoencoder(networks.vae)
    size = (networks.height // autoencoder.spatial_ratio, networks.width // autoencoder.spatial_ratio)
    for frames in (config["context_frames"], *[config["chunk_frames"]] * config["window_chunks"]):
        yield torch.zeros(1, frames, config["in_channels"], *size, dtype=networks.transformer.dtype)


def _measure_decoder(networks: Networks, decoder: StreamingDecoder) -> tuple[int, int]:
    """Most bytes that a chunk takes beside what is carried from chunk to chunk, and that."""
    *_, chunk = _latents(networks)

    def decode_two() -> None:
        for _ in range(2):
            decoder.decode(chunk)

    peak, carried = peak_bytes(decode_two), storage_bytes(decoder.state())
    return peak - carried, carried


def _measure_text(networks: Networks) -> int:
    length = networks.transformer.config["text_length"]
    ids = torch.zeros(1, length, dtype=torch.long)
    return peak_bytes(lambda: networks.text_encoder(input_ids=ids, attention_mask=torch.ones_like(ids)))


def _weights(network: nn.Module) -> int:
    return storage_bytes((*network.parameters(), *network.buffers()))


def _saved_by_int8(network: nn.Module) -> int:
    """Bytes less if every linear layer keeps whole numbers of 8 bits and a scale per row."""
    layers = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    return sum(
        (weight.itemsize - 1) * weight.numel() - weight.itemsize * weight.shape[0] for weight in layers
    )
