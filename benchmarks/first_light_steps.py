"""The steps of first_light.py: what a GPU is asked, each question by itself.

    python benchmarks/first_light_steps.py STEP [--tiny]

Shapes are those of Wan 2.1 T2V 1.3B at 480x832: 1560 tokens N of a latent frame, width D 1536, chunks of 3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402

from shotstream.benchmark.chunk_loop import ChunkLoop, Opening, make_opening  # noqa: E402
from shotstream.benchmark.random_models import make_random_pipeline  # noqa: E402
from shotstream.streaming.pipeline import ShotStreamPipeline  # noqa: E402

Work = Callable[[], Any]


def answer(**found: Any) -> None:
    """Give answers now, whatever happens later."""
    print("@@ " + json.dumps(found), flush=True)


def attempt(name: str, work: Work) -> None:
    """Answer what `work` returns, or why it does not run here."""
    try:
        answer(**{name: work()})
    except Exception as error:
        answer(**{name: " ".join(f"{type(error).__name__}: {error}".split())[:300]})


class Place:
    """Where and at what size questions are asked.

    Args:
        tiny: On the CPU at tiny size, instead of on the GPU at true size.
    """

    def __init__(self, tiny: bool) -> None:
        self.tiny = tiny
        self.device = torch.device("cpu") if tiny else torch.device("cuda", 0)
        self.dtype = torch.float32 if tiny else torch.bfloat16
        torch.manual_seed(0)

    def milliseconds(self, work: Work, repeats: int = 5, warm_up: int = 2) -> float:
        """Median time of `work` on the device, by its own clock."""
        for _ in range(warm_up):
            work()
        times = []
        for _ in range(repeats):
            if self.tiny:
                started = time.perf_counter()
                work()
                times.append(1000 * (time.perf_counter() - started))
                continue
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end))
        return round(statistics.median(times), 3)

    def random(self, *shape: int) -> Tensor:
        """Random numbers in the format that is computed in."""
        return torch.randn(shape, device=self.device, dtype=self.dtype)

    def pipeline(self, dtype: torch.dtype | None = None) -> ShotStreamPipeline:
        """A model with random weights; at tiny size compiling only traces."""
        size = "tiny" if self.tiny else "wan-1.3b"
        pipeline = make_random_pipeline(size, self.device, dtype or self.dtype)
        if self.tiny:
            network: Any = pipeline.transformer
            network.compile_repeated_blocks = partial(network.compile_repeated_blocks, backend="eager")
        return pipeline


class Shot:
    """A shot that remembers three, its context filled.

    Args:
        place: Where.
        pipeline: Its model.
    """

    @torch.no_grad()
    def __init__(self, place: Place, pipeline: ShotStreamPipeline) -> None:
        self._place, self.transformer = place, pipeline.transformer
        cell = pipeline.latent_shape(*pipeline.picture_size(None, None))
        self.loop = ChunkLoop(pipeline.transformer, pipeline.scheduler, cell)
        self.opening: Opening = make_opening(pipeline.transformer, cell, 3)
        self._noise = self.loop.noise(3, 0, 0).to(self.transformer.dtype)
        self._timestep = torch.full((1,), 900.0, device=place.device)
        self.open()

    def open(self) -> None:
        """Cut: one pass over the context."""
        self.loop.open_shot(self.opening)

    @torch.no_grad()
    def denoise(self) -> Tensor:
        """One denoising pass over the running chunk [1, F, C, h, w]."""
        cache = self.loop.cache
        cache.begin_chunk(self._noise.shape[1])
        captions = self.opening.own_caption
        return self.transformer(
            self._noise, self._timestep, captions, shot_index=3, cache=cache, return_dict=False
        )[0]

    def times(self) -> dict[int, float]:
        """Milliseconds of a pass by the latent frames that it sees, itself included."""
        found, cache = {}, self.loop.cache
        self.open()
        for _ in range(self.transformer.config["window_chunks"]):
            cache.begin_chunk()
            seen = cache.stored(0)[0].shape[1] // cache.tokens_per_frame
            found[seen] = self._place.milliseconds(self.denoise, 3, 1)
            cache.commit()
        return found

    def context_time(self) -> float:
        """Milliseconds of the pass over the context."""
        return self._place.milliseconds(self.open, 3, 1)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference by the norm of what was expected."""
    return ((found.float() - expected.float()).norm() / expected.float().norm()).item()


