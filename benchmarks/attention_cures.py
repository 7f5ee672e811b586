"""What could cure 8-bit attention, each cure by itself, on numbers of a network and on random ones.

    python benchmarks/attention_cures.py [--only "mini" --only ...]

Prints a Markdown table: for every source of queries, keys and values the norm of the error of all results by
that of the results in float32, and that of the worst head of a token. `benchmark/attention_rounding.py`
computes as a GPU does. Five minutes on one core of a CPU, most of them for `mini` at Wan's size.

Legend: F latent frames, C channels, h and w latent height and width, T tokens of a pass, S tokens that it
sees, H heads, d head size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn.functional import interpolate  # noqa: E402

from shotstream.benchmark.attention_rounding import EXACT, ROUNDINGS, attend_rounded  # noqa: E402
from shotstream.benchmark.numerics import tell  # noqa: E402
from shotstream.machine.attention_error import draw_attention  # noqa: E402
from shotstream.models.attention import SelfAttention  # noqa: E402
from shotstream.streaming.pipeline import ShotStreamPipeline  # noqa: E402

QUERIES = 48
"""Of a pass, as many are looked at, spread over it."""
CPU = torch.device("cpu")


class Seen(NamedTuple):
    """What one attention is given, without batch, in float32."""

    query: Tensor
    """[T, H, d]."""
    key: Tensor
    """[S, H, d]."""
    value: Tensor


Source = Callable[[], Sequence[Seen]]


def spread(count: int) -> Tensor:
    """Indices of `QUERIES` tokens of so many."""
    return torch.linspace(0, count - 1, min(QUERIES, count)).round().long()


def random_numbers(keys: int, heads: int = 12, head_dim: int = 128) -> list[Seen]:
    """Numbers of `draw_attention`, as the gate of mode ``fast`` has them; every third head."""
    query, key, value = draw_attention(4680, keys, heads, head_dim, CPU)
    return [Seen(query[spread(4680), ::3], key[:, ::3], value[:, ::3])]


@torch.no_grad()
def numbers_of_mini(size: tuple[int, int] | None, window_chunks: int, layers: Sequence[int]) -> list[Seen]:
    """What attentions of `mini` are given in a denoising pass after a full window.

    Args:
        size: Height and width in pixels; as trained if None. The latents of a story that was told at its own
            size are enlarged.
        window_chunks: Chunks that are seen, the pass's own among them.
        layers: Which attentions.
    """
    pipeline = ShotStreamPipeline.from_pretrained("mini")
    height, width = pipeline.picture_size(*(size or (None, None)))
    network, config = pipeline.transformer, pipeline.transformer.config
    context, frames = config["context_frames"], config["chunk_frames"]
    needed = context + window_chunks * frames
    told = torch.cat(tell(pipeline), 1).float()  # [1, F, C, h, w]
    latents = told.repeat(1, -(-needed // told.shape[1]), 1, 1, 1)[:, :needed]
    cell = pipeline.latent_shape(height, width)
    latents = interpolate(latents[0], size=cell[1:], mode="bicubic")[None]
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(1, 1, config["text_length"], config["text_dim"], generator=generator)
    captions = network.encode_captions(0.1 * text)
    tokens = pipeline.tokens_per_frame(height, width)
    cache = network.new_cache(batch=1, tokens_per_frame=tokens, window_chunks=window_chunks)
    cache.fill_context(context)
    network(latents[:, :context], torch.zeros(1), captions, shot_index=0, cache=cache)
    for own in latents[:, context : needed - frames].split(frames, 1):
        cache.begin_chunk()
        network(own, torch.zeros(1), captions, shot_index=1, cache=cache)
        cache.commit()
    own = latents[:, needed - frames :]
    noise = torch.randn(own.shape, generator=generator)
    seen: list[Seen] = []
    attend = SelfAttention._attend_to_cache

    def look(attention: SelfAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        seen.append(Seen(query[0, spread(query.shape[1])], key[0].clone(), value[0].clone()))
        return attend(attention, query, key, value)

    with patch.object(SelfAttention, "_attend_to_cache", look):
        cache.begin_chunk()
        network((own + noise) / 2, torch.full((1,), 500.0), captions, shot_index=1, cache=cache)
    return [seen[layer] for layer in layers]


SOURCES: dict[str, Source] = {
    "mini": partial(numbers_of_mini, None, 3, range(6)),
    "mini at 480x832": partial(numbers_of_mini, (480, 832), 7, (0, 2, 5)),
    "random, 4,680 keys": partial(random_numbers, 4680),
    "random, 42,120 keys": partial(random_numbers, 42120),
}


def in_bfloat16(*parts: Tensor) -> Tensor:
    """Attention whose inputs and result are rounded to bfloat16."""
    return attend_rounded(*(part.bfloat16() for part in parts), EXACT).bfloat16().float()


WAYS = {"bfloat16": in_bfloat16} | {
    name: partial(attend_rounded, rounding=rounding) for name, rounding in ROUNDINGS.items()
}


def errors(attentions: Sequence[Seen]) -> dict[str, tuple[float, float]]:
    """Of every way: the error of all results of an attention, and the worst of a token's head.

    Of several attentions the mean of the first, and the largest of the second.
    """
    exact = [attend_rounded(*seen, EXACT) for seen in attentions]
    found: dict[str, tuple[float, float]] = {}
    for name, attend in WAYS.items():
        whole, worst = [], []
        for seen, expected in zip(attentions, exact, strict=True):
            difference = attend(seen.query, seen.key, seen.value) - expected
            whole.append((difference.norm() / expected.norm()).item())
            worst.append((difference.norm(dim=-1) / expected.norm(dim=-1)).max().item())
        found[name] = (sum(whole) / len(whole), max(worst))
    return found


def table(sources: dict[str, Source]) -> str:
    """Measure all ways on some sources, as Markdown."""
    columns = {name: errors(source()) for name, source in sources.items()}
    lines = ["| rounded | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for way in WAYS:
        cells = (f"{whole:.1%}, {worst:.1%}" for whole, worst in (found[way] for found in columns.values()))
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", choices=SOURCES, help="sources; all if not given")
    only = parser.parse_args().only or list(SOURCES)
    print(table({name: SOURCES[name] for name in only}))
