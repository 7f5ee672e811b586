from __future__ import annotations

import pytest
import torch

from shotstream.streaming.noise import noise

pytestmark = pytest.mark.unit


def test_same_key_gives_the_same_noise_whatever_else_draws() -> None:
    first = noise((7, 0, 1, 2, 3), (2, 3, 4))
    torch.manual_seed(1)
    torch.randn(5)
    assert torch.equal(noise([7, 0, 1, 2, 3], (2, 3, 4)), first)
    assert torch.equal(noise((7, 0, 1, 2, 3), (2, 3, 4), torch.bfloat16), first.bfloat16())


def test_every_part_of_the_key_counts() -> None:
    keys = [
        (0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0),
        (0, 1, 0, 0, 0),
        (0, 0, 0, 0, 1),
        (0, 0, 0, 0),
        (-1, 0, 0, 0, 0),
    ]
    draws = [noise(key, (64,)) for key in keys]
    assert not any(torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_noise_is_standard_normal() -> None:
    sample = noise((0,), (100_000,))
    assert abs(sample.mean()) < 0.02
    assert abs(sample.std() - 1) < 0.02


def test_noise_stays_what_it_is() -> None:
    """Stories are remade from their seeds: a change of this figure breaks every story told so far."""
    assert noise((0, 0, 0, 0, 0), (3,)).tolist() == pytest.approx([-0.4196370, 1.5636187, -0.6077486])