def machine(place: Place) -> None:
    """What the card is, and what it can do at most: copies, products in bfloat16 and in 8 bits."""
    from shotstream.benchmark.machine import gpu_driver
    from shotstream.machine import provenance as origin

    facts = {"hardware": origin.hardware(place.device), "torch": torch.__version__, "commit": origin.commit()}
    answer(machine={**facts, "driver": gpu_driver(), "cudnn": torch.backends.cudnn.version()})
    if not place.tiny:
        x = torch.randn(2**28, device=place.device)
        y = torch.empty_like(x)
        attempt("copy_tb_s", lambda: round(2 * x.nbytes / place.milliseconds(lambda: y.copy_(x)) / 1e9, 2))
        pageable, pinned = (torch.empty(14_400_000, dtype=torch.uint8) for _ in range(2))
        pinned, frames = pinned.pin_memory(), torch.zeros(14_400_000, dtype=torch.uint8, device=place.device)
        attempt("frames_to_pageable_ms", lambda: place.milliseconds(lambda: pageable.copy_(frames)))
        copy = partial(pinned.copy_, frames, non_blocking=True)
        attempt("frames_to_pinned_ms", lambda: place.milliseconds(copy))
    shapes = [(4680, 1536, 1536), (4680, 1536, 8960), (4680, 8960, 1536), (4680, 1536, 4608)]
    for shape in [(64, 32, 48)] if place.tiny else [*shapes, (8192, 8192, 8192)]:
        name = "x".join(map(str, shape))
        attempt(f"bfloat16_tflop_s_{name}", partial(_product_speed, place, *shape))
        attempt(f"float8_tflop_s_{name}", partial(_float8_speed, place, *shape))


def _product_speed(place: Place, rows: int, inside: int, outside: int) -> float:
    x, weight = place.random(rows, inside), place.random(outside, inside)
    milliseconds = place.milliseconds(lambda: x @ weight.T, 20)
    return round(2e-9 * rows * inside * outside / milliseconds, 1)


def _float8_speed(place: Place, rows: int, inside: int, outside: int) -> dict[str, float]:
    """With one scale in all, with one for each row, and a whole layer that quantises its input."""
    from shotstream.models.float8 import Float8Linear

    work, ones = 2e-9 * rows * inside * outside, partial(torch.ones, device=place.device)
    x = place.random(rows, inside).bfloat16()
    linear = nn.Linear(inside, outside, device=place.device, dtype=torch.bfloat16)
    layer, eight = Float8Linear(linear), x.to(torch.float8_e4m3fn)
    scales = {"tensor": (ones(()), ones(())), "rows": (ones(rows, 1), ones(1, outside))}
    speeds = {}
    for name, (row_scale, column_scale) in scales.items():
        product = partial(
            torch._scaled_mm,
            eight,
            layer.weight.T,
            row_scale,
            column_scale,
            out_dtype=torch.bfloat16,
            use_fast_accum=not place.tiny,
        )
        speeds[name] = round(work / place.milliseconds(product, 20), 1)
    with torch.no_grad():
        speeds["layer"] = round(work / place.milliseconds(lambda: layer(x), 20), 1)
        speeds["error"] = round(relative_error(layer(x), linear(x)), 4)
    return speeds


def parity(place: Place) -> None:
    """Whether the recorded rollout of the published code comes out, and the shipped model as on a CPU."""
    from tests.parity.conftest import Golden

    from shotstream.loading.networks import cast_weights

    golden = Golden(ROOT / "tests" / "golden" / "causal_wan_tiny.safetensors")
    model = golden.transformer.to(place.device)
    expected = golden.tensors["rollout.x0"]

    def distance(**how: Any) -> dict[str, float]:
        found = _golden_rollout(golden, **how)
        pair = (found.flatten().double(), expected.flatten().double())
        error = (found - expected).abs().max().item()
        return {"largest_error": error, "cosine": torch.cosine_similarity(*pair, 0).item()}

    attempt("float32_with_torchs_defaults", distance)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    attempt("float32", distance)
    attempt("float32_cache_of_nan", lambda: distance(poisoned=True))
    attempt("again_bit_equal", lambda: torch.equal(_golden_rollout(golden), _golden_rollout(golden)))
    cast_weights(model, torch.bfloat16, model._keep_in_fp32_modules)
    attempt("bfloat16", distance)
    if not place.tiny:
        attempt("mini_against_cpu", partial(_mini_distance, place))


