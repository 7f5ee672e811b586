"""The rule by words: what a shot needs is remembered by more frames, always the same, and never too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.streaming.context_frames import ContextFrames, select_frames
from shotstream.streaming.memory_rules import by_words, find_rule

pytestmark = pytest.mark.unit

SETTING = "A red cat with a crown and a blue bear are on a beach at night."
CAT, BEAR, BOTH = "Close up of the cat.", "Close up of the bear.", "Close up of the cat and the bear."


def counts(prompt, earlier, budget=6):
    return [share.frames for share in by_words(SETTING, prompt, earlier, budget)]


def test_who_is_needed_is_remembered_by_more_frames():
    assert counts(CAT, [BEAR, CAT, BEAR])[1] == 3
    assert counts(CAT, [BEAR, CAT, BEAR, CAT])[1::2] == [3, 3]


def test_large_figures_are_worth_more_than_small_ones_and_one_alone_more_than_several():
    _, wide, close, _ = counts(CAT, [CAT, "Wide shot of the cat.", CAT, BEAR], 2)
    assert close > wide
    _, both, alone, _ = counts(CAT, [CAT, BOTH, CAT, BEAR], 2)
    assert alone > both


def test_words_of_the_drawn_world_that_mean_the_same_are_one():
    assert counts("The kitten waves.", [BEAR, CAT, BEAR]) == counts("The cat waves.", [BEAR, CAT, BEAR])


def test_other_words_count_too():
    told = ["She opens the door.", "A dog sleeps.", "The door is shut."]
    opened, slept, shut = counts("She knocks at the door.", told, 5)
    assert min(opened, shut) > slept


def test_the_reason_is_said():
    shares = by_words(SETTING, "Wide shot of the cat.", [BOTH, BEAR, "Medium shot of the cat."], 6)
    assert [share.why for share in shares] == [
        "first shows cat, close up",
        "shows the place",
        "shows cat, medium shot",
    ]


PROMPTS = st.lists(st.sampled_from([CAT, BEAR, BOTH, "Rain.", "Wide shot.", "", "Ärger überall"]), max_size=9)


@given(PROMPTS, st.sampled_from([CAT, BOTH, "Nobody."]), st.integers(0, 6))
def test_the_whole_budget_is_shared_and_no_more(earlier, prompt, budget):
    shares = counts(prompt, earlier, budget)
    assert len(shares) == len(earlier)
    assert sum(shares) == (budget if earlier else 0)
    assert shares == counts(prompt, earlier, budget)


def test_an_unknown_rule_is_refused():
    assert find_rule("spread", SETTING) is None
    with pytest.raises(ValueError, match="'dreams' is unknown; use spread or words"):
        find_rule("dreams", SETTING)


def picture(frame):
    return np.full((1, 1, 3), frame, np.uint8)


def told(prompts, rule="words", budget=6, frames=9):
    context = ContextFrames(budget, rule=find_rule(rule, SETTING))
    for shot, prompt in enumerate(prompts):
        context.remember(shot, 0, [prompt] * frames, picture)
    return context


def test_frames_are_spread_over_each_shot():
    context = told([BEAR, CAT, BEAR])
    chosen = [frame.key for frame in context.choose(3, CAT)]
    assert [key for key in chosen if key[0] == 1] == [(1, 0), (1, 4), (1, 8)]
    assert len(chosen) == 6
    assert context.why(3, CAT)[1] == "first shows cat, close up"


def test_without_words_the_released_rule_chooses():
    context = told([BEAR, CAT, BEAR])
    assert [frame.key for frame in context.choose(3)] == select_frames([9, 9, 9], 6)
    assert told([BEAR, CAT], "spread").why(2, CAT) == {}
    spread = told([BEAR, CAT, BEAR], "spread").choose(3, CAT)
    assert [frame.key for frame in spread] == select_frames([9, 9, 9], 6)


def test_pins_come_first_and_deleted_shots_are_passed_over():
    context = told([BEAR, CAT, BEAR])
    context.pin(context.find(0, 0))
    context.leave_out(1)
    chosen = [frame.key for frame in context.choose(3, CAT)]
    assert (0, 0) in chosen
    assert len(chosen) <= 6
    assert all(shot != 1 for shot, _ in chosen)
    assert all(frame.shot < 2 for frame in context.first(2).choose(2, CAT))


def test_a_long_story_keeps_few_frames_and_still_finds_who_was_long_away():
    context = told([CAT] + [BEAR] * 15, frames=9)
    assert any(frame.shot == 0 for frame in context.choose(16, CAT))
    lengths = []
    for shot in range(16, 90):
        context.remember(shot, 0, [BEAR] * 9, picture)
        lengths.append(len(context.frames))
    assert max(lengths[40:]) == lengths[-1] < 300


@pytest.mark.parametrize("chosen", [None, "words", "spread"])
def test_a_session_is_made_from_what_the_rule_chooses(pipeline, chosen):
    session = pipeline.open("a red fox a blue cat", seed=3, memory_rule=chosen)
    for prompt in ("fox runs", "cat runs", "fox sleeps", "cat sleeps"):
        list(session.shoot(prompt, chunks=1))
    per_shot = [sum(key.shot == shot for key in session.script[3].made_from.context) for shot in range(3)]
    assert per_shot == ([1, 3, 2] if chosen == "words" else [2, 2, 2])
    branch = session.branch(2)
    list(branch.shoot("cat sleeps", chunks=1))
    assert branch.script[3].made_from == session.script[3].made_from
