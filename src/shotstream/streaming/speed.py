"""Making a pipeline fast on the device it is on: what is done, and why (docs/numerics.md: what it costs)."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shotstream.models.attention_choice import fastest_attention, use_attention
from shotstream.models.device import Choice
from shotstream.models.float8 import Float8Linear, use_float8
from shotstream.streaming.session import PromptWarning

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
    chunk_tokens, seen_tokens = _tokens(pipeline, height, width)
    chosen: list[tuple[str, Choice[str]]] = []
    if speed.attention:
        heads, size = transformer.config["num_attention_heads"], transformer.config["attention_head_dim"]
        best = fastest_attention(chunk_tokens, seen_tokens, heads, size, transformer.dtype, device)
        use_attention(transformer, best.value)
        chosen.append(("attention", best))
    if speed.float8:
        chosen.append(("linear layers", _try_float8(transformer, chunk_tokens)))
    if speed.compile:
        started = time.perf_counter()
        transformer.compile_repeated_blocks(fullgraph=True)
        _warm_up(pipeline, height, width)
        torch.compiler.set_stance("eager_on_recompile")
        chosen.append(("blocks", Choice("compiled", f"in {time.perf_counter() - started:.0f} s")))
    return chosen


def _tokens(pipeline: ShotStreamPipeline, height: int | None, width: int | None) -> tuple[int, int]:
    """Tokens of a chunk, and what the last chunk of a trained shot sees."""
    config, ratio = pipeline.transformer.config, pipeline.autoencoder.spatial_ratio
    _, rows, columns = config["patch_size"]
    picture_height, picture_width = pipeline.picture_size(height, width)
    frame = (picture_height // ratio // rows) * (picture_width // ratio // columns)
    chunk = config["chunk_frames"] * frame
    return chunk, config["context_frames"] * frame + config["window_chunks"] * chunk


def _warm_up(pipeline: ShotStreamPipeline, height: int | None, width: int | None) -> None:
    """Tell a story that has every shape: contexts of one, two and three captions, and a whole shot.

    Its captions are blank, so that no text encoder has to be read for it.
    """
    config = pipeline.transformer.config
    blank = torch.zeros(1, 1, config["text_length"], config["text_dim"], device=pipeline._execution_device)
    vars(pipeline)["embed"] = lambda _: blank.to(pipeline.transformer.dtype)
    try:
        with warnings.catch_warnings(action="ignore", category=PromptWarning):
            session = pipeline.open("", 0, height, width)
            for number, chunks in enumerate((1, 1, 1, None)):
                for _ in session.shoot(str(number), chunks=chunks):
                    pass
    finally:
        del vars(pipeline)["embed"]


def _try_float8(transformer: CausalWanTransformer3DModel, tokens: int) -> Choice[str]:
    """Use 8-bit layers if they are faster."""
    if transformer.dtype != torch.bfloat16:
        return Choice("as they are", "8-bit layers need a model in bfloat16")
    gain = _float8_gain(transformer.blocks[0].get_submodule("ffn.net.2"), tokens)
    if gain >= LEAST_GAIN:
        use_float8(transformer)
    name = "float8" if gain >= LEAST_GAIN else "as they are"
    return Choice(name, f"in 8 bits {gain:.2f} times as fast as in bfloat16")


@torch.no_grad()
def _float8_gain(linear: nn.Module, tokens: int) -> float:
    """How many times as fast a linear layer is in 8 bits; 0 if this device or format cannot."""
    assert isinstance(linear, nn.Linear)
    x = torch.randn(tokens, linear.in_features, device=linear.weight.device, dtype=linear.weight.dtype)
    try:
        return _seconds(linear, x) / _seconds(Float8Linear(linear), x)
    except (RuntimeError, NotImplementedError):
        return 0.0


def _seconds(layer: nn.Module, x: Tensor, repeats: int = 10) -> float:
    device = torch.get_device_module(x.device)
    layer(x)
    device.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        layer(x)
    device.synchronize()
    return (time.perf_counter() - started) / repeats