@torch.no_grad()
def _golden_rollout(golden: Any, poisoned: bool = False) -> Tensor:
    """Roll the recorded shot out; `poisoned` makes whatever is read before it is written show as NaN."""
    from shotstream.streaming.rollout import ShotRollout

    model, facts, tensors = golden.transformer, golden.facts, golden.tensors
    put = partial(Tensor.to, device=model.device)
    _, rows, columns = model.config["patch_size"]
    context, shot = put(tensors["context_latents"]), facts["target_shot_index"]
    tokens = context.shape[3] // rows * (context.shape[4] // columns)
    cache = model.new_cache(batch=1, tokens_per_frame=tokens)
    if poisoned:
        cache._keys.fill_(float("nan"))
        cache._values.fill_(float("nan"))
    text = put(golden.text("text_per_shot")).to(model.dtype)
    index = torch.tensor(facts["context_shot_index"], device=model.device)
    noise = put(tensors["noise"]).split(facts["frames_per_chunk"], dim=1)
    rollout = ShotRollout(model, golden.schedule, cache, text[:, shot : shot + 1], shot)
    rollout.fill_context(context, text, index, index)
    chunks: list[Tensor] = []
    for number in range(facts["chunks"]):
        steps = [noise[number], *put(tensors["rollout.renoise"][number])]
        chunks.append(rollout.denoise(steps.__getitem__))
        rollout.add(chunks[-1])
    return torch.cat(chunks, 1).float().cpu()


def _mini_distance(place: Place) -> dict[str, float]:
    from shotstream.benchmark.numerics import distance, tell

    here, there = (ShotStreamPipeline.from_pretrained("mini") for _ in range(2))
    found = distance(tell(there.to(place.device)), tell(here))
    return {"cosine": found.cosine, "largest_error": found.error}


def attention(place: Place) -> None:
    """Attention's back ends on slices of a cache, 9 to 27 latent frames long; in 8 bits last."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    tokens, heads, size = (6, 2, 16) if place.tiny else (1560, 12, 128)
    stored = [place.random(2, 1, 27 * tokens, heads, size)[1] for _ in range(2)]  # a layer: begins somewhere
    query = place.random(1, 3 * tokens, heads, size).transpose(1, 2)  # [B, H, 3 N, d]
    backends = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}

    def seen(frames: int) -> list[Tensor]:
        return [part[:, : frames * tokens].transpose(1, 2) for part in stored]

    def speed(frames: int, work: Work) -> dict[str, float]:
        milliseconds = place.milliseconds(work, 10)
        work_gflop = 4e-9 * 3 * tokens * frames * tokens * heads * size
        return {"ms": milliseconds, "tflop_s": round(work_gflop / milliseconds, 1)}

    for frames in (9, 15, 21, 27):
        default = partial(scaled_dot_product_attention, query, *seen(frames))
        attempt(f"default_{frames}", lambda frames=frames, work=default: speed(frames, work))
        attempt(f"default_{frames}_keeps_layout", lambda work=default: work().stride() == query.stride())
        for name, backend in backends.items():
            with sdpa_kernel(backend):
                attempt(f"{name}_{frames}", lambda frames=frames, work=default: speed(frames, work))
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            copied = lambda frames=frames: scaled_dot_product_attention(  # noqa: E731
                query, *[part.contiguous() for part in seen(frames)]
            )
            attempt(f"cudnn_copies_{frames}", lambda frames=frames, work=copied: speed(frames, work))
    for frames in () if place.tiny else (9, 27):
        attempt(f"cudnn_float8_{frames}", partial(_float8_attention, place, query, *seen(frames)))


def _float8_attention(place: Place, query: Tensor, key: Tensor, value: Tensor) -> dict[str, float]:
    """cuDNN's 8-bit attention on slices of an 8-bit cache, with what turns its result into bfloat16."""
    from shotstream.models.attention_float8 import attend_float8

    laid = [part.transpose(1, 2) for part in (query, key, value)]  # [B, tokens, H, d]
    eight = [part.to(torch.float8_e4m3fn) for part in laid[1:]]
    work = partial(torch.compile(attend_float8, fullgraph=True), laid[0], *eight)
    milliseconds = place.milliseconds(work, 10)
    error = relative_error(work().transpose(1, 2), scaled_dot_product_attention(query, key, value))
    work_gflop = 4e-9 * query.shape[2] * key.shape[2] * query.shape[1] * query.shape[3]
    return {"ms": milliseconds, "tflop_s": round(work_gflop / milliseconds, 1), "error": round(error, 4)}


