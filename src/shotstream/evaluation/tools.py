"""What films are measured with: the judge and feature extractors, loaded as far as they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from shotstream.evaluation.extractors import Extractors, choose_extractors
from shotstream.evaluation.judging import judge_facts, load_judge, locate_judge
from shotstream.machine.provenance import commit
from shotstream.world.judge import Judge

FOR_THE_WORLD, FOR_FILMS = ("judge",), ("dino", "clip", "laion")
"""Features by default, where it is known what the story world shows in a film and where it is not."""


class Tools(NamedTuple):
    """What films are measured with."""

    extractors: Extractors
    judge: Judge | None
    judge_facts: dict[str, Any] | None
    settings: dict[str, Any]
    """What decides the figures."""
    device: torch.device
    hardware: str = ""
    """What computes, in words, if that is another machine."""


def load_tools(
    wanted: list[str] | None,
    world: bool,
    device: torch.device,
    judge_folder: Path | None = None,
    aesthetic_head: Path | None = None,
) -> Tools:
    """Load them.

    Args:
        wanted: Names of features; None chooses them by `world`.
        world: Whether it is known of the films what the story world shows in them.
        device: Where they run.
        judge_folder: The judge's, if not the one shipped.
        aesthetic_head: What scores how pictures look.

    Raises:
        ModelError: If the judge cannot be had.
    """
    names = (FOR_THE_WORLD if world else FOR_FILMS) if wanted is None else wanted
    judge = facts = None
    if world or "judge" in names:
        folder = locate_judge(judge_folder)
        judge, facts = load_judge(folder, device), judge_facts(folder)
    extractors = choose_extractors(names, judge, device, aesthetic_head)
    judge_sha256 = facts["weights_sha256"] if facts else None
    settings = {"features": extractors.names, "judge_sha256": judge_sha256, "commit": commit()}
    return Tools(extractors, judge, facts, settings, device)
