"""A LoRA file with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

EVERYWHERE = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn2.to_q", "attn2.to_k", "ffn.net.2")


def write_lora(
    path: Path, transformer: torch.nn.Module, layers=EVERYWHERE, seed: int = 0, dora: bool = False
) -> Path:
    """A random LoRA of rank 2 of these layers of every block."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    for name, module in transformer.named_modules():
        if name.startswith("blocks.") and name.split(".", 2)[-1] in layers:
            outputs, inputs = module.weight.shape
            weights[f"{name}.lora_A.weight"] = torch.randn(2, inputs, generator=generator)
            weights[f"{name}.lora_B.weight"] = 0.2 * torch.randn(outputs, 2, generator=generator)
            if dora:
                weights[f"{name}.lora_magnitude_vector"] = 0.5 + torch.rand(outputs, generator=generator)
    assert weights
    save_file(weights, path)
    return path
