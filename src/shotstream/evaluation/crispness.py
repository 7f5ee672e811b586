"""How crisp pictures are against drawn ones, and whether chunks join without a jump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shotstream.evaluation.judged_film import Film
from shotstream.world.sampler import WorldStory, sample_story
from shotstream.world.scene import draw_shot

EVERY = 4
"""One frame of so many is compared with its drawing."""


def edge_energy(frames: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pixels, across and down, in levels.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
    """
    levels = frames.astype(np.int16)
    across, down = np.diff(levels, axis=2), np.diff(levels, axis=1)
    return float(np.abs(across).mean() + np.abs(down).mean())


def sharpness(film: Film) -> float | None:
    """Edge energy of a film of the story world against that of the same story drawn.

    Returns:
        1 for drawings, less for blur, more for noise; None where the story cannot be drawn again, as it was
        told in another version of the world.
    """
    story = _drawn_again(film)
    if story is None:
        return None
    height, width = film.shots[0].shape[1:3]
    ratios = []
    for number, shot in enumerate(film.shots):
        true = draw_shot(story, number, height=height, width=width, fps=film.fps)
        ratios.append(edge_energy(shot[::EVERY]) / edge_energy(true[::EVERY]))
    return float(np.mean(ratios))


def chunk_jump(shots: Sequence[np.ndarray], starts: Sequence[Sequence[int]]) -> float | None:
    """Change of pictures where a chunk begins, against their change inside chunks.

    Args:
        shots: uint8 ``[T, H, W, 3]`` each.
        starts: Of each shot, the frames with which its chunks begin.

    Returns:
        Near 1 where no border is to be seen, more where pictures jump there; None of shots of one chunk, or
        in which nothing moves.
    """
    ratios = []
    for shot, begins in zip(shots, starts, strict=True):
        borders = [start for start in begins if start > 0]
        change = np.abs(np.diff(shot.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))  # [T - 1]
        inside = np.delete(change, [start - 1 for start in borders])
        if borders and len(inside) and inside.mean() > 0:
            ratios.append(change[[start - 1 for start in borders]].mean() / inside.mean())
    return float(np.mean(ratios)) if ratios else None


def _drawn_again(film: Film) -> WorldStory | None:
    """The story of a film, if the world still tells it as the film's attributes say."""
    if film.attributes is None or "split" not in film.attributes:
        return None
    told, frames = film.attributes, max(len(shot) for shot in film.shots)
    story = sample_story(told["seed"], split=told["split"], shots=len(film.shots), frames=frames)
    same = all(again.prompt == shot["prompt"] for again, shot in zip(story.shots, told["shots"], strict=True))
    return story if same and story.setting == told["setting"] else None
