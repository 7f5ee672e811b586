"""Where and how precisely to compute: each decision with its reason (`shotstream doctor`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

Value = TypeVar("Value")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BIG_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Choice(Generic[Value]):
    """A decision and why it was taken."""

    value: Value
    reason: str


def choose_device(name: str = "auto") -> Choice[torch.device]:
    """Choose the device to compute on.

    Args:
        name: ``auto`` (a CUDA GPU if there is one, else the CPU), or torch's name of a device.

    Raises:
        ValueError: If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return Choice(torch.device("cuda", 0), f"a CUDA GPU is here: {torch.cuda.get_device_name(0)}")
        return Choice(torch.device("cpu"), f"no CUDA GPU: {_why_no_cuda()}")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = f" ({_why_no_cuda()})" if name.startswith("cuda") else ""
        raise ValueError(f"There is no device {name!r} here{reason}; give auto or cpu.") from error
    return Choice(device, "asked for")


def choose_dtype(device: torch.device, name: str = "auto", stored_bytes: int = 0) -> Choice[torch.dtype]:
    """Choose the number format of weights and activations on `device`.

    Args:
        device: Where is computed.
        name: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        stored_bytes: Size of the model's weights on disk, if it is known.

    Raises:
        ValueError: If `name` is none of these.
    """
    if name != "auto":
        if name not in _DTYPES:
            raise ValueError(f"There is no number format {name!r} here; give auto, {', '.join(_DTYPES)}.")
        return Choice(_DTYPES[name], "asked for")
    if native := _native_bfloat16(device):
        return Choice(torch.bfloat16, f"native {native}, half the memory")
    if device.type == "cuda":
        return Choice(torch.float32, "this GPU has no native bfloat16, and float16 overflows in these models")
    if stored_bytes > _BIG_BYTES:
        size = f"{stored_bytes / 2**30:.1f} GiB"
        return Choice(torch.bfloat16, f"with weights of {size} memory counts for more than speed")
    return Choice(torch.float32, "fastest for small models where bfloat16 is not native")


def _native_bfloat16(device: torch.device) -> str | None:
    """Name what `device` multiplies bfloat16 with; None if it has nothing for it.

    Two AVX512-BF16 cores make chunks of mini twice as fast as in float32. A CPU without such instructions
    emulates them, up to 70 times slower.
    """
    if device.type == "cuda":
        return "on this GPU" if torch.cuda.get_device_capability(device) >= (8, 0) else None
    if device.type != "cpu":
        return None
    has = torch.cpu.get_capabilities()
    names = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
    return next((f"on this CPU, by {name}" for flag, name in names.items() if has.get(flag)), None)


def choose_attention() -> Choice[str]:
    """Name the attention back end that diffusers uses unless a model is told otherwise."""
    from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND  # takes long, and is asked for by doctor

    if DIFFUSERS_ATTN_BACKEND != "native":
        return Choice(DIFFUSERS_ATTN_BACKEND, "set by DIFFUSERS_ATTN_BACKEND")
    return Choice("native", "torch's own (SDPA) runs everywhere; DIFFUSERS_ATTN_BACKEND sets another")


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "this torch is built for the CPU"
    return f"torch is built for CUDA {torch.version.cuda}, but finds no GPU"
