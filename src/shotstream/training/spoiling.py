"""Spoilt pictures for the judge: what generators do wrong, done to drawn shots, lest it be taken for right.

Legend: B batch, T frames, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from shotstream.world.judge import OF_A_CHARACTER, SPOILT, STANDS, UNCLEAR

Answers = dict[str, str]
FINE = ("feeling", "prop", *(f"{stand} {name}" for stand in STANDS for name in ("accessory", "pattern")))
"""Questions about details, which go first when a figure melts."""
WHO = tuple(f"{stand} {name}" for stand in STANDS for name in OF_A_CHARACTER)
"""Questions about the characters."""


def spoil(
    frames: Tensor, truth: Sequence[Answers], generator: torch.Generator
) -> tuple[Tensor, list[Answers]]:
    """Spoil every shot of a batch in one of several ways, chosen at random.

    Args:
        frames: `[B, T, 3, H, W]` in [-1, 1].
        truth: What is true of each shot.
        generator: On the CPU.

    Returns:
        The spoilt shots, and what is true of them: `SPOILT` figures, `UNCLEAR` where nothing can be said any
        more. Questions that one person would answer and another would not are left out.
    """
    ways = torch.randint(len(_WAYS), (len(frames),), generator=generator).tolist()
    others = torch.roll(torch.arange(len(frames)), 1).tolist()
    made = [
        _WAYS[way](frames[row], truth[row], frames[other], truth[other], generator)
        for row, (way, other) in enumerate(zip(ways, others, strict=True))
    ]
    return torch.stack([shot for shot, _ in made]), [answers | {"figures": SPOILT} for _, answers in made]


Way = Callable[[Tensor, Answers, Tensor, Answers, torch.Generator], tuple[Tensor, Answers]]
"""(shot [T, 3, H, W], its truth, another shot, its truth, generator) -> (spoilt shot, its truth)."""


def blurred(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Blur all of the picture: details are gone, places stay."""
    height = shot.shape[-2]
    sigma = height * _between(0.03, 0.06, generator)
    reach = round(2 * sigma)
    places = torch.arange(-reach, reach + 1, dtype=shot.dtype, device=shot.device)
    weights = torch.exp(-0.5 * (places / sigma).square())
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    wide = functional.pad(shot, (reach, reach, 0, 0), mode="replicate")
    wide = functional.conv2d(wide, weights, groups=3)
    tall = functional.pad(wide, (0, 0, reach, reach), mode="replicate")
    return functional.conv2d(tall, weights.transpose(2, 3), groups=3), _unclear(truth, FINE)


def melted(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Bend the picture by waves about as wide as a face."""
    frames, _, height, width = shot.shape
    strength = _between(0.05, 0.12, generator)
    coarse = torch.randn(1, 2, 9, 13, generator=generator).to(shot)
    shift = functional.interpolate(coarse, (height, width), mode="bicubic").movedim(1, -1)  # [1, H, W, 2]
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    grid = torch.stack([x, y], dim=-1).to(shot) + strength * shift
    bent = functional.grid_sample(
        shot, grid.expand(frames, -1, -1, -1), padding_mode="border", align_corners=True
    )
    return bent, _unclear(truth, FINE) if strength > 0.08 else _without(truth, FINE)


def mixed(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Lay two shots over one another: what differs between them cannot be told."""
    weight = _between(0.4, 0.6, generator)
    return torch.lerp(shot, other, weight), _differing(truth, told)


def halved(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Take the left of one shot and the right of another, divided within the figures."""
    width = shot.shape[-1]
    border = round(width * _between(0.42, 0.58, generator))
    return torch.cat([shot[..., :border], other[..., border:]], dim=-1), _differing(truth, told)


def cut_off(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Move the picture so far that a hero in its middle is half outside."""
    width = shot.shape[-1]
    far = round(width * _between(0.36, 0.48, generator))
    columns = torch.arange(width, device=shot.device)
    direction = 1 if _between(0, 1, generator) < 0.5 else -1
    moved = shot[..., (columns - direction * far).clamp(0, width - 1)]
    return moved, _without(truth, (*WHO, "side", "framing", "feeling", "prop"))


def patched(
    shot: Tensor, truth: Answers, other: Tensor, told: Answers, generator: torch.Generator
) -> tuple[Tensor, Answers]:
    """Cover the middle, where heads are, with a patch of another shot."""
    height, width = shot.shape[-2:]
    rows, columns = (
        round(height * _between(0.22, 0.4, generator)),
        round(width * _between(0.15, 0.3, generator)),
    )
    top = round((height - rows) * _between(0.2, 0.5, generator))
    left = round((width - columns) * _between(0.35, 0.65, generator))
    covered = shot.clone()
    area = (..., slice(top, top + rows), slice(left, left + columns))
    covered[area] = other[area]
    return covered, _without(truth, (*WHO, "feeling", "prop", "action", "framing"))


_WAYS: Sequence[Way] = (blurred, melted, mixed, halved, cut_off, patched)


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _unclear(truth: Answers, questions: Sequence[str]) -> Answers:
    return truth | {name: UNCLEAR for name in questions if name in truth}


def _without(truth: Answers, questions: Sequence[str]) -> Answers:
    return {name: answer for name, answer in truth.items() if name not in questions}


def _differing(truth: Answers, other: Answers) -> Answers:
    return {name: answer if other.get(name) == answer else UNCLEAR for name, answer in truth.items()}
