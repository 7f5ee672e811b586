from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shotstream.streaming.context_frames import ContextFrame, ContextFrames, fit_picture, select_frames

pytestmark = pytest.mark.unit

lengths = st.integers(1, 20).map(lambda k: 1 + 4 * k)


def film(shot: int, frames: int) -> np.ndarray:
    """A shot whose every picture tells its shot and number."""
    pictures = np.zeros((frames, 2, 2, 3), np.uint8)
    pictures[..., 0], pictures[..., 1] = shot, np.arange(frames)[:, None, None]
    return pictures


def remember(memory: ContextFrames, shot: int, frames: int) -> None:
    memory.remember(shot, 0, [f"shot {shot}"] * frames, film(shot, frames).__getitem__)


@given(st.lists(lengths, max_size=20), st.integers(0, 8))
def test_selection_spends_the_budget_in_story_order(shot_frames: list[int], budget: int) -> None:
    chosen = select_frames(shot_frames, budget)
    assert len(chosen) == (budget if shot_frames else 0)
    assert chosen == sorted(chosen)
    assert all(0 <= frame < shot_frames[shot] for shot, frame in chosen)
    if 0 < len(shot_frames) <= budget:
        assert {shot for shot, _ in chosen} == set(range(len(shot_frames)))


@settings(deadline=None, max_examples=40)
@given(st.lists(lengths, min_size=1, max_size=14), st.integers(1, 6), st.integers(0, 5), st.data())
def test_memory_has_what_the_rule_asks_for(shot_frames, budget, history, data) -> None:
    """Dropping frames never shows: every choice is what it would be had all frames been kept."""
    memory = ContextFrames(budget, history)
    for shot, frames in enumerate(shot_frames):
        remember(memory, shot, frames)
        asked = data.draw(st.integers(memory.oldest_retake, shot + 1))
        chosen = memory.choose(asked)
        assert [frame.key for frame in chosen] == select_frames(shot_frames[:asked], budget)
        assert [(f.pixels[0, 0, 0], f.pixels[0, 0, 1], f.prompt) for f in chosen] == [
            (f.shot, f.frame, f"shot {f.shot}") for f in chosen
        ]


@settings(deadline=None, max_examples=40)
@given(st.lists(lengths, min_size=1, max_size=14), st.integers(1, 6), st.integers(1, 5), st.data())
def test_shots_that_are_left_out_are_passed_over(shot_frames, budget, history, data) -> None:
    memory = ContextFrames(budget, history)
    for shot, frames in enumerate(shot_frames):
        remember(memory, shot, frames)
    shots = range(len(shot_frames))
    out = data.draw(st.sets(st.sampled_from(shots)))
    twin = memory.copy()
    for shot in out:
        twin.leave_out(shot)
    chosen = twin.choose(len(shots))
    assert not out & {frame.shot for frame in chosen}
    kept = {frame.shot for frame in memory.frames}
    ruled = select_frames([shot_frames[shot] for shot in shots if shot not in out], budget)
    left = [shot for shot in shots if shot not in out]
    assert [frame.shot for frame in chosen] == [left[place] for place, _ in ruled if left[place] in kept]
    for shot in out & kept:
        remember(twin, shot, shot_frames[shot])
    assert not twin.left_out & kept
    assert not memory.left_out


@settings(deadline=None, max_examples=40)
@given(st.lists(lengths, min_size=2, max_size=9), st.integers(1, 6), st.data())
def test_what_is_foreseen_comes_true(shot_frames, budget, data) -> None:
    """For a new shot or a retake, made in part or whole; pins and shots that are left out count too."""
    memory = ContextFrames(budget)
    for shot, frames in enumerate(shot_frames[:-1]):
        remember(memory, shot, frames)
    if budget > 1:
        memory.pin(data.draw(st.sampled_from(memory.frames)))
    running = data.draw(st.integers(0, len(shot_frames) - 1))
    length = shot_frames[-1]
    made = data.draw(st.integers(0, length))
    own = [ContextFrame(picture, running, 1, frame, "") for frame, picture in enumerate(film(99, made))]
    before = list(memory.frames), list(memory.shot_frames)
    foreseen = memory.foresee(running, length, lambda frame: own[frame] if frame < made else None)
    assert before == (memory.frames, memory.shot_frames)
    memory.remember(running, 1, [""] * length, film(99, length).__getitem__, dict(enumerate(own)))
    chosen = memory.choose(len(memory.shot_frames))
    there = [frame for frame in chosen if frame in memory.pins or frame.shot != running or frame.frame < made]
    assert all(a is b for a, b in zip(foreseen, there, strict=True))


