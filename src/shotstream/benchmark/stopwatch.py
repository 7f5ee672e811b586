"""Takes the time of a story, from prompt to decoded frames in memory, or of the transformer's part alone."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from shotstream.benchmark.chunk_loop import ChunkLoop, make_opening
from shotstream.benchmark.record import Measurements, Settings
from shotstream.benchmark.timed_story import SETTING, prompt
from shotstream.benchmark.watch import compilations
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.pipeline import ShotStreamPipeline


class TimedChunk(NamedTuple):
    """One chunk as a viewer meets it."""

    frames: int
    seconds: float
    """Since the chunk before it was handed out; of the first, since the story was asked for."""
    stages: dict[str, float]


Teller = Callable[[Sequence[int]], Iterator[list[TimedChunk]]]
"""Tells a new story whose shots have so many chunks, and gives the chunks of each shot once it is told."""


def measure(
    pipeline: ShotStreamPipeline,
    settings: Settings,
    prepare_seconds: float = 0.0,
    keep: Callable[[Measurements], object] = lambda figures: None,
) -> Measurements:
    """Tell two stories: a short one that warms up, and the one that counts; a third with all full frames.

    The warm-up is a whole shot and two of a single chunk, so that cuts to one and to several remembered shots
    are warm too.

    Args:
        pipeline: Prepared, and has told nothing yet.
        settings: What to run.
        prepare_seconds: What preparing it took.
        keep: Called after every shot with the figures of the story so far; the time it takes does not count.

    Raises:
        ValueError: If the model cannot do what the settings ask for.
    """
    device = pipeline._execution_device
    tell = _teller(pipeline, settings)
    cold = list(tell([settings.chunks, 1, 1]))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    allocations, compiled = _device_allocations(device), compilations()

    def figures(full: float | None = None) -> Measurements:
        later_allocations, later = _device_allocations(device), compilations()
        return Measurements(
            prepare_seconds=prepare_seconds,
            first_frame_cold_seconds=prepare_seconds + cold[0][0].seconds,
            **pace(told, settings.film_fps),
            full_frames_per_second=full,
            peak_memory_bytes=peak_memory_bytes(device),
            device_allocations=None if allocations is None else (later_allocations or 0) - allocations,
            graph_breaks=later[0] - compiled[0],
            recompilations=later[1] - compiled[1],
        )

    told: list[list[TimedChunk]] = []
    with torch.compiler.set_stance("default"):  # what were forbidden to be compiled could not be counted
        for shot in tell([settings.chunks] * settings.shots):
            told.append(shot)
            keep(figures())
        full = full_pace(pipeline, settings) if settings.decoder == "tiny" else None
    return figures(full)


def full_pace(pipeline: ShotStreamPipeline, settings: Settings) -> float:
    """Frames per second of a story all of whose frames are asked for in full, as for a film."""
    story = _story(pipeline, settings, [settings.chunks] * settings.shots, full=True)
    told = list(story)
    return sum(chunk.frames for chunk in told) / sum(chunk.seconds for chunk in told)


def pace(told: list[list[TimedChunk]], film_fps: float) -> dict[str, Any]:
    """Work out the figures of a story from the times of its chunks, per shot."""
    chunks = [chunk for shot in told for chunk in shot]
    seconds = [chunk.seconds for chunk in chunks]
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99)).tolist()
    frames = sum(chunk.frames for chunk in chunks)
    stages = {
        name: sum(chunk.stages.get(name, 0.0) for chunk in chunks)
        for name in dict.fromkeys(name for chunk in chunks for name in chunk.stages)
    }
    return {
        "frames_per_second": frames / sum(seconds),
        "times_film_pace": frames / sum(seconds) / film_fps,
        "first_frame_warm_seconds": seconds[0],
        "next_shot_seconds": float(np.median([shot[0].seconds for shot in told[1:]])) if told[1:] else None,
        "chunk_p50_seconds": p50,
        "chunk_p95_seconds": p95,
        "chunk_p99_seconds": p99,
        "chunk_p99_over_p50": p99 / p50,
        "stage_seconds": {**stages, "rest": sum(seconds) - sum(stages.values())},
        "chunk_seconds": [[chunk.seconds for chunk in shot] for shot in told],
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory used: allocated since the last reset on a GPU, resident in the whole process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_allocations(device: torch.device) -> int | None:
    return torch.cuda.memory_stats(device)["num_device_alloc"] if device.type == "cuda" else None


def _teller(pipeline: ShotStreamPipeline, settings: Settings) -> Teller:
    if settings.transformer_only:
        return lambda lengths: _group(_loop(pipeline, settings, lengths), lengths)
    return lambda lengths: _group(_story(pipeline, settings, lengths), lengths)


def _group(chunks: Iterator[TimedChunk], lengths: Sequence[int]) -> Iterator[list[TimedChunk]]:
    for length in lengths:
        yield [next(chunks) for _ in range(length)]
    assert next(chunks, None) is None  # told to the end, so that nothing of it goes on behind the next


def _story(
    pipeline: ShotStreamPipeline, settings: Settings, lengths: Sequence[int], full: bool = False
) -> Iterator[TimedChunk]:
    """Tell a story through a session; `full` asks for all full frames, and the last chunk waits for them."""
    before = time.perf_counter()
    decoder = settings.decoder or "full"
    session = pipeline.open(SETTING, 0, settings.height, settings.width, decoder=decoder, works_ahead=True)
    shown: list[Chunk] = []
    for shot, length in enumerate(lengths):
        for chunk in session.shoot(prompt(shot), chunks=length):
            if full:
                shown.append(chunk)
                chunk.request_full()
                if len(shown) == sum(lengths):
                    for one in shown:
                        one.full_frames()
            stages = {name: seconds for name, seconds in chunk.seconds.items() if name != "total"}
            yield TimedChunk(len(chunk.frames), time.perf_counter() - before, stages)
            before = time.perf_counter()


def _loop(pipeline: ShotStreamPipeline, settings: Settings, lengths: Sequence[int]) -> Iterator[TimedChunk]:
    """Run the transformer's part, and wait for the device after each stage."""
    timing, cell = pipeline.timing, pipeline.latent_shape(settings.height, settings.width)
    clock = _StageClock(pipeline._execution_device)
    loop = ChunkLoop(pipeline.transformer, pipeline.scheduler, cell)
    for shot, length in enumerate(lengths):
        with torch.no_grad():
            opening = make_opening(pipeline.transformer, cell, shot)
        clock.lap("captions")
        loop.open_shot(opening)
        clock.lap("context")
        for chunk in range(length):
            x0 = loop.denoise(shot, chunk)
            clock.lap("denoise")
            frames = timing.frames(chunk + 1) - (timing.frames(chunk) if chunk else 0)
            yield TimedChunk(frames, *clock.read())
            clock.start()
            if chunk + 1 < length:
                loop.commit(x0)
                clock.lap("commit")


class _StageClock:
    """Splits the time since the last reading into stages."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stages: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Leave out what was done since the last lap."""
        self._before = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Everything since the last lap was this stage."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self._stages[stage] = self._stages.get(stage, 0.0) + now - self._before
        self._before = now

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds of all laps since the last reading, and of each stage."""
        stages, self._stages = self._stages, {}
        return sum(stages.values()), stages
