"""The judge: what it is asked, what is true, and that it can learn to see."""

import pytest
import torch

from shotstream.world.judge import NOBODY, QUESTIONS, Judge, judge_loss, true_answers
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.system


@pytest.mark.parametrize("seed", range(20))
def test_every_truth_is_a_possible_answer(seed):
    attributes = sample_story(seed).attributes()
    for shot in range(5):
        answers = true_answers(attributes, shot)
        assert answers.keys() == QUESTIONS.keys()
        assert all(answer in QUESTIONS[name] for name, answer in answers.items())


def test_who_is_not_seen_is_nobody():
    story = next(s for s in map(sample_story, range(50)) if len(s.cast) == 2 and s.shots[1].subjects == (1,))
    opening, reverse = (true_answers(story.attributes(), shot) for shot in (0, 1))
    first, second = story.cast
    assert (opening["first kind"], opening["second kind"]) == (first.kind, second.kind)
    assert (reverse["first colour"], reverse["first pattern"]) == (second.colour, second.pattern)
    assert reverse["second colour"] == NOBODY


def test_it_learns_to_tell_what_differs():
    torch.manual_seed(0)
    judge = Judge(16, 32, frame_step=1, widths=(8, 8, 8, 8), features=16)
    attributes = [sample_story(seed).attributes() for seed in range(4)]
    truth = [true_answers(story, 0) for story in attributes]
    frames = torch.rand(4, 3, 3, 32, 48) * 2 - 1  # of another size than the judge's
    optimiser = torch.optim.Adam(judge.parameters(), 3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        judge_loss(judge(frames), truth).backward()
        optimiser.step()
    assert judge.answers(frames) == truth


def test_loss_is_the_mean_over_questions_and_shots():
    logits = {name: torch.zeros(2, len(answers)) for name, answers in QUESTIONS.items()}
    truth = [true_answers(sample_story(seed).attributes(), 0) for seed in range(2)]
    expected = sum(torch.tensor(float(len(a))).log().item() for a in QUESTIONS.values()) / len(QUESTIONS)
    assert judge_loss(logits, truth).item() == pytest.approx(expected, rel=1e-5)


def test_a_judge_keeps_its_own_questions(tmp_path):
    questions = {"time": ("night", "day"), "place": ("beach", "meadow", "city")}
    judge = Judge(16, 32, widths=(8, 8, 8, 8), features=16, questions=tuple(questions.items()))
    judge.save_pretrained(tmp_path)
    again = Judge.from_pretrained(tmp_path)
    assert list(again.questions.items()) == list(questions.items())  # in order
    assert again.answers(torch.zeros(1, 3, 3, 16, 32))[0].keys() == questions.keys()
    new = Judge(16, 32, widths=(8, 8, 8, 8), features=16)
    new.save_pretrained(tmp_path)
    assert Judge.from_pretrained(tmp_path).questions == QUESTIONS


def test_loss_leaves_out_what_a_judge_cannot_know():
    questions = {"time": ("night", "day"), "place": ("beach", "meadow")}
    logits = {"time": torch.zeros(2, 2), "place": torch.tensor([[5.0, 0.0], [0.0, 7.0]])}
    truth = [{"time": "sunset", "place": "beach"}, {"time": "sunset", "place": "castle"}]
    expected = -torch.log_softmax(torch.tensor([5.0, 0.0]), 0)[0]
    assert judge_loss(logits, truth, questions).item() == pytest.approx(expected.item())


def test_stories_of_the_first_world_are_clear_and_calm():
    attributes = sample_story(0).attributes()
    del attributes["weather"]
    for shot in attributes["shots"]:
        del shot["feeling"], shot["prop"]
    answers = true_answers(attributes, 0)
    assert (answers["weather"], answers["feeling"], answers["prop"]) == ("clear", "calm", "none")
