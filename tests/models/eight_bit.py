"""Whether this torch has 8-bit products."""

from __future__ import annotations

import torch
from torch import nn

from shotstream.models.float8 import Float8Linear


def can_multiply() -> bool:
    try:
        Float8Linear(nn.Linear(16, 16).bfloat16())(torch.ones(1, 16))
    except RuntimeError:
        return False
    return True
