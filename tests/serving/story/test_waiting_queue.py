from __future__ import annotations

import pytest

from shotstream.serving.protocol.events import Receipt, Refused
from shotstream.serving.protocol.states import State
from tests.serving.conftest import Studio

pytestmark = pytest.mark.law

SCRIPT = [{"prompt": prompt, "chunks": 1} for prompt in ("runs", "sleeps", "a cat", "runs", "sleeps")]


def prompts(live) -> list[str]:
    return [card.prompt for card in live.snapshot.shots]


def test_a_script_is_told_in_order_by_one_command(studio: Studio) -> None:
    live = studio.begin()
    answer = studio.send(live, type="replan", from_shot=0, shots=SCRIPT)
    assert isinstance(answer, Receipt)
    assert answer.applies_from
    assert (answer.applies_from.shot, answer.applies_from.frame) == (0, 0)
    assert [card.state for card in live.snapshot.shots] == ["queued"] * 5
    studio.run()
    assert [(card.state, card.prompt) for card in live.snapshot.shots] == [
        ("done", shot["prompt"]) for shot in SCRIPT
    ]


def test_what_waits_is_ordered_anew_without_touching_what_runs(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[{"prompt": "runs", "chunks": 4}, *SCRIPT[1:3]])
    studio.run(2)
    studio.send(live, type="replan", from_shot=1, shots=[SCRIPT[2], SCRIPT[1], SCRIPT[2]])
    assert prompts(live) == ["runs", "a cat", "sleeps", "a cat"]
    studio.run()
    assert [card.state for card in live.snapshot.shots] == ["done"] * 4
    assert live.snapshot.shots[0].chunks == 4


def test_a_new_order_of_what_waits_is_taken_back(studio: Studio, make_studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=[{"prompt": "runs", "chunks": 3}, *SCRIPT[1:4]])
    studio.send(live, type="replan", from_shot=1, shots=[SCRIPT[3]])
    studio.send(live, type="delete", shot=1)
    assert prompts(live) == ["runs"]
    resumed = make_studio(studio.store)
    live = resumed.open(live.story)
    resumed.send(live, "undo 1", type="undo")
    assert prompts(live) == ["runs", "runs"]
    resumed.send(live, "undo 2", type="undo")
    assert prompts(live) == ["runs", "sleeps", "a cat", "runs"]


def test_what_has_begun_does_not_wait_again_after_an_undo(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=SCRIPT[:4])
    studio.send(live, type="replan", from_shot=1, shots=[SCRIPT[2] | {"seed": 1}, SCRIPT[1], SCRIPT[3]])
    studio.run(2)  # the first is over, and the one that was moved to the front runs
    assert live.snapshot.state is State.SHOOTING
    studio.send(live, type="undo")
    assert prompts(live) == ["runs", "a cat", "sleeps", "runs"]


def test_a_plan_that_comes_too_late_is_refused_and_changes_nothing(studio: Studio) -> None:
    live = studio.begin()
    studio.send(live, type="replan", from_shot=0, shots=SCRIPT)
    before = live.snapshot
    answer = studio.send(live, type="replan", from_shot=0, shots=[])
    assert isinstance(answer, Refused)
    assert (answer.code, "begins with shot 2 by now" in answer.message) == ("not_now", True)
    assert live.snapshot == before


def test_a_plan_of_nothing_begins_nothing(studio: Studio) -> None:
    live = studio.begin()
    answer = studio.send(live, type="replan", from_shot=0, shots=[])
    assert isinstance(answer, Refused)
    assert live.snapshot.state is State.IDLE


@pytest.mark.parametrize(
    ("shots", "code"),
    [
        ([*SCRIPT, {"prompt": "x" * 61}], "too_long"),
        ([*SCRIPT, {"prompt": "runs", "seconds": 60.0}], "limit"),
        (SCRIPT * 3, "limit"),
    ],
)
def test_no_part_of_a_plan_is_followed_if_one_shot_is_too_much(make_studio, shots: list, code: str) -> None:
    studio = make_studio(prompt_characters=60, shot_seconds=5.0, shots=12)
    live = studio.begin()
    answer = studio.send(live, type="replan", from_shot=0, shots=shots)
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert live.snapshot.shots == []
