"""The shipped judge: it is small, its card's figures are those it was measured with, and it can read."""

import pytest

from shotstream.evaluation.judged_film import drawn
from shotstream.evaluation.judging import judge_facts, load_judge, locate_judge, read_shots
from shotstream.world.judge import true_answers
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.system


def test_it_is_small_and_its_card_tells_its_figures():
    folder = locate_judge()
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 10e6
    accuracy, card = judge_facts(folder)["accuracy"], (folder / "README.md").read_text()
    for name in load_judge(folder).questions:
        drawn_share, autoencoded = accuracy[name], accuracy[f"{name} autoencoded"]
        assert f"| {name} | {100 * drawn_share:.1f} | {100 * autoencoded:.1f} |" in card


def test_it_reads_stories_that_were_drawn_just_now():
    judge, right = load_judge(locate_judge()), []
    for seed in range(7_000, 7_004):
        story = sample_story(seed, split="held-out")
        for shot, given in enumerate(read_shots(judge, drawn(story).shots)):
            true = true_answers(story.attributes(), shot)
            right += [given[name] == true[name] for name in judge.questions]
    assert len(right) == 4 * 5 * len(judge.questions)
    assert sum(right) / len(right) > 0.88
