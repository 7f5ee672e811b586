"""A tiny model with random weights, and a record of it with made-up figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shotstream.benchmark.record import Record, Settings
    from shotstream.streaming.pipeline import ShotStreamPipeline


@pytest.fixture(scope="session")
def tiny() -> ShotStreamPipeline:
    import torch

    from shotstream.benchmark.random_models import make_random_pipeline

    return make_random_pipeline("tiny", torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def make_settings() -> Callable[..., Settings]:
    from shotstream.benchmark.record import RANDOM_TEXT_ENCODER, RANDOM_WEIGHTS, Settings

    def make(**changes: Any) -> Settings:
        settings = {
            "model": "tiny",
            "weights": RANDOM_WEIGHTS,
            "parameters": 1000,
            "text_encoder": RANDOM_TEXT_ENCODER,
            "transformer_only": False,
            "mode": "plain",
            "decoder": None,
            "shots": 3,
            "chunks": 3,
            "height": 32,
            "width": 48,
            "device": "cpu",
            "dtype": "float32",
            "film_fps": 8.0,
        }
        return Settings.model_validate(settings | changes)

    return make


@pytest.fixture(scope="session")
def make_record(make_settings: Callable[..., Settings]) -> Callable[..., Record]:
    """A record whose every time is `seconds`; `loop` are its counts, `settings` changes of the settings."""
    from shotstream.benchmark.record import LoopCounts, MachineFacts, Measurements, Record
    from shotstream.benchmark.stopwatch import TimedChunk, pace

    def make(seconds: float = 1.0, loop: dict[str, Any] | None = None, **settings: Any) -> Record:
        told = [[TimedChunk(12, seconds, {"denoise": seconds / 2})] * 3] * 2
        counts = {
            "operations_per_chunk": 100,
            "synchronising": {},
            "cache_copies": {},
            "growth_in_shot_bytes": 0,
            "growth_over_shots_bytes": 0,
            "cache_moves": 0,
        }
        return Record(
            date="2026-11-23T12:00:00+00:00",
            commit=None,
            machine=MachineFacts(hardware="a machine", driver=None, torch="2.13.0+cpu"),
            settings=make_settings(**settings),
            figures=Measurements(
                **pace(told, 8.0),
                prepare_seconds=0.0,
                first_frame_cold_seconds=seconds,
                peak_memory_bytes=1000,
                device_allocations=None,
                graph_breaks=0,
                recompilations=0,
            ),
            loop=None if loop is None else LoopCounts.model_validate(counts | loop),
        )

    return make
