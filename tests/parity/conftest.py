"""Golden runs of the published implementation, as parity tests read them.

``pytest tests/parity --golden DIR`` checks every ``*.safetensors`` with a ``.json`` beside it in DIR.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.networks import load_transformer
from shotstream.models.transformer import CausalWanTransformer3DModel

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Golden:
    """One tiny model and what the published code computes with it."""

    path: Path

    @cached_property
    def facts(self) -> dict:
        return json.loads(self.path.with_suffix(".json").read_text())

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path)

    @cached_property
    def schedule(self) -> FlowSchedule:
        return FlowSchedule()

    @cached_property
    def transformer(self) -> CausalWanTransformer3DModel:
        """The model, loaded as users load a released checkpoint: from a file with the original names."""
        config = self.facts["config"]
        weights = {name: value for name, value in self.tensors.items() if name.startswith("model.")}
        with TemporaryDirectory() as folder:
            checkpoint = Path(folder, "released.pt")
            torch.save({"generator": weights}, checkpoint)
            return load_transformer(
                checkpoint,
                num_attention_heads=config["num_heads"],
                attention_head_dim=config["dim"] // config["num_heads"],
                text_length=config["text_len"],
                eps=config["eps"],
                shot_theta=self.facts["theta"],
                context_frames=self.facts["context_frames"],
                chunk_frames=self.facts["frames_per_chunk"],
                window_chunks=self.facts["chunks"],
            )

    @property
    def shot_index(self) -> Tensor:
        """Shot of every frame, context first, [F]."""
        return self.tensors["shot_index"]

    def text(self, name: str) -> Tensor:
        """Captions of a recording, [1, S, L, D]."""
        return self.tensors[name].unsqueeze(0)

    def x_t(self) -> Tensor:
        """Context latents and noise, the frames that recordings over whole shots start from."""
        return torch.cat([self.tensors["context_latents"], self.tensors["noise"]], 1)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.to(expected.dtype), expected, atol=TOLERANCE, rtol=0)


@lru_cache
def _golden(path: Path) -> Golden:
    return Golden(path)


DEFAULT_FOLDER = Path(__file__).parent.parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", type=Path, default=DEFAULT_FOLDER, help="folder of golden recordings")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" in metafunc.fixturenames:
        folder = metafunc.config.getoption("golden", DEFAULT_FOLDER)  # unknown when all tests run together
        paths = sorted(p for p in folder.glob("*.safetensors") if p.with_suffix(".json").exists())
        if not paths:
            raise pytest.UsageError(f"no *.safetensors with a .json beside it in {folder}")
        metafunc.parametrize("golden", [_golden(p) for p in paths], ids=[p.stem for p in paths])
