"""The shipped judge: it is small, its card's figures are those it was measured with, and it can read."""

import pytest

from shotstream.evaluation.film import drawn
from shotstream.evaluation.judging import judge_facts, load_judge, locate_judge, read_shots
from shotstream.evaluation.suites import held_out
from shotstream.world.judge import QUESTIONS, true_answers

pytestmark = pytest.mark.cpu


def test_it_is_small_and_its_card_tells_its_figures():
    folder = locate_judge()
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 10e6
    accuracy, card = judge_facts(folder)["accuracy"], (folder / "README.md").read_text()
    for name in QUESTIONS:
        drawn_share, autoencoded = accuracy[name], accuracy[f"{name} autoencoded"]
        assert f"| {name} | {100 * drawn_share:.1f} | {100 * autoencoded:.1f} |" in card


def test_it_reads_stories_that_were_drawn_just_now():
    judge, right = load_judge(locate_judge()), []
    for task in held_out(4, 5, first_seed=7_000):
        answers = read_shots(judge, drawn(task.world).shots)
        for shot, given in enumerate(answers):
            true = true_answers(task.attributes, shot)
            right += [given[name] == true[name] for name in QUESTIONS]
    assert sum(right) / len(right) > 0.97
