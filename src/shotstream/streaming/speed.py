"""Making a pipeline fast on the device it is on: what is done, and why (docs/numerics.md: what it costs)."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shotstream.models.attention_choice import fastest_attention, use_attention
from shotstream.models.captions import Captions
from shotstream.models.device import Choice
from shotstream.models.float8 import Float8Linear, use_float8

if TYPE_CHECKING:
    from shotstream.models.transformer import CausalWanTransformer3DModel
    from shotstream.streaming.pipeline import ShotStreamPipeline

LEAST_GAIN = 1.1
"""8-bit layers must be so many times as fast as those they replace, or they are not used."""


@dataclass(frozen=True)
class Speed:
    """Ways to be faster."""

    attention: bool = False
    """Take the fastest attention back end that runs here."""
    compile: bool = False
    """Compile the blocks; costs time at the start, most of it only once on a machine."""
    float8: bool = False
    """8-bit linear layers, where they are measured to be faster."""


MODES = {
    "plain": Speed(),
    "exact": Speed(attention=True, compile=True),
    "fast": Speed(attention=True, compile=True, float8=True),
}
"""``plain`` does nothing; ``exact`` differs by rounding only; ``fast`` computes in fewer bits, too."""


def choose_mode(name: str, device: torch.device) -> Choice[str]:
    """Choose one of `MODES`.

    Args:
        name: ``auto``, or the name of one.
        device: Where the pipeline is.

    Raises:
        ValueError: If there is no such mode.
    """
    if name not in ("auto", *MODES):
        raise ValueError(f"there is no mode {name!r}; give auto, {', '.join(MODES)}")
    if name != "auto":
        return Choice(name, "asked for")
    if device.type == "cuda":
        return Choice("exact", "a GPU")
    return Choice("plain", "without a GPU compiling takes longer than it saves")


def prepare(
    pipeline: ShotStreamPipeline, speed: Speed, height: int | None = None, width: int | None = None
) -> list[tuple[str, Choice[str]]]:
    """Make a pipeline fast for pictures of one size, and run it once so that no user waits for that.

    After compiling, nothing is compiled any more in this process: what comes in other shapes runs as it is.

    Args:
        pipeline: Where it is to run, in its number format.
        speed: What to do.
        height: Picture height in pixels; the trained one if None.
        width: Picture width in pixels; the trained one if None.

    Returns:
        What was chosen for what, and why.
    """
    transformer, device = pipeline.transformer, pipeline._execution_device
    chosen: list[tuple[str, Choice[str]]] = []
    if speed.attention:
        choice = _choose_attention(transformer, *_tokens(pipeline, height, width), device)
        use_attention(transformer, choice.value)
        chosen.append(("attention", choice))
    if speed.float8:
        chunk_tokens, _ = _tokens(pipeline, height, width)
        chosen.append(("linear layers", _try_float8(transformer, chunk_tokens, device, speed.compile)))
    if speed.compile:
        started = time.perf_counter()
        transformer.compile_repeated_blocks(fullgraph=True)
        _warm_up(pipeline, height, width)
        torch.compiler.set_stance("eager_on_recompile")
        chosen.append(("blocks", Choice("compiled", f"in {time.perf_counter() - started:.0f} s")))
    return chosen


def _tokens(pipeline: ShotStreamPipeline, height: int | None, width: int | None) -> tuple[int, int]:
    """Tokens of a chunk, and what the last chunk of a trained shot sees."""
    config = pipeline.transformer.config
    frame = pipeline.tokens_per_frame(*pipeline.picture_size(height, width))
    chunk = config["chunk_frames"] * frame
    return chunk, config["context_frames"] * frame + config["window_chunks"] * chunk


@torch.no_grad()
def _warm_up(pipeline: ShotStreamPipeline, height: int | None, width: int | None) -> None:
    """Roll out a shot that has every shape: contexts of one, two and three captions, and a whole window."""
    transformer, device = pipeline.transformer, pipeline._execution_device
    config, size = transformer.config, pipeline.picture_size(height, width)
    cell, cache = pipeline.latent_shape(*size), pipeline.new_cache(*size)
    blank = torch.zeros(1, 1, config["text_length"], config["text_dim"], device=device)
    caption = transformer.encode_captions(blank.to(transformer.dtype))
    rollout, frames = pipeline.new_rollout(cache, caption, 1), config["context_frames"]
    for count in (1, 2, 3):
        index = torch.arange(frames, device=device) * count // max(frames, 1)
        stills = torch.zeros((1, frames, *cell), device=device)
        rollout.fill_context(stills, Captions.join([caption] * count), index if count > 1 else None, 0)
    noise = torch.zeros((1, config["chunk_frames"], *cell), device=device)
    for _ in range(config["window_chunks"]):
        rollout.commit(rollout.denoise(lambda _: noise))


def _choose_attention(
    transformer: CausalWanTransformer3DModel, chunk_tokens: int, seen_tokens: int, device: torch.device
) -> Choice[str]:
    if transformer.token_shares > 1:
        return Choice("native", "devices share out the tokens, and must all do the same")
    heads, size = transformer.config["num_attention_heads"], transformer.config["attention_head_dim"]
    return fastest_attention(chunk_tokens, seen_tokens, heads, size, transformer.dtype, device)


def _try_float8(
    transformer: CausalWanTransformer3DModel, tokens: int, device: torch.device, compiled: bool
) -> Choice[str]:
    """Use 8-bit layers if they are faster, compiled if they will be."""
    if transformer.dtype != torch.bfloat16:
        return Choice("as they are", "8-bit layers need a model in bfloat16")
    block = deepcopy(transformer.blocks[0]).to(device)  # where it will run, which offloading may hide
    gain = _float8_gain(block, tokens, compiled)
    if gain >= LEAST_GAIN:
        use_float8(transformer)
    name = "float8" if gain >= LEAST_GAIN else "as they are"
    return Choice(name, f"in 8 bits {gain:.2f} times as fast as in bfloat16")


@torch.no_grad()
def _float8_gain(block: nn.Module, tokens: int, compiled: bool) -> float:
    """How many times as fast a block's linear layers are in 8 bits; 0 if this device cannot."""
    seconds = {Float8Linear: 0.0, nn.Linear: 0.0}
    for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ffn.net.0.proj", "ffn.net.2"):
        linear = block.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        x = torch.randn(tokens, linear.in_features, device=linear.weight.device, dtype=linear.weight.dtype)
        try:
            for layer in (linear, Float8Linear(linear)):
                seconds[type(layer)] += _seconds(torch.compile(layer) if compiled else layer, x)
        except (RuntimeError, NotImplementedError):
            return 0.0
    return seconds[nn.Linear] / seconds[Float8Linear]


def _seconds(layer: Callable[[Tensor], Tensor], x: Tensor, repeats: int = 10) -> float:
    device = torch.get_device_module(x.device)
    layer(x)
    device.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        layer(x)
    device.synchronize()
    return (time.perf_counter() - started) / repeats
