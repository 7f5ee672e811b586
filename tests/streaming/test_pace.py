from __future__ import annotations

import pytest

from shotstream.story import Story
from shotstream.streaming.pace import Pace

pytestmark = pytest.mark.unit

STORY = Story.model_validate(
    {"setting": "a red fox", "shots": [{"prompt": "runs", "chunks": 2}, {"prompt": "sleeps", "chunks": 1}]}
)


def test_pace_counts_the_time_of_making_only(pipeline):
    pace = Pace()
    assert (pace.facts(), pace.summary(), pace.seconds_left(9)) == ({}, "", None)
    for _ in pace.watch(pipeline.stream(STORY)):
        pass
    facts = pace.facts()
    assert (pace.frames, pace.fps) == (18, 8.0)
    assert 0 < facts["first_frame_seconds"] <= round(pace.generating_seconds, 3)
    assert facts["times_real_time"] == pytest.approx(facts["frames_per_second"] / 8, abs=0.01)
    assert pace.seconds_left(36) == pytest.approx(2 * pace.generating_seconds)


def test_what_was_made_before_does_not_count(pipeline):
    pace = Pace()
    assert len(list(pace.watch(pipeline.stream(STORY), lambda chunk: chunk.shot == 1))) == 3
    assert pace.frames == 5
