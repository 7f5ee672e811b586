"""What holds on a CPU holds on a GPU: parity, the laws of sessions, the numerics table, the one kernel.

``pytest -m gpu`` on a machine with a card is the verdict. SHOTSTREAM_CARD=cpu runs the same on a CPU, which
shows only that the tests run.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import shotstream
from shotstream import Chunk, ShotStreamPipeline, StorySession, TinyWanDecoder
from shotstream.benchmark.numerics import WAYS, measure
from shotstream.models.cache_write import cache_write_error, lacks_kernel
from shotstream.models.float8 import FORMAT
from shotstream.streaming.speed import LARGEST_KERNEL_ERROR
from tests.parity.conftest import Golden

pytestmark = pytest.mark.gpu

ROOT = Path(shotstream.__file__).parents[2]
SIZE = (64, 96)


@pytest.fixture(scope="module")
def card() -> torch.device:
    """Where the tests run."""
    asked = os.environ.get("SHOTSTREAM_CARD")
    if not asked and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; SHOTSTREAM_CARD=cpu runs it here")
    return torch.device(asked or "cuda")


@pytest.fixture(autouse=True)
def _forget_compiled():
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


@pytest.fixture
def live(make_pipeline, card) -> ShotStreamPipeline:
    """The tiny model with a tiny decoder put in, on the card."""
    pipeline = make_pipeline()
    torch.manual_seed(3)
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    return pipeline.to(card)


@pytest.fixture
def golden(card) -> Iterator[Golden]:
    """The recorded rollout, its networks on the card, without TF32."""
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    recorded = Golden(ROOT / "tests" / "golden" / "causal_wan_tiny.safetensors")
    recorded.transformer.to(card)
    yield recorded
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


@pytest.mark.parametrize("poisoned", [False, True], ids=["empty cache", "cache of NaN"])
def test_parity_with_the_recorded_rollout(golden, monkeypatch, poisoned: bool) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    steps: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "first_light_steps.py"))
    found = steps["_golden_rollout"](golden, poisoned=poisoned)
    assert (found - golden.tensors["rollout.x0"]).abs().max() <= 1e-4
    assert torch.equal(found, steps["_golden_rollout"](golden)), "the same bits again"


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_compute_stays_within_its_bounds(card, name: str) -> None:
    way = WAYS[name]
    found = measure(way, size=None if name == "compiled" else SIZE, device=card)
    print(f"{way.title}: {found.cosine:.6f}, {found.error:.5f}")
    assert found.cosine >= way.least_cosine
    assert found.error <= way.largest_error


def take(session: StorySession, chunks: int) -> list[Chunk]:
    made = [session.next_chunk() for _ in range(chunks)]
    return [chunk for chunk in made if chunk is not None]


def same(one: list[Chunk], other: list[Chunk]) -> bool:
    return all(
        torch.equal(a.latents, b.latents) and np.array_equal(a.full_frames(), b.full_frames())
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("decoder", ["full", "tiny"])
def test_a_story_is_the_same_again_whatever_is_taken_back_restored_or_branched(live, decoder: str) -> None:
    straight, changed = (live.open("a fox", decoder=decoder, rewind_chunks=3) for _ in range(2))
    for session in (straight, changed):
        list(session.shoot("runs", chunks=3))
        session.cut("sleeps", chunks=7)
    expected, found = take(straight, 3), take(changed, 5)
    changed.rewind(2)
    for session in (straight, changed):
        session.redirect("a cat")
    snapshot = changed.snapshot()
    take(changed, 2)
    changed.restore(snapshot)
    expected, found = [*expected, *take(straight, 4)], [*found[:3], *take(changed, 4)]
    assert same(found, expected)
    branch = changed.branch()
    ends = [list(session.shoot("night", chunks=2)) for session in (straight, changed, branch)]
    assert same(ends[1], ends[0])
    assert same(ends[2], ends[0])


def test_full_frames_in_the_background_are_those_of_the_full_decoder(live) -> None:
    full, tiny = live.open("a fox"), live.open("a fox", decoder="tiny")
    for prompt in ("runs", "sleeps", "a cat", "night", "snow", "runs", "cat"):
        assert same(list(full.shoot(prompt, chunks=3)), list(tiny.shoot(prompt, chunks=3)))
    for session in (full, tiny):
        session.end_shot()
    one, other = ([frame.pixels for frame in session.context.frames] for session in (full, tiny))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("dtype", "cached"),
    [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.bfloat16, FORMAT)],
)
def test_one_kernel_does_what_the_steps_do(card, dtype: torch.dtype, cached: torch.dtype) -> None:
    lacking = lacks_kernel(card)
    if card.type == "cuda":
        assert lacking is None
    error = cache_write_error(12, 128, dtype, cached, card)
    assert error <= (1e-5 if dtype == torch.float32 else LARGEST_KERNEL_ERROR)
