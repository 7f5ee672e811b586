from __future__ import annotations

import pytest
import torch

from shotstream.machine.attention_error import float8_attention_error, float8_attention_error_apart

pytestmark = pytest.mark.system

GIVEN = ([(30, 30), (30, 90)], 2, 16, torch.bfloat16, torch.device("cpu"))


def test_the_error_of_eight_bit_attention_is_that_of_rounding():
    assert 0.02 < float8_attention_error(*GIVEN) < 0.1


@pytest.mark.long
def test_another_process_finds_the_same():
    assert float8_attention_error_apart(*GIVEN) == float8_attention_error(*GIVEN)


@pytest.mark.long
def test_what_fails_there_fails_there_alone():
    device = torch.device("cuda", 99)
    with pytest.raises(RuntimeError, match=r"(?i)cuda"):
        float8_attention_error_apart(*GIVEN[:-1], device)
