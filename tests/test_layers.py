"""Imports run downwards only (ARCHITECTURE.md, layers)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import FILES, SOURCE, imports

pytestmark = pytest.mark.law

LAYERS = [
    {"shipped", "telling_order"},
    {"story", "story_words", "diffusion", "models", "media", "prompts", "world", "weights"},
    {"machine"},
    {"loading"},
    {"streaming"},
    {"data", "training", "evaluation", "benchmark", "serving"},
    {"client"},
    {"cli"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
HEAVY = {"av", "fastapi", "skia", "uvicorn"}


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downwards(path: Path):
    own = part_of(path)
    assert own in RANK, f"{own} is in no layer; give it one in ARCHITECTURE.md and here"
    for module, names in imports(path):
        if module == "shotstream":
            parts = {name for name in names if name != "__version__"}
        elif module.startswith("shotstream."):
            parts = {module.split(".")[1]}
        else:
            continue
        for part in parts:
            assert part in RANK, f"{path}: import {part} from the module that defines it"
            assert RANK[part] <= RANK[own], f"{path}: {own} must not import {part}, which is above it"
            assert part != "evaluation" or own in ("evaluation", "cli"), f"{path}: only commands judge"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_networks_and_training_need_no_media_libraries(path: Path):
    if part_of(path) in {"models", "diffusion", "machine", "loading", "training", "streaming", "benchmark"}:
        assert not {module.split(".")[0] for module, _ in imports(path)} & HEAVY


@pytest.mark.parametrize("path", sorted((SOURCE / "cli").glob("*.py")), ids=lambda path: path.name)
def test_no_command_imports_another(path: Path):
    own = {module for module, _ in imports(path) if module.startswith("shotstream.cli")}
    assert all(module.startswith("shotstream.cli.shared.") for module in own), own


def test_importing_the_package_loads_no_torch():
    code = "import sys, shotstream; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
