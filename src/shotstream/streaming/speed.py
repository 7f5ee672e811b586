"""Making a pipeline fast on the device it is on: what is done, and why (docs/numerics.md: what it costs)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from shotstream.machine.attention_choice import (
    CANDIDATES,
    fastest_attention,
    use_attention,
    use_float8_attention,
)
from shotstream.machine.attention_error import float8_attention_error_apart
from shotstream.machine.device import Choice, choose_attention
from shotstream.machine.measured_choices import MeasuredChoices, keep_compiled_code
from shotstream.models.autoencoder_wan import WanVideoAutoencoder
from shotstream.models.block import CausalWanBlock
from shotstream.models.cache_write import cache_write_error, lacks_kernel
from shotstream.models.captions import Captions
from shotstream.models.float8 import FORMAT, linear_layers, restore_layers, use_float8

if TYPE_CHECKING:
    from shotstream.models.transformer import CausalWanTransformer3DModel
    from shotstream.streaming.pipeline import ShotStreamPipeline

COMPILED = "compiled"
"""What was chosen for the blocks if they are."""
AS_THEY_ARE = "as they are"
"""What was chosen for parts of a network that are left alone."""
IN_PRODUCT = "in the product"
"""What was chosen for GELU if the product in front of it computes it."""
BY_ITSELF = "by itself"
"""What was chosen for GELU if it is computed after the product."""
ONE_KERNEL = "one kernel"
"""What was chosen for the write into the cache if one kernel norms, turns and writes."""
LEAST_KERNEL_GAIN = 1.01
"""The kernel is used if it makes passes at least so many times as fast."""
LARGEST_KERNEL_ERROR = 0.05
"""See `cache_write_error`; rounding gives less, in an 8-bit cache too, another computation about 1."""
LARGEST_GELU_ERROR = 0.02
"""Relative to the largest value; more would be another computation, not other rounding."""
LEAST_GAIN = 1.03
"""8-bit layers, and 8-bit attention, are used if they make passes at least so many times as fast."""
MOST_GRAPHS = 32
"""Of a block, before torch gives up (by itself at 8). A block has three for each way that is tried."""
FLOAT8_ATTENTION_DEVICES = ("cuda",)
"""Where 8-bit attention is tried: elsewhere it only shows how exact it is."""
LARGEST_FLOAT8_ATTENTION_ERROR = 0.2
"""See `attention_error.float8_attention_error`; rounding alone is 0.05 to 0.1."""


@dataclass(frozen=True)
class Speed:
    """Ways to be faster."""

    attention: bool = False
    """Take the fastest attention back end that runs here."""
    fuse: bool = False
    """Compute queries, keys and values as one product, and GELU within the product in front of it."""
    compile: bool = False
    """Compile the blocks; costs time at the start, most of it only once on a machine."""
    float8: bool = False
    """8-bit linear layers and 8-bit attention to the cache, each where it is measured to be faster."""


MODES = {
    "plain": Speed(),
    "compiled": Speed(attention=True, fuse=True, compile=True),
    "fast": Speed(attention=True, fuse=True, compile=True, float8=True),
}
"""``plain`` does nothing; ``compiled`` differs by rounding only; ``fast`` computes in fewer bits, too."""


FORMER_MODES = {"exact": "compiled"}
"""Former names of modes, which still work."""


def choose_mode(name: str, device: torch.device) -> Choice[str]:
    """Choose one of `MODES`.

    Args:
        name: ``auto``, or the name of one.
        device: Where the pipeline is.

    Raises:
        ValueError: If there is no such mode.
    """
    if name in FORMER_MODES:
        current = FORMER_MODES[name]
        warnings.warn(
            f"the mode {name!r} is called {current!r} now; the old name goes with the next version",
            FutureWarning,
            stacklevel=2,
        )
        name = current
    if name not in ("auto", *MODES):
        raise ValueError(f"there is no mode {name!r}; give auto, {', '.join(MODES)}")
    if name != "auto":
        return Choice(name, "asked for")
    if device.type == "cuda":
        return Choice("compiled", "a GPU")
    return Choice("plain", "without a GPU compiling takes longer than it saves")


def prepare(
    pipeline: ShotStreamPipeline, speed: Speed, height: int | None = None, width: int | None = None
) -> list[tuple[str, Choice[str]]]:
    """Make a pipeline fast for pictures of one size, and run it once so that no user waits for that.

    What does not work here is left out, with the reason: 8-bit layers, 8-bit attention, the attention back
    end, GELU in a product, compiling. What was found faster by timing is kept on disk (`MeasuredChoices`,
    `keep_compiled_code`): the next process computes the same bits. 8-bit attention reads 8-bit keys and
    values: choosing it sets the pipeline's `cache_dtype`. After compiling, nothing is compiled any more in
    this process: what comes in other shapes runs as it is.

    Args:
        pipeline: Where it is to run, in its number format.
        speed: What to do.
        height: Picture height in pixels; the trained one if None.
        width: Picture width in pixels; the trained one if None.

    Returns:
        What was chosen for what, and why.

    Raises:
        ValueError: If the model cannot make pictures of that size.
    """
    transformer, size = pipeline.transformer, pipeline.picture_size(height, width)
    pipeline.adapters.merge(())  # layers in 8 bits are made of the model's own weights
    chosen: dict[str, Choice[str]] = {}
    measured = MeasuredChoices.of_this_machine(pipeline._execution_device)
    if speed.attention:
        chosen["attention"] = _choose_attention(pipeline, size, measured)
        use_attention(transformer, chosen["attention"].value)
    if speed.fuse:
        chosen |= {"projections": _join_projections(transformer), "GELU": _choose_gelu(pipeline)}
        _use_gelu(transformer, chosen["GELU"].value)
    if speed.compile:
        keep_compiled_code()
        torch._dynamo.config.recompile_limit = max(MOST_GRAPHS, torch._dynamo.config.recompile_limit)
        chosen |= _compile(pipeline, size, chosen)
        chosen["decoder"] = _compile_decoder(pipeline, size)
    compiled = speed.compile and chosen["blocks"].value == COMPILED
    if speed.fuse:
        facts = _facts(pipeline, size, {what: choice.value for what, choice in chosen.items()})
        chosen["cache writes"] = _try_one_kernel(pipeline, size, facts, measured)
    if speed.float8:
        facts = _facts(pipeline, size, {what: choice.value for what, choice in chosen.items()})
        chosen["linear layers"] = _try_float8(pipeline, size, speed.fuse, facts, measured)
        if chosen["linear layers"].value == "float8" and "GELU" in chosen:
            chosen["GELU"] = Choice(BY_ITSELF, "8-bit products cannot compute it")
        # the second, so that what was refused before values were centred is tried again
        facts |= {"linear layers": chosen["linear layers"].value, "8-bit values": "centred"}
        chosen["attention to the cache"] = _try_float8_attention(pipeline, size, facts, measured)
    if compiled:
        torch.compiler.set_stance("eager_on_recompile")
        pipeline.compiled_for = (*size, pipeline.cache_dtype)
        pipeline.compiled_layers = pipeline.layer_kinds()
    return list(chosen.items())


def changes_of_numbers(chosen: Mapping[str, str]) -> list[str]:
    """What of `prepare`'s choices makes other bits than `plain`, as words such as ``blocks=compiled``.

    Args:
        chosen: What was chosen, by what it was chosen for.
    """
    usual = ("native", "one by one", BY_ITSELF, AS_THEY_ARE)
    words = (f"{what}={value}" for what, value in chosen.items() if value not in usual)
    return [word.replace(" ", "-") for word in words]


def _facts(
    pipeline: ShotStreamPipeline, size: tuple[int, int], chosen: Mapping[str, str]
) -> dict[str, object]:
    """What the speed of passes depends on, beside the machine."""
    transformer = pipeline.transformer
    config = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
    return {
        "network": config,
        "size": size,
        "dtype": str(transformer.dtype),
        "cache": str(pipeline.cache_dtype),
        "chosen": dict(chosen),
    }


class _Rehearsal:
    """A shot with blank captions and latents, in every shape that passes have.

    Args:
        pipeline: As it is to run.
        size: Picture height and width in pixels.
    """

    def __init__(self, pipeline: ShotStreamPipeline, size: tuple[int, int]) -> None:
        transformer, self._device = pipeline.transformer, pipeline._execution_device
        config, cell = transformer.config, pipeline.latent_shape(*size)
        text = torch.zeros(1, 1, config["text_length"], config["text_dim"], device=self._device)
        self._caption = transformer.encode_captions(text.to(transformer.dtype))
        self._rollout = pipeline.new_rollout(pipeline.new_cache(*size), self._caption, 1)
        self._stills = torch.zeros((1, config["context_frames"], *cell), device=self._device)
        self._chunk = torch.zeros((1, config["chunk_frames"], *cell), device=self._device)
        self._window_chunks: int = config["window_chunks"]

    def warm_up(self) -> None:
        """Roll out a whole window after contexts of one, two and three captions."""
        for captions in (1, 2, 3):
            self._fill_context(captions)
        self._fill_window()

    def warm_up_first_shot(self) -> None:
        """Roll out a whole window without context."""
        self._rollout.fill_context(self._stills[:, :0], self._caption, None, 0)
        self._fill_window()

    def _fill_window(self) -> None:
        for _ in range(self._window_chunks):
            self._rollout.add(self._rollout.denoise(lambda _: self._chunk))
        self._rollout.commit()

    def seconds(self, repeats: int = 3) -> float:
        """Take the time of the context pass and of a pass at every length of the window; the best of some."""
        device, taken = torch.get_device_module(self._device), []
        for _ in range(repeats):
            device.synchronize()
            started = time.perf_counter()
            self._fill_context(3)
            for _ in range(self._window_chunks):
                self._rollout.add(self._chunk)
                self._rollout.commit()
            device.synchronize()
            taken.append(time.perf_counter() - started)
        return min(taken)

    def _fill_context(self, captions: int) -> None:
        frames = self._stills.shape[1]
        index = torch.arange(frames, device=self._device) * captions // max(frames, 1)
        joined = Captions.join([self._caption] * captions)
        self._rollout.fill_context(self._stills, joined, index if captions > 1 else None, 0)


def _choose_attention(
    pipeline: ShotStreamPipeline, size: tuple[int, int], measured: MeasuredChoices
) -> Choice[str]:
    """Choose for what the last chunk of a trained shot attends to."""
    transformer = pipeline.transformer
    if transformer.token_shares > 1:
        return Choice("native", "devices share out the tokens, and must all do the same")
    config, frame = transformer.config, pipeline.tokens_per_frame(*size)
    chunk = config["chunk_frames"] * frame
    seen = config["context_frames"] * frame + config["window_chunks"] * chunk
    heads, head_size = config["num_attention_heads"], config["attention_head_dim"]
    shape = (chunk, seen, heads, head_size)
    device = pipeline._execution_device
    facts = {
        "shape": shape,
        "dtype": str(transformer.dtype),
        "asked": choose_attention().value,
        "candidates": CANDIDATES.get(device.type),
    }
    return measured.choose("attention", facts, lambda: fastest_attention(*shape, transformer.dtype, device))


def _blocks(transformer: CausalWanTransformer3DModel) -> list[CausalWanBlock]:
    return [cast(CausalWanBlock, block) for block in transformer.blocks]


def _join_projections(transformer: CausalWanTransformer3DModel) -> Choice[str]:
    """Have every self-attention compute queries, keys and values as one product, where its layers can."""
    try:
        joined = [block.attn1.join_projections() for block in _blocks(transformer)]
    except Exception as error:  # no memory, or weights of a kind of their own
        return Choice("one by one", _reason(error))
    if all(joined):
        return Choice("fused", "queries, keys and values are one product")
    if any(joined):
        return Choice("fused", f"in {sum(joined)} of {len(joined)} blocks; others have adapters or hooks")
    return Choice("one by one", "their layers have adapters or hooks, or are of kinds of their own")


@torch.no_grad()
def _choose_gelu(pipeline: ShotStreamPipeline) -> Choice[str]:
    """Choose whether products compute GELU: where that runs and gives the same but for rounding."""
    transformer, device = pipeline.transformer, pipeline._execution_device
    layers, width = _blocks(transformer)[0].ffn, transformer.scale_shift_table.shape[-1]
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(256, width, device=device, dtype=transformer.dtype, generator=generator)
    if not layers.can_compute_gelu(x):
        return Choice(BY_ITSELF, "only products on a GPU can compute it, of layers as they were made")
    expected = layers(x)
    try:
        _use_gelu(transformer, IN_PRODUCT)
        error = (layers(x) - expected).abs().max() / expected.abs().max()
    except Exception as refused:  # no such product on this device, or not in this format
        return Choice(BY_ITSELF, f"the product cannot compute it here: {_reason(refused)}")
    if not error <= LARGEST_GELU_ERROR:  # no number, too
        return Choice(BY_ITSELF, f"the product computes something else here: {error:.3f} from it")
    return Choice(IN_PRODUCT, f"the same but for rounding, {error:.4f}")


@torch.no_grad()
def _try_one_kernel(
    pipeline: ShotStreamPipeline,
    size: tuple[int, int],
    facts: Mapping[str, object],
    measured: MeasuredChoices,
) -> Choice[str]:
    """Have one kernel norm, turn and write into the cache, if it runs here and passes are faster with it."""
    transformer, device = pipeline.transformer, pipeline._execution_device
    if lacking := lacks_kernel(device):
        return Choice(AS_THEY_ARE, lacking)
    if transformer.token_shares > 1:
        return Choice(AS_THEY_ARE, "devices share out the tokens")
    if any(block.attn1.joint_projections() is None for block in _blocks(transformer)):
        return Choice(AS_THEY_ARE, "queries, keys and values are not one product in every block")
    known = measured.known("cache writes", facts)
    if known and known.value == AS_THEY_ARE:
        return known
    config = transformer.config
    heads, head_size = config["num_attention_heads"], config["attention_head_dim"]
    try:
        stored = pipeline.cache_dtype or transformer.dtype
        error = cache_write_error(heads, head_size, transformer.dtype, stored, device)
        if not error <= LARGEST_KERNEL_ERROR:  # no number, too
            wrong = Choice(AS_THEY_ARE, f"the kernel computes something else here: {error:.3f} from it")
            return measured.keep("cache writes", facts, wrong)
        rehearsal = _Rehearsal(pipeline, size)
        before = 0.0 if known else rehearsal.seconds()
        _write_at_once(transformer, True)
        rehearsal.warm_up()
        gain = 0.0 if known else before / rehearsal.seconds()
        name = ONE_KERNEL if gain >= LEAST_KERNEL_GAIN else AS_THEY_ARE
        found = Choice(name, f"with one kernel passes are {gain:.3f} times as fast")
        choice = known or measured.keep("cache writes", facts, found)
    except Exception as refused:  # it cannot be built, or compiled into the blocks
        choice = Choice(AS_THEY_ARE, f"the kernel does not run here: {_reason(refused)}")
    _write_at_once(transformer, choice.value == ONE_KERNEL)
    return choice


def _write_at_once(transformer: CausalWanTransformer3DModel, wanted: bool) -> None:
    for block in _blocks(transformer):
        block.attn1.writes_at_once = wanted


def _use_gelu(transformer: CausalWanTransformer3DModel, place: str) -> None:
    """Have GELU computed `IN_PRODUCT` or `BY_ITSELF`."""
    for block in _blocks(transformer):
        block.ffn.gelu_in_product = place == IN_PRODUCT


def _compile(
    pipeline: ShotStreamPipeline, size: tuple[int, int], chosen: Mapping[str, Choice[str]]
) -> dict[str, Choice[str]]:
    """Compile the blocks; if that fails, without one of the other choices, and if that fails too, not at all.

    Returns:
        What was chosen for the blocks and, if it is another now, for the attention or GELU.
    """
    started = time.perf_counter()
    failed = _compile_blocks(pipeline, size)
    others: dict[str, Choice[str]] = {}
    for what, use, usual in (("attention", use_attention, "native"), ("GELU", _use_gelu, BY_ITSELF)):
        if not failed or what not in chosen or chosen[what].value == usual:
            continue
        use(pipeline.transformer, usual)
        others = {what: Choice(usual, f"{chosen[what].value} cannot be compiled: {failed}")}
        failed = _compile_blocks(pipeline, size)
        if failed:  # not the fault of this choice
            use(pipeline.transformer, chosen[what].value)
            others = {}
    if failed:
        return {"blocks": Choice(AS_THEY_ARE, f"they cannot be compiled here: {failed}")}
    return {"blocks": Choice(COMPILED, f"in {time.perf_counter() - started:.0f} s"), **others}


@torch.no_grad()
def _compile_blocks(pipeline: ShotStreamPipeline, size: tuple[int, int]) -> str | None:
    """Compile every block as one graph and run all of its shapes; undo it if that fails, and say why."""
    torch.compiler.set_stance("default")
    try:
        pipeline.transformer.compile_repeated_blocks(fullgraph=True)
        _Rehearsal(pipeline, size).warm_up()
    except Exception as error:  # of every layer of the compiler, and of the kernels it takes
        for block in pipeline.transformer.blocks:
            block._compiled_call_impl = None
        return _reason(error)
    return None


@torch.no_grad()
def _compile_decoder(pipeline: ShotStreamPipeline, size: tuple[int, int]) -> Choice[str]:
    """Compile what decodes chunks and run it over two; undo it if that fails, and say why."""
    autoencoder, device = pipeline.autoencoder, pipeline._execution_device
    if not isinstance(autoencoder, WanVideoAutoencoder):
        return Choice(AS_THEY_ARE, "only Wan's decoder is compiled")
    if device.type == "cpu":
        return Choice(AS_THEY_ARE, "without a GPU compiling takes longer than it saves")
    started = time.perf_counter()
    shape = (1, pipeline.timing.chunk_frames, *pipeline.latent_shape(*size))
    latents = torch.zeros(shape, device=device, dtype=pipeline.vae.dtype)
    try:
        autoencoder.compile_decoder()
        decoder = autoencoder.open_decoder()
        for _ in range(2):
            decoder.decode(latents)
    except Exception as error:  # of every layer of the compiler
        autoencoder.undo_compile()
        return Choice(AS_THEY_ARE, f"it cannot be compiled here: {_reason(error)}")
    return Choice(COMPILED, f"in {time.perf_counter() - started:.0f} s")


@torch.no_grad()
def _try_float8(
    pipeline: ShotStreamPipeline,
    size: tuple[int, int],
    fuse: bool,
    facts: Mapping[str, object],
    measured: MeasuredChoices,
) -> Choice[str]:
    """Use 8-bit layers if passes are faster with them, timed as they are to run: compiled, if blocks are."""
    transformer = pipeline.transformer
    if transformer.dtype != torch.bfloat16:
        return Choice(AS_THEY_ARE, "8-bit layers need a model in bfloat16")
    known = measured.known("linear layers", facts)
    if known and known.value == AS_THEY_ARE:
        return known
    layers = linear_layers(transformer)
    try:
        rehearsal = _Rehearsal(pipeline, size)
        before = 0.0 if known else rehearsal.seconds()
        use_float8(transformer)
        if fuse:
            _join_projections(transformer)
        rehearsal.warm_up()
        gain = 0.0 if known else before / rehearsal.seconds()
    except Exception as error:  # no such product on this device, or none that can be compiled
        restore_layers(transformer, layers)
        return Choice(AS_THEY_ARE, f"in 8 bits they do not run here: {_reason(error)}")
    name = "float8" if gain >= LEAST_GAIN else AS_THEY_ARE
    found = Choice(name, f"in 8 bits passes are {gain:.2f} times as fast as in bfloat16")
    choice = known or measured.keep("linear layers", facts, found)
    if choice.value == AS_THEY_ARE:
        restore_layers(transformer, layers)
    return choice


@torch.no_grad()
def _try_float8_attention(
    pipeline: ShotStreamPipeline,
    size: tuple[int, int],
    facts: Mapping[str, object],
    measured: MeasuredChoices,
) -> Choice[str]:
    """Use 8-bit attention, and 8-bit keys and values, if it is exact enough and passes are faster with it."""
    transformer, asked = pipeline.transformer, pipeline.cache_dtype
    if transformer.dtype != torch.bfloat16:
        return Choice(AS_THEY_ARE, "8-bit attention needs a model in bfloat16")
    if pipeline._execution_device.type not in FLOAT8_ATTENTION_DEVICES:
        return Choice(AS_THEY_ARE, "8-bit attention needs a GPU")
    if transformer.token_shares > 1:
        return Choice(AS_THEY_ARE, "devices share out the tokens")
    known = measured.known("attention to the cache", facts)
    if known and known.value == AS_THEY_ARE:
        return known
    try:
        error = _float8_attention_error(pipeline, size)
        if not error <= LARGEST_FLOAT8_ATTENTION_ERROR:  # no number, too
            wrong = Choice(AS_THEY_ARE, f"in 8 bits it is something else here: {error:.3f} from it")
            return measured.keep("attention to the cache", facts, wrong)
        before = 0.0 if known else _Rehearsal(pipeline, size).seconds()
        use_float8_attention(transformer)
        pipeline.cache_dtype = FORMAT
        rehearsal = _Rehearsal(pipeline, size)
        rehearsal.warm_up()
        rehearsal.warm_up_first_shot()  # every length has a plan of its own
        gain = 0.0 if known else before / rehearsal.seconds()
        reason = (
            f"in 8 bits passes are {gain:.2f} times as fast; a token is at most {error:.3f} from bfloat16"
        )
        if gain >= LEAST_GAIN:
            found = Choice("float8", f"{reason}; keys and values are kept in 8 bits")
        else:
            found = Choice(AS_THEY_ARE, reason)
        choice = known or measured.keep("attention to the cache", facts, found)
    except Exception as refused:  # no such package, no such attention on this device, no memory
        choice = Choice(AS_THEY_ARE, f"in 8 bits it does not run here: {_reason(refused)}")
    if choice.value == AS_THEY_ARE:
        use_float8_attention(transformer, False)
        pipeline.cache_dtype = asked
    return choice


def _float8_attention_error(pipeline: ShotStreamPipeline, size: tuple[int, int]) -> float:
    """The largest error at the lengths of a first chunk, a context pass and the last chunk of a window."""
    transformer, frame = pipeline.transformer, pipeline.tokens_per_frame(*size)
    config = transformer.config
    context, chunk = (config[name] * frame for name in ("context_frames", "chunk_frames"))
    heads, head_size = config["num_attention_heads"], config["attention_head_dim"]
    seen = context + config["window_chunks"] * chunk
    lengths = [(own, tokens) for own, tokens in ((chunk, chunk), (context, context), (chunk, seen)) if own]
    device = pipeline._execution_device
    return float8_attention_error_apart(lengths, heads, head_size, transformer.dtype, device)


def _reason(error: Exception) -> str:
    """The beginning of an error in one line; compilers say what they are first, and then what is wrong."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
