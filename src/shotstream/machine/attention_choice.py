"""Which attention is fastest here, found by trying: torch's kernels by name, and diffusers' back ends."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from shotstream.machine.device import Choice, choose_attention
from shotstream.models.attention import Attention, SelfAttention

KERNELS = {
    "torch-cudnn": SDPBackend.CUDNN_ATTENTION,
    "torch-flash": SDPBackend.FLASH_ATTENTION,
    "torch-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
"""Kernels of torch's own attention by name. diffusers' back ends of these copy the cache for cuDNN, and
``native`` leaves it to torch which kernel runs: another version, or a variable, may choose otherwise."""
CANDIDATES = {
    "cuda": (*KERNELS, "flash", "_flash_3"),
    "cpu": ("native", "_native_flash"),
}
"""Tried in this order; of equals (within 2 %) the first wins."""
LARGEST_ERROR = 0.02
"""Relative to torch's own choice; more would be another computation, not other rounding."""


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
        One of `KERNELS`, or the name of one of diffusers' back ends, and what was measured.
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
    expected = dispatch_attention_fn(query, key, value, backend=AttentionBackendName.NATIVE)
    for name in CANDIDATES[device.type]:
        try:
            result, seconds[name] = _time(query, key, value, name)
        except Exception:  # not installed, not for this device or these shapes: each back end has its own way
            failed.append(name)
            continue
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
    """Have this network use one of `KERNELS`, or one of diffusers' back ends.

    What the kernel cannot do is done by the next one in the order of `KERNELS`, and last by plain products.
    diffusers' own way to choose a back end changes it for every model of the process.
    """
    kernels = (KERNELS[name], *KERNELS.values(), SDPBackend.MATH) if name in KERNELS else ()
    for module in network.modules():
        if isinstance(module, Attention):
            module.processor._attention_backend = _back_end(name)
            module.processor.kernels = tuple(dict.fromkeys(kernels))


def use_float8_attention(network: nn.Module, wanted: bool = True) -> None:
    """Have attention to 8-bit caches computed in 8 bits, or not."""
    for module in network.modules():
        if isinstance(module, SelfAttention):
            module.float8 = wanted


def _back_end(name: str) -> AttentionBackendName:
    return AttentionBackendName.NATIVE if name in KERNELS else AttentionBackendName(name)


def _time(query: Tensor, key: Tensor, value: Tensor, name: str, repeats: int = 3) -> tuple[Tensor, float]:
    """Run attention after one run to warm up; return the result and the median seconds."""
    device, backend = torch.get_device_module(query.device), _back_end(name)
    with sdpa_kernel(KERNELS[name]) if name in KERNELS else nullcontext():
        result, seconds = dispatch_attention_fn(query, key, value, backend=backend), []
        for _ in range(repeats):
            device.synchronize()
            started = time.perf_counter()
            result = dispatch_attention_fn(query, key, value, backend=backend)
            device.synchronize()
            seconds.append(time.perf_counter() - started)
    return result, sorted(seconds)[repeats // 2]
