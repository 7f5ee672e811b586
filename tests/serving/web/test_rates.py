from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.serving.web.rates import Allowance, Allowances
from tests.serving.conftest import Clock

pytestmark = pytest.mark.system


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    allowance = Allowance(2.0, 3, clock)
    assert [allowance.take() for _ in range(5)] == [True, True, True, False, False]
    clock.now = 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]


@given(st.lists(st.floats(0, 3), max_size=80), st.floats(0.1, 10), st.integers(1, 20))
def test_never_more_than_the_rate(waits: list[float], per_second: float, at_once: int) -> None:
    clock = Clock()
    allowance, taken = Allowance(per_second, at_once, clock), 0
    for wait in waits:
        clock.now += wait
        taken += allowance.take()
        assert taken <= at_once + clock.now * per_second + 1e-6
    clock.now += at_once / per_second + 1e-6
    assert sum(allowance.take() for _ in range(at_once)) == at_once


def test_every_client_has_its_own_and_the_quiet_ones_are_forgotten() -> None:
    allowances = Allowances(0.001, 1, most_clients=2)
    assert allowances.take("a")
    assert not allowances.take("a")
    assert allowances.take("b")
    assert not allowances.take("a")
    assert allowances.take("c")
    assert len(allowances._clients) == 2
    assert not allowances.take("a")
