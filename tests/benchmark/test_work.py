"""Counts of what the networks do, which are the same on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import conv3d, linear, scaled_dot_product_attention

import shotstream
from shotstream.benchmark.work import KINDS, LIGHT, WORK, Work, WorkCounter, count_wan

BASELINE = Path(shotstream.__file__).parents[2] / "benchmarks" / "baselines" / "work-wan-1.3b-480x832.json"


@pytest.mark.unit
def test_products_attention_and_convolutions_are_counted():
    rows, weight, bias = torch.zeros(5, 7), torch.zeros(3, 7), torch.zeros(3)
    queries, keys = torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 9, 8)
    with torch.no_grad(), WorkCounter() as counter:
        linear(rows, weight, bias)
        scaled_dot_product_attention(queries, keys, keys)
        conv3d(torch.zeros(1, 2, 3, 4, 5), torch.zeros(6, 2, 3, 1, 1))
    found = counter.by_kind
    assert found["products"] == Work(operations=1, flop=2 * 5 * 7 * 3, bytes=4 * (35 + 21 + 3 + 15))
    assert found["attention"].flop == 2 * 2 * (5 * 9 * 8) * 2
    assert found["convolutions"].flop == 2 * (6 * 4 * 5) * (2 * 3)
    assert LIGHT in found  # the zeros


@pytest.mark.unit
def test_views_and_empty_tensors_are_no_work_and_repeated_numbers_are_read_once():
    x = torch.zeros(4, 6)
    with WorkCounter() as counter:
        torch.empty_like(x.view(24)[2:].unflatten(0, (-1, 2)).T)
    assert not counter.by_kind
    with WorkCounter() as counter:
        x.add_(torch.zeros(6, dtype=torch.float64).expand(4, 6))
        x.copy_(x[0].expand(4, 6))
    light = counter.by_kind[LIGHT]
    assert light.operations == 3
    made, added, copied = 8 * 6, 4 * 24 + 8 * 6 + 4 * 24, 4 * 6 + 4 * 24
    assert light.bytes == made + added + copied


@pytest.mark.system
def test_wan_does_as_much_as_its_baseline_says():
    """Nothing here needs the host to wait for a number: fake tensors have none."""
    expected = WORK.validate_json(BASELINE.read_bytes())
    found = count_wan()
    assert list(found) == list(expected)
    for name, kinds in found.items():
        assert kinds == expected[name], f"{name}: write the baseline anew if this is meant (bench work -o)"
    assert {kind for kinds in found.values() for kind in kinds} == {*KINDS, LIGHT}