@torch.no_grad()
def attention8(place: Place) -> None:
    """Whether 8-bit attention with centred values is exact enough and faster; if not, what else would be."""
    from dataclasses import asdict

    from shotstream.benchmark.attention_rounding import (
        EXACT,
        ROUNDINGS,
        AttentionErrors,
        attend_rounded,
    )
    from shotstream.machine.attention_error import draw_attention
    from shotstream.models.attention_float8 import attend_float8

    heads, size = (2, 16) if place.tiny else (12, 128)
    tokens, lengths, some = (12, (24, 96), 12) if place.tiny else (4680, (4680, 18720, 42120), 96)
    attempt("verdict", partial(_verdict, place, tokens, lengths[-1], heads, size))
    attempt("mini", partial(_mini_in_8_bits, place))
    eight = partial(Tensor.to, dtype=torch.float8_e4m3fn)
    for seen in lengths:
        query, key, value = draw_attention(tokens, seen, heads, size, place.device)
        sharp = torch.arange(tokens, device=place.device) % 2 == 0
        expected = _attend_exactly(query, key, value)

        def errors(found: Tensor, expected: Tensor = expected, sharp: Tensor = sharp) -> dict[str, Any]:
            return asdict(AttentionErrors.between(found.squeeze(0), expected, sharp))

        half = [part.bfloat16().unsqueeze(0) for part in (query, key, value)]
        near = [half[0], eight(half[1]), eight(half[2])]
        attempt(f"{seen}_bfloat16", lambda h=half, e=errors: e(_attend_exactly(*(part[0] for part in h))))
        attempt(f"{seen}_float8", lambda n=near, e=errors: e(attend_float8(*n)))
        attempt(f"{seen}_float8_not_centred", lambda n=near, e=errors: e(_attend_as_it_is(*n)))
        attempt(f"{seen}_float8_in_segments", lambda n=near, e=errors: e(_attend_in_segments(tokens, *n)))
        for scale in (1.0, 16.0, 448.0):
            found = partial(_attend_by_cudnn, place, scale, *near)
            attempt(f"{seen}_float8_scale_{scale:.0f}", lambda f=found, e=errors: e(f()))
        few = torch.linspace(0, tokens - 1, some, device=place.device).round().long()
        parts = (query.bfloat16()[few, ::3], key.bfloat16()[:, ::3], value.bfloat16()[:, ::3])
        exact, rounded = attend_rounded(*parts, EXACT), {}
        for name, rounding in ROUNDINGS.items():
            found = attend_rounded(*parts, rounding)
            rounded[name] = asdict(AttentionErrors.between(found, exact, sharp[few]))
        answer(**{f"{seen}_rounded": rounded})


