"""How far 8-bit attention is from torch's own on this machine, found in a process of its own.

A kernel that fails on a GPU can end the process, or leave the GPU unusable to it. So the first try is made
where nothing else is lost::

    python -m shotstream.machine.attention_error LENGTHS HEADS HEAD_DIM DTYPE DEVICE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from math import nan

import torch
import torch.nn.functional as functional
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

from shotstream.models.attention_float8 import attend_float8
from shotstream.models.float8 import FORMAT

_MOST_SECONDS = 120
"""For importing, planning and running."""


def float8_attention_error_apart(
    lengths: Sequence[tuple[int, int]], heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> float:
    """The same as `float8_attention_error`, in a process of its own.

    Raises:
        RuntimeError: If it fails there, with the reason.
        subprocess.TimeoutExpired: If it takes too long.
    """
    given = [json.dumps(lengths), str(heads), str(head_dim), str(dtype).removeprefix("torch."), str(device)]
    command = [sys.executable, "-m", __name__, *given]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_SECONDS, env=environment)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"its process ended with status {done.returncode}: {''.join(last)}")
    found = json.loads(done.stdout.splitlines()[-1])
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


@torch.no_grad()
def float8_attention_error(
    lengths: Sequence[tuple[int, int]], heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> float:
    """Compare 8-bit attention with torch's own on numbers as a model has them (`draw_attention`).

    Behind the last key the cache holds NaN, which must not be read.

    Args:
        lengths: Tokens of a pass, and all that they see, for each attention to try.
        heads: Heads H.
        head_dim: Head size d.
        dtype: Of what is compared with.
        device: Where.

    Returns:
        The largest error of a token's head: the norm of the difference by the norm of the expected. NaN if
        any of them is.
    """
    return torch.stack([_error(*tokens, heads, head_dim, dtype, device) for tokens in lengths]).max().item()


def _error(
    query_tokens: int, key_tokens: int, heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    drawn = draw_attention(query_tokens, key_tokens, heads, head_dim, device)
    query, key, value = (part.to(dtype).unsqueeze(0) for part in drawn)
    stored = [functional.pad(part, (0, 0, 0, 0, 0, 64), value=nan).to(FORMAT) for part in (key, value)]
    found = attend_float8(query, *(part[:, :key_tokens] for part in stored)).float()
    expected = dispatch_attention_fn(query, key, value, backend=AttentionBackendName("native")).float()
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max()


def draw_attention(
    query_tokens: int, key_tokens: int, heads: int, head_dim: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw numbers as a model has them.

    Queries and keys are RMS-normed over all heads; rotation would change no norm. Channels of values have
    means. Every second query, the first among them, equals a key, from the first key to the last, which gets
    a large part of its attention.

    Returns:
        Queries float32 ``[tokens, H, d]``, and keys and values.
    """
    generator = torch.Generator(device).manual_seed(0)

    def draw(tokens: int) -> Tensor:
        return torch.randn(tokens, heads * head_dim, device=device, generator=generator)

    query, key = (functional.rms_norm(x, x.shape[-1:]) for x in (draw(query_tokens), draw(key_tokens)))
    sharp = torch.linspace(0, key_tokens - 1, (query_tokens + 1) // 2, device=device).round().long()
    query[::2] = key[sharp]
    value = draw(key_tokens) + 0.5 * draw(1)
    query, key, value = (part.unflatten(-1, (heads, head_dim)) for part in (query, key, value))
    return query, key, value


if __name__ == "__main__":
    lengths, heads, head_dim, dtype, device = sys.argv[1:]
    given = (json.loads(lengths), int(heads), int(head_dim), getattr(torch, dtype), torch.device(device))
    try:
        found: float | str = float8_attention_error(*given)
    except Exception as error:  # no such package, no such attention on this device, no memory
        found = f"{type(error).__name__}: {error}"
    print(json.dumps(found))
