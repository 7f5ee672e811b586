from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.benchmark.stopwatch import TimedChunk, measure, pace

pytestmark = pytest.mark.system

chunks = st.builds(
    lambda frames, seconds, share: TimedChunk(frames, seconds, {"denoise": seconds * share}),
    st.integers(1, 12),
    st.floats(0.01, 10),
    st.floats(0, 1),
)
stories = st.lists(st.lists(chunks, min_size=1, max_size=5), min_size=1, max_size=5)


@given(stories)
def test_stages_and_rest_are_the_whole(told):
    found = pace(told, 16.0)
    seconds = sum(chunk.seconds for shot in told for chunk in shot)
    assert sum(found["stage_seconds"].values()) == pytest.approx(seconds)
    frames = sum(chunk.frames for shot in told for chunk in shot)
    assert found["frames_per_second"] == pytest.approx(frames / seconds)
    assert found["times_film_pace"] == pytest.approx(frames / seconds / 16)


@given(stories)
def test_percentiles_are_in_order_and_within_the_times(told):
    found = pace(told, 16.0)
    times = sorted(chunk.seconds for shot in told for chunk in shot)
    in_order = [times[0], *(found[f"chunk_{p}_seconds"] for p in ("p50", "p95", "p99")), times[-1]]
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(in_order))


def test_next_shot_is_the_median_cut_and_needs_one():
    told = [[TimedChunk(9, seconds, {}), TimedChunk(12, 1.0, {})] for seconds in (9.0, 2.0, 4.0, 30.0)]
    assert pace(told, 16.0)["next_shot_seconds"] == 4.0
    assert pace(told, 16.0)["first_frame_warm_seconds"] == 9.0
    assert pace(told[:1], 16.0)["next_shot_seconds"] is None


@pytest.mark.parametrize("transformer_only", [False, True])
def test_a_story_is_measured(tiny, make_settings, transformer_only):
    figures = measure(tiny, make_settings(transformer_only=transformer_only))
    assert [len(shot) for shot in figures.chunk_seconds] == [3, 3, 3]
    seconds = sum(map(sum, figures.chunk_seconds))
    assert figures.frames_per_second == pytest.approx(3 * 33 / seconds)
    stages = {"captions", "context", "denoise", "commit"} if transformer_only else {"denoise", "decode"}
    assert stages <= figures.stage_seconds.keys()
    assert (figures.graph_breaks, figures.recompilations) == (0, 0)
    assert figures.peak_memory_bytes > 2**20


def test_shown_and_full_frames_are_two_figures(tiny, make_settings):
    live = measure(tiny, make_settings(decoder="tiny"))
    assert live.full_frames_per_second is not None
    assert live.full_frames_per_second > 0
    seconds = sum(map(sum, live.chunk_seconds))
    assert live.frames_per_second == pytest.approx(3 * 33 / seconds)  # nobody asked for full frames there
    assert measure(tiny, make_settings()).full_frames_per_second is None
    told = [[TimedChunk(9, 1.0, {}), TimedChunk(12, 2.0, {})]]
    assert pace(told, 16.0)["frames_per_second"] == 7.0


def test_a_decoder_that_is_not_there_is_refused(tiny, make_settings):
    with pytest.raises(ValueError, match="decoder"):
        measure(tiny, make_settings(decoder="unheard-of"))