def _verdict(place: Place, tokens: int, seen: int, heads: int, size: int) -> dict[str, Any]:
    """What decides about it: the gate's error, and its time beside bfloat16's, centring included."""
    from shotstream.machine.attention_error import draw_attention, float8_attention_error
    from shotstream.models.attention_float8 import attend_float8
    from shotstream.streaming.speed import LARGEST_FLOAT8_ATTENTION_ERROR

    error = float8_attention_error([(tokens, seen)], heads, size, torch.bfloat16, place.device)
    query, key, value = (
        part.bfloat16().unsqueeze(0) for part in draw_attention(tokens, seen, heads, size, place.device)
    )
    laid = [part.transpose(1, 2) for part in (query, key, value)]
    compiled = torch.compile(attend_float8, fullgraph=True, backend="eager" if place.tiny else "inductor")
    stored = [part.to(torch.float8_e4m3fn) for part in (key, value)]
    wide = place.milliseconds(partial(scaled_dot_product_attention, *laid), 10)
    narrow = place.milliseconds(partial(compiled, query, *stored), 10)
    return {
        "error": round(error, 4),
        "exact_enough": error <= LARGEST_FLOAT8_ATTENTION_ERROR,
        "bfloat16_ms": wide,
        "float8_ms": narrow,
        "gain": round(wide / narrow, 3),
    }


def _mini_in_8_bits(place: Place) -> dict[str, Any]:
    """How far a story of `mini` with it is from float32, and whether docs/numerics.md promises that."""
    from shotstream.benchmark.numerics import WAYS, measure

    way = WAYS["float8-attention"]
    found = measure(way, size=(32, 48) if place.tiny else None, device=place.device)
    kept = found.cosine >= way.least_cosine and found.error <= way.largest_error
    return {"cosine": found.cosine, "largest_error": found.error, "as_promised": kept}


def _attend_exactly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Torch's attention of queries [T, H, d] in their format, some at a time."""
    keys, values = (part.transpose(0, 1).unsqueeze(0) for part in (key, value))
    parts = [
        scaled_dot_product_attention(part.transpose(0, 1).unsqueeze(0), keys, values)[0].transpose(0, 1)
        for part in query.split(512)
    ]
    return torch.cat(parts)


