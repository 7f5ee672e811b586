from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.streaming.timing import ShotTiming

pytestmark = pytest.mark.unit

timings = st.builds(
    ShotTiming,
    st.sampled_from([8.0, 12.0, 15.984, 16.0, 24.0]),
    st.sampled_from([2, 4, 8]),
    st.integers(1, 5),
)


def test_wan_shot_as_trained() -> None:
    timing = ShotTiming(fps=16, temporal_ratio=4, chunk_frames=3)
    assert timing.frames(7) == 81
    assert timing.seconds(7) == 5.0625
    assert [timing.chunks(seconds) for seconds in (0.01, 0.5625, 0.57, 5, 5.0625, 5.1)] == [1, 1, 2, 7, 7, 8]


@given(timings, st.integers(1, 300))
def test_asking_for_the_length_of_n_chunks_gives_n(timing: ShotTiming, chunks: int) -> None:
    assert timing.chunks(timing.seconds(chunks)) == chunks


@given(timings, st.floats(0.01, 600), st.integers(0, 20))
def test_the_fewest_chunks_that_last_so_long(timing: ShotTiming, seconds: float, after: int) -> None:
    before = timing.seconds(after) if after else 0
    chunks = timing.chunks(seconds, after=after)
    assert timing.seconds(after + chunks) >= before + seconds - 1e-4
    if chunks > 1:
        assert timing.seconds(after + chunks - 1) < before + seconds


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_impossible_lengths(seconds: float) -> None:
    with pytest.raises(ValueError, match="a shot cannot last"):
        ShotTiming(16, 4, 3).chunks(seconds)
