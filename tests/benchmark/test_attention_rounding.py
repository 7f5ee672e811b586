"""8-bit attention with each rounding by itself: nothing rounded is attention, and long sums lose the most."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from shotstream.benchmark.attention_rounding import EXACT, AttentionErrors, Rounding, attend_rounded
from shotstream.machine.attention_error import draw_attention
from shotstream.models.attention_float8 import attend_float8
from shotstream.models.float8 import FORMAT

pytestmark = pytest.mark.system

SHARP = torch.arange(8) % 2 == 0


@pytest.fixture(scope="module")
def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    query, key, value = draw_attention(8, 9000, 1, 64, torch.device("cpu"))
    return query, key, value


def worst(drawn, rounding: Rounding) -> float:
    errors = AttentionErrors.between(attend_rounded(*drawn, rounding), attend_rounded(*drawn, EXACT), SHARP)
    assert errors.heads_worst == [max(errors.sharp_worst, errors.other_worst)]
    return errors.heads_worst[0]


@pytest.mark.parametrize("cure", [{}, {"segment_keys": 1000}, {"centred": True}, {"centred_keys": True}])
def test_without_rounding_it_is_attention(drawn, cure: dict[str, Any]) -> None:
    rounding = Rounding(inputs=False, result=False, probability_scale=None, **cure)
    heads = [part.transpose(0, 1) for part in drawn]
    expected = scaled_dot_product_attention(*heads).transpose(0, 1)
    torch.testing.assert_close(attend_rounded(*drawn, rounding), expected, atol=2e-5, rtol=1e-4)


def test_inputs_and_result_are_rounded_as_the_kernel_for_cpus_rounds_them(drawn) -> None:
    found = attend_rounded(*drawn, Rounding(probability_scale=None, centred=True))
    query, key, value = (part.unsqueeze(0) for part in drawn)
    kernel = attend_float8(query, key.to(FORMAT), value.to(FORMAT))[0]
    assert ((found - kernel).norm() / kernel.norm()).item() < 0.02


def test_long_sums_of_few_bits_lose_the_most_and_centred_values_or_short_sums_do_not(drawn) -> None:
    rounded = worst(drawn, Rounding())
    long = worst(drawn, Rounding(sum_bits=11))
    assert long > 2 * rounded
    assert worst(drawn, Rounding(sum_bits=11, segment_keys=500)) < long / 2
    assert worst(drawn, Rounding(sum_bits=11, centred=True)) < long / 2
    assert worst(drawn, Rounding(sum_bits=23)) == pytest.approx(rounded, abs=2e-3)


def test_probabilities_need_a_scale(drawn) -> None:
    assert worst(drawn, Rounding(probability_scale=2.0**-4)) > 1.5 * worst(drawn, Rounding())


def test_scales_of_their_own_cost_no_precision(drawn) -> None:
    for tokens in (1, 500):
        assert worst(drawn, Rounding(scale_tokens=tokens)) < 1.5 * worst(drawn, Rounding())
