"""Which of diffusers' attention back ends is fastest here, found by trying those that run."""

from __future__ import annotations

import time

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor, nn

from shotstream.machine.device import Choice, choose_attention
from shotstream.models.attention import Attention, SelfAttention

CANDIDATES = {
    "cuda": ("native", "_native_cudnn", "_native_flash", "flash", "_flash_3"),
    "cpu": ("native", "_native_flash"),
}
"""Tried in this order; of equals (within 2 %) the first wins."""
LARGEST_ERROR = 0.02
"""Relative to the first candidate; more would be another computation, not other rounding."""


@torch.no_grad()
def fastest_attention(
    query_tokens: int, key_tokens: int, heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> Choice[str]:
    """Time the back ends on the attention that a chunk needs most.

    Args:
        query_tokens: Tokens of a chunk.
        key_tokens: All that they see.
        heads: Heads H.
        head_dim: Head size d.
        dtype: Of queries, keys and values.
        device: Where.

    Returns:
        The name of a back end, and what was measured.
    """
    asked = choose_attention()
    if asked.value != "native" or device.type not in CANDIDATES:
        return asked
    shapes = [(1, count, heads, head_dim) for count in (query_tokens, key_tokens, key_tokens)]
    generator = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(shape, device=device, dtype=dtype, generator=generator) for shape in shapes
    )
    seconds: dict[str, float] = {}
    failed: list[str] = []
    expected: Tensor | None = None
    for name in CANDIDATES[device.type]:
        try:
            result, seconds[name] = _time(query, key, value, AttentionBackendName(name))
        except Exception:  # not installed, not for this device or these shapes: each back end has its own way
            failed.append(name)
            continue
        expected = result if expected is None else expected
        if not (result - expected).abs().max() <= LARGEST_ERROR * expected.abs().max():  # no number, too
            failed.append(name)
            del seconds[name]
    if not seconds:
        return asked
    best = min(seconds, key=lambda name: seconds[name])
    name = next(name for name in seconds if seconds[name] <= 1.02 * seconds[best])
    measured = ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in seconds.items())
    lacking = f"; not here: {', '.join(failed)}" if failed else ""
    return Choice(name, f"{measured} for {query_tokens} x {key_tokens} tokens{lacking}")


def use_attention(network: nn.Module, name: str) -> None:
    """Have this network use a back end; diffusers' own way changes it for every model of the process."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.processor._attention_backend = AttentionBackendName(name)


def use_float8_attention(network: nn.Module, wanted: bool = True) -> None:
    """Have attention to 8-bit caches computed in 8 bits, or not."""
    for module in network.modules():
        if isinstance(module, SelfAttention):
            module.float8 = wanted


def _time(
    query: Tensor, key: Tensor, value: Tensor, backend: AttentionBackendName, repeats: int = 3
) -> tuple[Tensor, float]:
    """Run attention after one run to warm up; return the result and the median seconds."""
    device = torch.get_device_module(query.device)
    result, seconds = dispatch_attention_fn(query, key, value, backend=backend), []
    for _ in range(repeats):
        device.synchronize()
        started = time.perf_counter()
        result = dispatch_attention_fn(query, key, value, backend=backend)
        device.synchronize()
        seconds.append(time.perf_counter() - started)
    return result, sorted(seconds)[repeats // 2]
