"""What the dual cache is worth: the three ways timed in one process, chunk by chunk."""

from __future__ import annotations

import time
from statistics import median

import torch
from rich.table import Table

from shotstream.benchmark.cache_ways import CACHED, CLONING, UNCACHED, Way, make_ways
from shotstream.benchmark.chunk_loop import ChunkLoop, Opening, make_opening
from shotstream.benchmark.record import Part
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.transformer import CausalWanTransformer3DModel

SHOT = 7
"""A shot of this number remembers six others, one frame of each."""
COLUMNS = 10
"""Of the token grid."""
MOST_DIFFERENCE = 1e-4


class WaysRecord(Part):
    """How the three ways compare; ratios are times by that of the dual cache in the same run."""

    date: str
    commit: str | None
    hardware: str
    sizes: dict[str, int]
    repeats: int
    largest_difference: float
    """Between clean latents of any two ways, float32."""
    lengths: list[int]
    """Lengths of shots in chunks."""
    cached_seconds: list[float]
    """Median time of the dual cache for a shot of each length."""
    ratios: dict[str, list[float]]
    """Of the other ways: median over the runs, for each length."""
    spread: dict[str, list[tuple[float, float]]]
    """Smallest and largest ratio of any run."""
    last_chunk_ratios: dict[str, list[float]]
    """The same for the last chunk of each length alone."""


def compare_ways(
    *, chunks: int, repeats: int, layers: int, tokens: int, date: str, commit: str | None, hardware: str
) -> WaysRecord:
    """Time the three ways beside each other, which must make the same chunks.

    The runs go chunk by chunk through the ways, in turning order, so that a machine that slows down slows all
    of them; a shot of fewer chunks is the beginning of a longer one.

    Args:
        chunks: Longest shot, at least 3; the window is as long, so nothing slides.
        repeats: Timed runs.
        layers: Layers of the network, which is 256 wide.
        tokens: Of a latent frame, rounded down to rows of 10.
        date: When this is run.
        commit: Of the code.
        hardware: What computes.

    Raises:
        ValueError: If the ways do not make the same chunks.
    """
    lengths = [chunks // 3, 2 * chunks // 3, chunks]
    loop = _make_loop(layers, chunks, (4, 2 * max(1, tokens // COLUMNS), 2 * COLUMNS))
    ways, opening = make_ways(loop), make_opening(loop.transformer, loop.cell, SHOT)
    run_ways(ways, opening, lengths[0], 0)  # warms up, and checks before anything is timed
    runs, differences = zip(*(run_ways(ways, opening, chunks, turn) for turn in range(repeats)), strict=True)
    others = [UNCACHED, CLONING]
    ratios = {
        way: [
            sorted(sum(run[way][:length]) / sum(run[CACHED][:length]) for run in runs) for length in lengths
        ]
        for way in others
    }
    return WaysRecord(
        date=date,
        commit=commit,
        hardware=hardware,
        sizes={
            "width": 256,
            "layers": layers,
            "tokens_per_frame": loop.cache.tokens_per_frame,
            "chunk_frames": 3,
        },
        repeats=repeats,
        largest_difference=max(differences),
        lengths=lengths,
        cached_seconds=[median(sum(run[CACHED][:length]) for run in runs) for length in lengths],
        ratios={way: [median(values) for values in ratios[way]] for way in others},
        spread={way: [(values[0], values[-1]) for values in ratios[way]] for way in others},
        last_chunk_ratios={
            way: [median(run[way][n - 1] / run[CACHED][n - 1] for run in runs) for n in lengths]
            for way in others
        },
    )


def ways_table(record: WaysRecord) -> Table:
    """The ratios per length of the shot."""
    sizes = ", ".join(f"{name} {value}".replace("_", " ") for name, value in record.sizes.items())
    table = Table("chunks", CACHED, title=f"Time by that of the dual cache ({sizes})")
    table.caption = f"{record.hardware}; clean latents differ by {record.largest_difference:.1e} at most"
    for way in record.ratios:
        table.add_column(f"{way}: shot")
        table.add_column("last chunk")
    for place, length in enumerate(record.lengths):
        cells = [f"{length}", f"{record.cached_seconds[place]:.2f} s"]
        for way, ratios in record.ratios.items():
            least, most = record.spread[way][place]
            cells.append(f"{ratios[place]:.2f} ({least:.2f}-{most:.2f})")
            cells.append(f"{record.last_chunk_ratios[way][place]:.2f}")
        table.add_row(*cells)
    return table


def _make_loop(layers: int, chunks: int, cell: tuple[int, int, int]) -> ChunkLoop:
    torch.manual_seed(0)
    transformer = CausalWanTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=cell[0],
        out_channels=cell[0],
        text_dim=64,
        text_length=32,
        ffn_dim=1024,
        num_layers=layers,
        window_chunks=chunks,
    )
    return ChunkLoop(transformer.eval(), FlowSchedule(), cell)


def run_ways(
    ways: dict[str, Way], opening: Opening, chunks: int, turn: int
) -> tuple[dict[str, list[float]], float]:
    """Make a shot in all ways, chunk by chunk, and compare the chunks outside the times.

    Args:
        ways: By name.
        opening: What the shot is made from.
        chunks: Its length.
        turn: Which way is first; with every chunk it is another.

    Returns:
        Seconds of each chunk in each way, the context pass in those of the first; and the largest difference
        between clean latents.

    Raises:
        ValueError: If that is more than rounding.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    largest, names = 0.0, list(ways)
    for chunk in range(chunks):
        first, made = (turn + chunk) % len(names), {}
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            if chunk == 0:
                ways[name].open_shot(opening)
            made[name] = ways[name].denoise(SHOT, chunk)
            ways[name].commit(made[name])
            seconds[name].append(time.perf_counter() - started)
        differences = [(x0 - made[CACHED]).abs().max().item() for x0 in made.values()]
        largest = max(largest, *differences)
        if not largest <= MOST_DIFFERENCE:
            raise ValueError(
                f"the ways differ by {largest:.1e} in chunk {chunk} of the same shot, so their times say "
                f"nothing; at most {MOST_DIFFERENCE:.0e} is rounding"
            )
    return seconds, largest
