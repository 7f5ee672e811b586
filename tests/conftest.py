"""A whole model at tiny size: real classes, random weights. Imports wait until a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from torch import nn

    from shotstream.streaming.pipeline import ShotStreamPipeline
    from shotstream.world.judge import Judge

if "PYTEST_XDIST_WORKER" in os.environ:  # several at once: threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
pytest.register_assert_rewrite("tests")  # of helpers too
os.environ["SHOTSTREAM_CACHE"] = "off"  # a test, or a process it starts, leaves nothing there

settings.register_profile("any machine", deadline=None)  # how long an example takes is no property
settings.load_profile("any machine")

TIERS = {"unit", "law", "system", "gpu"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Demand exactly one tier of every test; skip long tests unless they are asked for.

    A system test has real processes and a real clock, and a busy machine can take both from it. One that
    fails is run once more, and the report lists it as RERUN: look at it, for it may be right.
    """
    long = pytest.mark.skip(reason="takes minutes; set SHOTSTREAM_LONG=1")
    for item in items:
        tiers = sorted(TIERS.intersection(mark.name for mark in item.iter_markers()))
        if len(tiers) != 1:
            raise pytest.UsageError(
                f"{item.nodeid} has {' and '.join(tiers) or 'no tier'}; mark it with one of "
                f"{', '.join(sorted(TIERS))} (pyproject.toml says what each means)"
            )
        if tiers == ["system"]:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.get_closest_marker("long") and "SHOTSTREAM_LONG" not in os.environ:
            item.add_marker(long)


KNOWN_WORDS = "a red blue fox cat runs sleeps in the snow at night shot 0 1 2 3 4 5 6 7 8 9"


def tiny_pipeline(vae: nn.Module | None = None, **transformer: int) -> ShotStreamPipeline:
    """16x32 pixels at 8 frames per second, chunks of 2 latent frames, trained length 3 chunks (21 frames)."""
    import torch

    from shotstream.diffusion.schedule import FlowSchedule
    from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
    from shotstream.models.text import make_text_encoder, make_tokenizer
    from shotstream.models.transformer import CausalWanTransformer3DModel
    from shotstream.streaming.pipeline import ShotStreamPipeline

    torch.manual_seed(0)
    tokenizer = make_tokenizer(KNOWN_WORDS.split())
    vae = vae or TinyVideoAutoencoder(
        latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8), decoder_blocks=1
    )
    sizes = {"num_layers": 2, "window_chunks": 3, "chunk_frames": 2, "context_frames": 6, **transformer}
    network = CausalWanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        text_length=12,
        freq_dim=16,
        ffn_dim=32,
        **sizes,
    )
    for parameter in (*network.parameters(), *vae.parameters()):
        torch.nn.init.normal_(parameter, std=0.2)
    pipeline = ShotStreamPipeline(
        network.eval(),
        vae.eval(),
        make_text_encoder(len(tokenizer), width=16, layers=1, heads=2).eval(),
        tokenizer,
        FlowSchedule(shift=3.0, student_timesteps=(1000, 500)),
        fps=8.0,
        height=16,
        width=32,
        caption_template="{setting} shot {index}: {prompt}",
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(params=["file", "memory"])
def address(request, tmp_path: Path) -> Iterator[str]:
    """An address of a folder that is not there yet, on two file systems of fsspec."""
    from fsspec.implementations.memory import MemoryFileSystem

    yield {"file": f"file://{tmp_path}/far", "memory": "memory://far"}[request.param]
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(scope="session")
def make_pipeline() -> Callable[..., ShotStreamPipeline]:
    return tiny_pipeline


@pytest.fixture(scope="session")
def pipeline() -> ShotStreamPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="session")
def wan_pipeline() -> ShotStreamPipeline:
    """The same around a tiny Wan autoencoder."""
    import torch
    from diffusers import AutoencoderKLWan

    torch.manual_seed(1)
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [0.9] * 4}
    return tiny_pipeline(
        AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **statistics)
    )


@pytest.fixture(scope="session")
def judge() -> Judge:
    """A judge that answers at random, but always the same."""
    import torch

    from shotstream.world.judge import Judge

    torch.manual_seed(2)
    return Judge(16, 32, widths=(8, 8, 8, 8), features=16).eval()
