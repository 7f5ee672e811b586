from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotstream.models.rope import rotary_table, rotate, space_turns, time_pairs, time_turns

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


@given(st.integers(3, 64).map(lambda n: 2 * n))
def test_time_rows_and_columns_share_out_all_pairs(head_dim: int):
    assert time_pairs(head_dim) + space_turns(head_dim, 1e4, 2, 3, CPU).shape[1] == head_dim // 2


def test_angles_are_those_of_the_method():
    head_dim, frame, shot, theta = 24, 7, 3, 1 / 6
    table = rotary_table(
        time_turns(head_dim, 1e4, frame, 1, CPU), space_turns(head_dim, 1e4, 2, 3, CPU), shot, theta
    )
    row, column = 1, 2
    time = [frame * 1e4 ** (-2 * j / 8) + shot * theta for j in range(4)]
    space = [p * 1e4 ** (-2 * j / 8) for p in (row, column) for j in range(4)]
    expected = torch.tensor([complex(math.cos(a), math.sin(a)) for a in time + space], dtype=torch.complex64)
    torch.testing.assert_close(torch.view_as_complex(table)[0, 0, row * 3 + column, 0], expected)


@given(st.integers(0, 40), st.integers(1, 5), st.sampled_from([8, 16, 24]))
def test_one_index_equals_an_index_for_every_frame(shot: int, frames: int, head_dim: int):
    time, space = time_turns(head_dim, 1e4, 2, frames, CPU), space_turns(head_dim, 1e4, 2, 2, CPU)
    single = rotary_table(time, space, shot, 0.3)
    for index in (torch.full((frames,), shot), torch.full((1, frames), shot)):
        torch.testing.assert_close(rotary_table(time, space, index, 0.3), single, atol=1e-5, rtol=0)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(-300, 300))
def test_only_distances_in_time_matter(query_frame: int, key_frame: int, shift: int):
    query, key = torch.randn(2, 1, 1, 1, 24, generator=torch.Generator().manual_seed(0))

    def score(offset: int) -> torch.Tensor:
        turned = [
            rotate(x, torch.view_as_real(time_turns(24, 1e4, frame + offset, 1, CPU)))
            for x, frame in ((query, query_frame), (key, key_frame))
        ]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(score(shift), score(0), atol=1e-4, rtol=0)


def test_channels_beyond_the_table_stay():
    x = torch.randn(2, 3, 4, 24)
    turned = rotate(x, torch.view_as_real(time_turns(24, 1e4, 5, 1, CPU)))
    assert torch.equal(turned[..., 8:], x[..., 8:])
    assert not torch.allclose(turned[..., :8], x[..., :8])


def test_tables_made_in_inference_mode_serve_training():
    with torch.inference_mode():
        turns = time_turns(24, 12345.0, 0, 1, CPU)
    x = torch.randn(1, 24, requires_grad=True)
    rotate(x, torch.view_as_real(turns)).sum().backward()
    assert x.grad is not None