def _attend_in_segments(size: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """8-bit attention to `size` keys at a time, joined in float32; [1, T, H, d]."""
    from shotstream.models.attention_float8 import attend_float8

    found, weights = [], []
    for keys, values in zip(key.split(size, 1), value.split(size, 1), strict=True):
        found.append(attend_float8(query, keys, values).float())
        wide = (part.to(torch.float8_e4m3fn).float()[0].transpose(0, 1) for part in (query, keys))
        queries, columns = wide  # [H, T, d], [H, size, d]
        scores = [
            (some @ columns.mT * query.shape[-1] ** -0.5).logsumexp(-1) for some in queries.split(512, 1)
        ]
        weights.append(torch.cat(scores, 1).T[None, ..., None])
    shares = torch.stack(weights).softmax(0)
    return (shares * torch.stack(found)).sum(0)


def _attend_as_it_is(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """8-bit attention to values that keep their mean; [1, T, H, d]."""
    unit = value.float().abs().max() / 256
    scaled = (value.float() / unit).to(value.dtype)
    return torch.ops.shotstream.attention_float8(query.to(key.dtype), key, scaled).float() * unit


def _attend_by_cudnn(
    place: Place, probability_scale: float, query: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """cuDNN's 8-bit attention to centred values with probabilities scaled otherwise; [1, T, H, d]."""
    from shotstream.models.attention_float8 import centre
    from shotstream.models.cudnn_attention import CudnnAttention

    stream = torch.cuda.current_stream(place.device).cuda_stream
    centred, unit, mean = centre(value.bfloat16())
    given = [part.to(torch.float8_e4m3fn).contiguous() for part in (query, key, centred)]
    out = torch.empty_like(given[0])
    if not CudnnAttention(place.device, stream, probability_scale).attend(*given, out):
        raise ValueError("cuDNN has no plan for it")
    torch.cuda.synchronize()
    return out.float() * unit + mean


def passes(place: Place) -> None:
    """Passes of the transformer, as they are and compiled: times, equality, and what compiling takes."""
    from torch._dynamo.utils import counters

    from shotstream.streaming.speed import MODES, prepare

    pipeline = place.pipeline()
    shot = Shot(place, pipeline)
    eager = shot.denoise().clone()
    answer(eager_ms=shot.times(), context_eager_ms=shot.context_time())
    started = time.perf_counter()
    chosen = prepare(pipeline, MODES["compiled"])
    answer(prepare_seconds=round(time.perf_counter() - started, 1))
    answer(chosen={what: f"{choice.value}: {choice.reason}" for what, choice in chosen})
    before = counters["stats"]["unique_graphs"]
    answer(graphs=before, graph_breaks=sum(counters["graph_break"].values()))
    torch.compiler.set_stance("default")  # what were forbidden to be compiled could not be counted
    shot.open()
    answer(compiled_against_eager=relative_error(shot.denoise(), eager))
    answer(compiled_ms=shot.times(), context_compiled_ms=shot.context_time())
    answer(recompiled=counters["stats"]["unique_graphs"] - before)


def float8(place: Place) -> None:
    """Mode fast as users get it: what it chose, passes, and how far they are from those in bfloat16."""
    from shotstream.streaming.speed import MODES, prepare

    pipeline = place.pipeline(torch.bfloat16)
    shot = Shot(place, pipeline)
    eager = shot.denoise().clone()
    started = time.perf_counter()
    chosen = prepare(pipeline, MODES["fast"])
    answer(prepare_seconds=round(time.perf_counter() - started, 1))
    answer(chosen={what: f"{choice.value}: {choice.reason}" for what, choice in chosen})
    shot.open()
    answer(fast_against_eager=relative_error(shot.denoise(), eager))
    answer(fast_ms=shot.times(), context_fast_ms=shot.context_time())


def vae(place: Place) -> None:
    """Wan's decoder as it is and compiled, stills, the tiny decoder; 3D convolutions, and as 2D ones."""
    from diffusers import AutoencoderKLWan

    from shotstream.models.autoencoder_taew import TinyWanDecoder
    from shotstream.models.autoencoder_wan import WanVideoAutoencoder

    cell = (16, 4, 6) if place.tiny else (16, 60, 104)
    before = torch.get_default_dtype()
    torch.set_default_dtype(place.dtype)
    with torch.device(place.device):
        network = AutoencoderKLWan(**({"base_dim": 8} if place.tiny else {})).eval()
        tiny = TinyWanDecoder(**({"widths": (8, 8, 8, 8)} if place.tiny else {})).eval()
    torch.set_default_dtype(before)
    chunk, autoencoder = place.random(1, 3, *cell), WanVideoAutoencoder(network)
    still = place.random(1, 1, 3, 8 * cell[1], 8 * cell[2]).clamp(-1, 1)
    with torch.no_grad():
        decoder = tiny.open_decoder()
        decoder.decode(chunk)
        attempt("tiny_ms", lambda: place.milliseconds(lambda: decoder.decode(chunk)))
        for shape in [(8, 1, 4, 4)] if place.tiny else _CONVOLUTIONS:
            attempt("convolution_" + "x".join(map(str, shape)), partial(_convolution_ways, place, *shape))
        eager = _measure_wan(place, autoencoder, "eager", chunk)
        attempt("eager_still_ms", lambda: place.milliseconds(lambda: autoencoder.encode_stills(still), 3, 1))
        started = time.perf_counter()
        autoencoder.compile_decoder(backend="eager" if place.tiny else "inductor")
        compiled = _measure_wan(place, autoencoder, "compiled", chunk)
        answer(compiled_seconds=round(time.perf_counter() - started, 1))
        answer(compiled_against_eager=relative_error(compiled, eager))
        attempt("still_ms", lambda: place.milliseconds(lambda: autoencoder.encode_stills(still), 3, 1))


_CONVOLUTIONS = [(96, 12, 480, 832), (192, 12, 240, 416), (384, 6, 120, 208), (384, 3, 60, 104)]
"""Channels, frames, height and width of the decoder's levels."""


def _convolution_ways(place: Place, channels: int, frames: int, height: int, width: int) -> dict[str, float]:
    """Milliseconds of a causal convolution of 3x3x3, and of one of 3x3 over three frames as channels."""
    from torch.nn.functional import conv2d, conv3d

    last, flat = torch.channels_last_3d, torch.channels_last
    joined = place.random(1, channels, frames + 2, height, width).contiguous(memory_format=last)
    weight = place.random(channels, channels, 3, 3, 3).contiguous(memory_format=last)
    stacked = weight.transpose(1, 2).flatten(1, 2).contiguous(memory_format=flat)

    def side_by_side() -> Tensor:
        seen = torch.cat([joined[:, :, at : at + frames] for at in range(3)], dim=1)
        return seen.transpose(1, 2).flatten(0, 1).contiguous(memory_format=flat)

    read, found = side_by_side(), {}
    for benchmark in (False, True):
        torch.backends.cudnn.benchmark = benchmark
        name = "tried_" if benchmark else ""
        found[name + "3d"] = place.milliseconds(lambda: conv3d(joined, weight, padding=(0, 1, 1)), 5)
        found[name + "2d"] = place.milliseconds(lambda: conv2d(read, stacked, padding=1), 5)
    torch.backends.cudnn.benchmark = False
    found["side_by_side"] = place.milliseconds(side_by_side, 5)
    return found


def _measure_wan(place: Place, autoencoder: Any, name: str, chunk: Tensor) -> Tensor:
    """Times of decoding a shot's first chunk and a later one, and the memory; return a later one's pixels."""

    def first() -> Tensor:
        return autoencoder.open_decoder().decode(chunk)

    if not place.tiny:
        torch.cuda.reset_peak_memory_stats()
    decoder = autoencoder.open_decoder()
    decoder.decode(chunk)
    pixels = decoder.decode(chunk)
    attempt(f"{name}_ms", lambda: place.milliseconds(lambda: decoder.decode(chunk), 3, 1))
    attempt(f"{name}_first_ms", lambda: place.milliseconds(first, 3, 1))
    if not place.tiny:
        answer(**{f"{name}_peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)})
    return pixels


def graphs(place: Place) -> None:
    """A pass as a CUDA graph: whether it gives the same bits, and its time."""
    shot = Shot(place, place.pipeline())
    cache = shot.loop.cache
    for _ in range(shot.transformer.config["window_chunks"] - 1):
        shot.denoise()
        cache.commit()
    eager = shot.denoise().clone()
    answer(eager_ms=place.milliseconds(shot.denoise, 3, 1))
    if place.tiny:
        return
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            shot.denoise()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = shot.denoise()
    graph.replay()
    answer(bit_equal=torch.equal(result, eager), graph_ms=place.milliseconds(graph.replay, 5, 1))


def profile(place: Place) -> None:
    """Where the time of a chunk goes, from noise to frames in memory: its longest kernels."""
    from torch.profiler import ProfilerActivity

    from shotstream.streaming.speed import MODES, prepare

    pipeline = place.pipeline()
    prepare(pipeline, MODES["plain" if place.tiny else "compiled"])
    session = pipeline.open("An orange cat.", 0)
    session.cut("Wide shot of the orange cat waving hello.", chunks=4)
    for _ in range(2):
        session.next_chunk()
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (not place.tiny)]
    with torch.profiler.profile(activities=activities) as seen:
        chunk = session.next_chunk()
    answer(chunk_seconds=None if chunk is None else chunk.seconds)
    time_name = "self_cpu_time_total" if place.tiny else "self_device_time_total"
    rows = sorted(seen.key_averages(), key=lambda row: getattr(row, time_name), reverse=True)[:30]
    answer(kernels_ms={row.key[:90]: [row.count, round(getattr(row, time_name) / 1000, 2)] for row in rows})


GPU_TESTS = (
    "tests/streaming/test_gpu_verdict.py",
    "tests/streaming/test_decoding.py",
    "tests/streaming/test_offload_gpu.py",
    "tests/loading/test_text_places.py",
)
"""Every file with tests that are marked ``gpu``."""


def tests(place: Place) -> None:
    """The tests that need a GPU."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu", *GPU_TESTS]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    print(done.stdout[-20000:], done.stderr[-5000:], flush=True)
    summary = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    answer(status=done.returncode, summary=summary, failed=failed)
    if done.returncode:
        sys.exit(1)


def main() -> None:
    """Run a step."""
    steps = (machine, parity, attention, attention8, passes, float8, vae, graphs, profile, tests)
    by_name = {step.__name__: step for step in steps}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", choices=by_name)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    by_name[given.step](Place(given.tiny))


if __name__ == "__main__":
    main()
