"""Rotary position embedding with the shot discontinuity.

A head's channel pairs are turned by angles: the first by time, then by row, then by column. A cut adds
``shot_index * shot_theta`` to every time angle (method: RoPE discontinuity indicator). A turn is a complex
number of length 1, so the table is complex and applying it is one multiplication. Tables are made once and
sliced: while a story runs, none is worked out or brought to the device.

Legend: B batch, F latent frames, N tokens of one frame, H heads, d head size, P = d / 2 channel pairs.
"""

from __future__ import annotations

import cmath
from functools import lru_cache

import torch
from torch import Tensor


def time_pairs(head_dim: int) -> int:
    """Return how many channel pairs of a head turn with time: half of ``d - 4 (d // 6)``."""
    return head_dim // 2 - 2 * (head_dim // 6)


def _turns(positions: range, channels: int, base: float) -> Tensor:
    frequencies = base ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
    angles = torch.tensor(positions, dtype=torch.float64)[:, None] * frequencies  # [positions, pairs]
    return torch.polar(torch.ones_like(angles), angles)


@lru_cache(maxsize=16)
def _time_table(head_dim: int, base: float, reach: int, device: torch.device) -> Tensor:
    """Turns of the positions from -reach to reach - 1."""
    with torch.inference_mode(False):
        return _turns(range(-reach, reach), 2 * time_pairs(head_dim), base).to(device, torch.complex64)


def time_turns(head_dim: int, base: float, first_frame: int, frames: int, device: torch.device) -> Tensor:
    """Return the turns by time, complex64 [F, time pairs], worked out in float64.

    Args:
        head_dim: Head size d.
        base: Base of the geometric series of frequencies.
        first_frame: Position of the first frame.
        frames: Number F of frames.
        device: Where the table lives.
    """
    reach = max(1024, 1 << max(first_frame + frames, -first_frame).bit_length())
    return _time_table(head_dim, base, reach, device)[reach + first_frame :][:frames]


@lru_cache(maxsize=16)
def space_turns(head_dim: int, base: float, rows: int, columns: int, device: torch.device) -> Tensor:
    """Return the turns by row and column, complex64 [N, space pairs], worked out in float64."""
    with torch.inference_mode(False):
        channels = 2 * (head_dim // 6)
        by_row = _turns(range(rows), channels, base)[:, None].expand(-1, columns, -1)
        by_column = _turns(range(columns), channels, base)[None].expand(rows, -1, -1)
        return torch.cat([by_row, by_column], -1).flatten(0, 1).to(device, torch.complex64)


def rotary_table(
    time: Tensor, space: Tensor, shot_index: Tensor | int | None = None, shot_theta: float | None = None
) -> Tensor:
    """Combine the turns of a run of frames.

    Args:
        time: From :func:`time_turns`, [F, time pairs].
        space: From :func:`space_turns`, [N, space pairs].
        shot_index: Shot of the frames: one for all, [F] or [B, F]; None for no shift.
        shot_theta: Shift per shot in radians; None for no shift.

    Returns:
        Cosines and sines, float32 [1 or B, F, N, 1, P, 2].
    """
    if shot_theta is not None and shot_index is not None:
        time = time * _shot_turn(shot_index, shot_theta)
    time = time.reshape(-1, *time.shape[-2:])  # [1 or B, F, time pairs]
    batch, frames, tokens = time.shape[0], time.shape[1], space.shape[0]
    time = time.unsqueeze(2).expand(-1, -1, tokens, -1)
    space = space.expand(batch, frames, -1, -1)
    return torch.view_as_real(torch.cat([time, space], -1).unsqueeze(3))


def _shot_turn(shot_index: Tensor | int, shot_theta: float) -> Tensor | complex:
    if isinstance(shot_index, int):
        return cmath.exp(1j * shot_index * shot_theta)
    angle = shot_index.float() * shot_theta
    return torch.polar(torch.ones_like(angle), angle).unsqueeze(-1)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the adjacent channel pairs of queries or keys, in float32.

    Args:
        x: [..., d].
        turns: Cosines and sines, float32, broadcastable to [..., pairs, 2]; channels beyond its pairs stay as
            they are.

    Returns:
        Rotated ``x`` in its own dtype.
    """
    channels = 2 * turns.shape[-2]
    pairs = x[..., :channels].float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # compilers fuse real numbers only
        (real, imaginary), (cosine, sine) = pairs.unbind(-1), turns.unbind(-1)
        turned = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], -1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    turned = turned.flatten(-2).type_as(x)
    return turned if channels == x.shape[-1] else torch.cat([turned, x[..., channels:]], -1)
