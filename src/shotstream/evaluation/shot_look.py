"""One look at the frames of a shot: all that continuity is computed from, without the frames.

A look is small and never changes, so it can be kept for every shot of a story.

Legend: T frames, D width of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from shotstream.evaluation.crispness import chunk_jump
from shotstream.evaluation.cuts import detect_cuts
from shotstream.evaluation.frames import check_frames
from shotstream.evaluation.metrics import key_frames
from shotstream.streaming.chunk import to_pixels
from shotstream.world.judge import Judge

if TYPE_CHECKING:
    from shotstream.evaluation.features import FeatureExtractor

MOST_READ = 17
"""The judge reads so many frames of a shot at most: all that it reads of a shot of 33 frames."""
AT_AN_END = 8
"""So many of them are its beginning, and as many its end."""
LINES = 72
"""Pictures are shrunk to about so many lines where only their change matters."""
AROUND_A_CUT = 12
"""Frames kept on each side of a cut, for the cut detector."""

Reading = Mapping[str, Mapping[str, float]]
"""Question of the judge -> answer -> probability."""


@dataclass(frozen=True, eq=False)
class ShotLook:
    """What is known of the pictures of a shot."""

    frames: int
    """How many it has."""
    reading: Reading | None
    """What the judge reads in it; None without a judge."""
    beginning: Reading | None
    """What it reads in the first frames; None of a shot too short to change."""
    end: Reading | None
    """What it reads in the last frames."""
    features: Tensor | None
    """Features of first, middle and last frame ``[3, D]``; None without an extractor."""
    opening: np.ndarray
    """Its first frames, shrunk: uint8 ``[AROUND_A_CUT at most, about LINES, ..., 3]``."""
    closing: np.ndarray
    """Its last frames, likewise."""
    cuts: tuple[int, ...] | None
    """Frames inside it with which another shot seems to begin; None without a cut detector."""
    jump: float | None
    """Change of pictures where a chunk begins, against that inside chunks; None of one chunk."""
    jump_chunk: int | None
    """The chunk, from 0, that begins with the greatest change."""
    tones: tuple[tuple[float, float], tuple[float, float]]
    """Mean brightness and saturation, 0 to 1, of the first and of the last frames."""


@torch.no_grad()
def look_at(
    frames: np.ndarray,
    chunk_starts: Sequence[int] = (0,),
    judge: Judge | None = None,
    extractor: FeatureExtractor | None = None,
) -> ShotLook:
    """Look at a finished shot.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
        chunk_starts: The frames with which its chunks begin; empty where the frames are only some of the
            shot's and do not follow one another.
        judge: Reads who and what is to be seen, in pictures of the drawn world.
        extractor: Makes features of three of its frames.

    Raises:
        ValueError: If `frames` are no pictures.
    """
    check_frames(frames)
    stride = max(1, round(frames.shape[1] / LINES))
    small = frames[:, ::stride, ::stride]
    reading = beginning = end = None
    if judge is not None:
        reading, beginning, end = _read(judge, frames)
    jump, closing = chunk_jump([small], [chunk_starts]), AROUND_A_CUT if chunk_starts else 1
    ends = min(AT_AN_END, len(frames))
    return ShotLook(
        frames=len(frames),
        reading=reading,
        beginning=beginning,
        end=end,
        features=None if extractor is None else extractor(frames[list(key_frames(len(frames)))]),
        opening=small[:AROUND_A_CUT].copy(),
        closing=small[-closing:].copy(),
        cuts=find_cuts(small) if chunk_starts else (),
        jump=jump,
        jump_chunk=None if jump is None else _greatest_jump(small, chunk_starts),
        tones=(_tone(small[:ends]), _tone(small[-ends:])),
    )


def _read(judge: Judge, frames: np.ndarray) -> tuple[Reading, Reading | None, Reading | None]:
    """What the judge reads in a shot, in its beginning and in its end."""
    step, count = judge.config["frame_step"], len(frames)
    places = list(range(0, count, step))
    if len(places) > MOST_READ:
        places = np.linspace(0, count - 1, MOST_READ).round().astype(int).tolist()
    pixels = to_pixels(frames[places])[None].to(judge.device)
    features = judge.frame_features(pixels)  # [1, T, D]
    whole = _probabilities(judge, features)
    if len(places) < 2 * AT_AN_END:
        return whole, None, None
    return (
        whole,
        _probabilities(judge, features[:, :AT_AN_END]),
        _probabilities(judge, features[:, -AT_AN_END:]),
    )


def _probabilities(judge: Judge, features: Tensor) -> Reading:
    return {
        name: dict(zip(judge.questions[name], logits[0].float().softmax(-1).tolist(), strict=True))
        for name, logits in judge.read_features(features).items()
    }


def find_cuts(frames: np.ndarray) -> tuple[int, ...] | None:
    """First frames of new shots in pictures, uint8 ``[T, H, W, 3]``; None without PySceneDetect."""
    try:
        return tuple(detect_cuts(frames, fps=24))  # the rate names times only, and nobody asks for them
    except ImportError:
        return None


def _greatest_jump(small: np.ndarray, starts: Sequence[int]) -> int:
    changes = {
        chunk: float(np.abs(small[start].astype(np.int16) - small[start - 1]).mean())
        for chunk, start in enumerate(starts)
        if start > 0
    }
    return max(changes, key=changes.__getitem__)


def _tone(frames: np.ndarray) -> tuple[float, float]:
    """Mean brightness and saturation, 0 to 1."""
    highest, lowest = frames.max(axis=-1).astype(np.float32), frames.min(axis=-1)
    return float(frames.mean() / 255), float(((highest - lowest) / np.maximum(highest, 1)).mean())
