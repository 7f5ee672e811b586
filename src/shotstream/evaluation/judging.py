"""The judge of the story world in the evaluation: where it is, what it reads, its features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shotstream.evaluation.frames import check_frames
from shotstream.loading.folders import SHIPPED, ModelError, check_configs, check_weights, shorten
from shotstream.loading.hashes import hash_weights
from shotstream.streaming.chunk import to_pixels
from shotstream.world.judge import Judge


def locate_judge(folder: Path | None = None) -> Path:
    """Return the judge's folder: the one given, else the one that comes with the package.

    Raises:
        ModelError: If there is none.
    """
    folder = folder or SHIPPED / "judge"
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"the folder {folder} holds no judge (no config.json); give one that `shotstream train judge` "
            "made, such as runs/mini/judge/export"
        )
    return folder


def load_judge(folder: Path, device: torch.device | str = "cpu") -> Judge:
    """Load a judge.

    Raises:
        ModelError: If what the folder holds is no judge, or a damaged one.
    """
    check_configs(folder)
    try:
        judge: Any = Judge.from_pretrained(folder, use_safetensors=True)
    except Exception as error:  # diffusers, safetensors and torch each raise their own
        raise ModelError(
            f"the judge in {folder} cannot be loaded: {shorten(error)}; train or fetch it again"
        ) from error
    check_weights(str(folder.parent), {folder.name: judge})
    return judge.eval().to(device)


def judge_facts(folder: Path) -> dict[str, Any]:
    """Hash of a judge's weights, and how often it is right on held-out drawn shots, where that is known."""
    accuracy = folder / "accuracy.json"
    known = json.loads(accuracy.read_text(encoding="utf-8")) if accuracy.is_file() else None
    return {"weights_sha256": hash_weights(folder), "accuracy": known}


def read_shots(judge: Judge, shots: Sequence[np.ndarray]) -> list[dict[str, str]]:
    """What the judge answers about each shot, uint8 ``[T, H, W, 3]``, to each of its own questions."""
    return [judge.answers(to_pixels(shot)[None].to(judge.device))[0] for shot in shots]


class JudgeFeatures:
    """How single frames look to the judge; means something for pictures of the story world only.

    Args:
        judge: The judge.
        name: What a report calls it.
        batch_frames: Frames at a time.
    """

    def __init__(self, judge: Judge, name: str = "judge", batch_frames: int = 64) -> None:
        self.name = name
        self._judge, self._batch_frames = judge, batch_frames

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> Tensor:
        """Pictures, uint8 [T, H, W, 3], to features of length 1, float32 [T, D] on the CPU.

        Raises:
            ValueError: If `frames` are no pictures.
        """
        check_frames(frames)
        starts = range(0, len(frames), self._batch_frames)
        pixels = (to_pixels(frames[start : start + self._batch_frames]) for start in starts)
        features = [self._judge.frame_features(part[None].to(self._judge.device))[0] for part in pixels]
        return functional.normalize(torch.cat(features).float().cpu(), dim=-1)
