"""Where and how precisely to compute: each decision with its reason (`shotstream doctor`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND

Value = TypeVar("Value")


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


def choose_dtype(device: torch.device) -> Choice[torch.dtype]:
    """Choose the number format of weights and activations on `device`."""
    if device.type != "cuda":
        return Choice(torch.float32, "fastest for small models without a GPU")
    if torch.cuda.get_device_capability(device) >= (8, 0):
        return Choice(torch.bfloat16, "native on this GPU, half the memory")
    return Choice(torch.float32, "this GPU has no native bfloat16, and float16 overflows in these models")


def choose_attention() -> Choice[str]:
    """Name the attention back end that diffusers uses unless a model is told otherwise."""
    if DIFFUSERS_ATTN_BACKEND != "native":
        return Choice(DIFFUSERS_ATTN_BACKEND, "set by DIFFUSERS_ATTN_BACKEND")
    return Choice("native", "torch's own (SDPA) runs everywhere; DIFFUSERS_ATTN_BACKEND sets another")


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "this torch is built for the CPU"
    return f"torch is built for CUDA {torch.version.cuda}, but finds no GPU"