def test_memory_is_flat_however_long_the_story() -> None:
    memory, kept = ContextFrames(6, history_shots=4), []
    for shot in range(40):
        remember(memory, shot, 81)
        kept.append(len(memory.frames))
    assert max(kept) <= 30
    assert len(set(kept[15:])) == 1
    assert all(frame.pixels.base is None for frame in memory.frames), "a picture must not keep its shot alive"


def test_a_new_take_replaces_the_frames_of_its_shot_only() -> None:
    memory = ContextFrames(6)
    for shot in range(3):
        remember(memory, shot, 33)
    before = memory.choose(3)
    memory.remember(1, 1, ["anew"] * 21, film(99, 21).__getitem__)
    after = memory.choose(3)
    assert [frame.pixels[0, 0, 0] for frame in after] == [0, 0, 99, 99, 2, 2]
    assert [frame.key for frame in after[2:4]] == [(1, 0), (1, 20)]
    assert after[0] is before[0]
    assert after[5] is before[5]


def test_pins_come_first_and_the_rule_gets_the_rest() -> None:
    memory = ContextFrames(3)
    for shot in range(3):
        remember(memory, shot, 33)
    memory.pin(memory.find(0, 32))
    for shot in range(3, 9):
        remember(memory, shot, 33)
    assert [frame.key for frame in memory.choose(9)] == [(0, 32), (7, 0), (8, 0)]
    assert [frame.key for frame in memory.choose(0)] == [], "a shot is not made from what comes after it"
    memory.unpin((0, 32))
    assert [frame.key for frame in memory.choose(9)] == [(6, 0), (7, 0), (8, 0)]


def test_references_serve_the_first_shot_too_and_fill_at_most_the_budget() -> None:
    memory = ContextFrames(2)
    for number in (1, 2):
        memory.pin(ContextFrame(film(0, 1)[0], 0, 0, -number, None))
    assert [frame.key for frame in memory.choose(0)] == [(0, -2), (0, -1)]
    with pytest.raises(ValueError, match="all 2 remembered frames are pinned already"):
        memory.pin(ContextFrame(film(0, 1)[0], 0, 0, -3, None))
    with pytest.raises(ValueError, match="frame 4 of shot 0 is not remembered; nothing of that shot is"):
        memory.find(0, 4)


def test_a_branch_and_its_origin_do_not_disturb_one_another() -> None:
    memory = ContextFrames(6)
    for shot in range(4):
        remember(memory, shot, 33)
    branch = memory.first(2)
    assert [frame.key for frame in branch.choose(2)] == [frame.key for frame in memory.choose(2)]
    branch.remember(1, 0, [""] * 33, film(50, 33).__getitem__)
    branch.pin(branch.find(0, 0))
    assert memory.pins == []
    assert {frame.pixels[0, 0, 0] for frame in memory.choose(4)} == {0, 1, 2, 3}


def test_any_selection_slots_in() -> None:
    memory = ContextFrames(2, select=lambda shot_frames, budget: [(0, 0)][:budget] if shot_frames else [])
    for shot in range(12):
        remember(memory, shot, 9)
    assert [frame.key for frame in memory.choose(12)] == [(0, 0)]
    assert len(memory.frames) == 1


def test_pictures_are_fitted_around_their_middle() -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200
    assert (fit_picture(wide, 4, 4) == 200).all()
    assert fit_picture(Image.new("RGBA", (9, 5)), 8, 16).shape == (8, 16, 3)
    with pytest.raises(ValueError, match=r"float64 \[4, 4, 3\]"):
        fit_picture(np.zeros((4, 4, 3)), 8, 8)
