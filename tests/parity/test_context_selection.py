"""Which frames are remembered agrees with the published implementation."""

from __future__ import annotations

from itertools import accumulate

import pytest

from shotstream.streaming.context_frames import select_frames

from .conftest import Golden

pytestmark = pytest.mark.law


def test_context_selection(golden: Golden) -> None:
    cases = golden.facts["context_frame_selection"]
    assert cases
    for case in cases:
        chosen = select_frames(case["shot_frames"], case["budget"])
        first = [0, *accumulate(case["shot_frames"])]
        assert [shot for shot, _ in chosen] == case["shot_index"]
        assert [first[shot] + frame for shot, frame in chosen] == case["frame_indices"]
        assert [[shot for shot, _ in chosen].count(i) for i in range(len(case["counts"]))] == case["counts"]
