"""Marks and shares of a story whose answers are written down by hand."""

import pytest

from shotstream.evaluation.adherence import (
    ATTRIBUTE_CONSISTENCY,
    CLEAN_FIGURES,
    PROMPT_ADHERENCE,
    Mark,
    mark_film,
    shares,
)
from shotstream.world.judge import NOBODY, QUESTIONS, true_answers

pytestmark = pytest.mark.unit


def character(kind, colour, accessory, accessory_colour, pattern):
    hidden = {"accessory_colour": accessory_colour, "pattern": pattern}
    return {"kind": kind, "colour": colour, "accessory": accessory, "hidden": hidden}


STORY = {
    "place": "beach",
    "time": "night",
    "hidden": {"landmark": "palm", "side": "left"},
    "cast": [
        character("cat", "red", "crown", "white", "spots"),
        character("bear", "blue", "scarf", "pink", "belly"),
    ],
    "shots": [
        {"subjects": [0, 1], "framing": "wide", "action": "walks"},
        {"subjects": [1], "framing": "close-up", "action": "waves"},
        {"subjects": [0, 1], "framing": "medium", "action": "jumps"},
    ],
}
IN_THE_SHOT = {"place", "time", "weather", "framing", "action", "feeling", "prop"}
ASKED = {"headcount", "character", "accessory"} | IN_THE_SHOT
HIDDEN = {"landmark", "side", "accessory_colour", "pattern"}


def truth():
    return [true_answers(STORY, shot) for shot in range(3)]


def test_the_truth_scores_everything():
    right = shares(mark_film(STORY, truth()))
    adherence = {f"prompt_adherence.{name}" for name in ASKED}
    consistency = {f"attribute_consistency.{name}" for name in HIDDEN}
    groups = {PROMPT_ADHERENCE, ATTRIBUTE_CONSISTENCY, CLEAN_FIGURES}
    assert right.keys() == adherence | consistency | groups
    assert set(right.values()) == {1.0}


def test_the_first_shot_keeps_nothing_and_every_later_one_what_it_shows():
    marks = mark_film(STORY, truth())
    kept = [{mark.name for mark in shot if mark.metric == ATTRIBUTE_CONSISTENCY} for shot in marks]
    assert kept == [set(), HIDDEN, HIDDEN]
    kept = [(mark.stand, mark.asked) for mark in marks[1] if mark.name == "pattern"]
    assert kept == [("first", "belly")]  # the bear, who stood second before
    kept = [(mark.stand, mark.asked) for mark in marks[2] if mark.name == "pattern"]
    assert kept == [("first", "spots"), ("second", "belly")]


def test_kind_and_colour_count_only_together():
    answers = truth()
    answers[0]["first colour"] = "green"  # right kind, wrong colour
    answers[1]["first kind"] = "robot"  # right colour, wrong kind
    marks = mark_film(STORY, answers)
    assert shares(marks)["prompt_adherence.character"] == pytest.approx(3 / 5)
    assert shares(marks)["prompt_adherence"] == pytest.approx((3 + 5 + 7 * 3 + 3) / (5 + 5 + 7 * 3 + 3))
    assert Mark(PROMPT_ADHERENCE, "character", "first", "red cat", "green cat", False) in marks[0]
    assert shares(marks)["prompt_adherence.accessory"] == 1.0


def test_every_shot_is_asked_for_itself():
    answers = truth()
    answers[1] |= {"place": "snow", "framing": "wide"}
    answers[2] |= {"place": "snow", "action": "stands", "time": "day"}
    right = shares(mark_film(STORY, answers))
    names = ("place", "time", "framing", "action")
    assert [right[f"prompt_adherence.{name}"] for name in names] == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3, 2 / 3]
    )


def test_what_is_kept_is_what_was_read_first_true_or_not():
    answers = truth()
    for read in answers:
        read["landmark"] = "tent"  # never true, always the same
    answers[1]["side"] = "both"  # right before and after
    right = shares(mark_film(STORY, answers))
    assert (right["attribute_consistency.landmark"], right["attribute_consistency.side"]) == (1.0, 0.5)
    answers = truth()
    answers[0]["side"] = "both"  # now it is the truth that differs, twice
    assert shares(mark_film(STORY, answers))["attribute_consistency.side"] == 0.0


def test_a_character_is_followed_to_where_it_stands():
    answers = truth()
    answers[1]["first pattern"] = "stripes"  # the bear, alone
    answers[2]["first accessory_colour"] = "black"  # the cat
    right = shares(mark_film(STORY, answers))
    # of each: the bear in shot 1, cat and bear in shot 2
    assert right["attribute_consistency.pattern"] == pytest.approx(2 / 3)
    assert right["attribute_consistency.accessory_colour"] == pytest.approx(2 / 3)


def test_captions_do_not_say_who_stands_on_which_side():
    answers = truth()
    for question in ("kind", "colour", "accessory", "accessory_colour", "pattern"):
        first, second = (f"{stand} {question}" for stand in ("first", "second"))
        answers[2] |= {first: answers[2][second], second: answers[2][first]}
    assert set(shares(mark_film(STORY, answers)).values()) == {1.0}
    answers[2]["second colour"] = answers[2]["second accessory"] = "green"  # the cat's; still the only cat
    marks = mark_film(STORY, answers)
    assert Mark(PROMPT_ADHERENCE, "character", "first", "red cat", "green cat", False) in marks[2]
    assert Mark(PROMPT_ADHERENCE, "character", "second", "blue bear", "blue bear", True) in marks[2]


def test_who_is_not_there_is_never_right():
    answers = truth()
    questions = ("kind", "colour", "accessory", "accessory_colour", "pattern")
    for shot in (0, 2):
        answers[shot] |= {f"second {question}": NOBODY for question in questions}
    marks = mark_film(STORY, answers)
    right = shares(marks)
    assert right["prompt_adherence.headcount"] == pytest.approx(1 / 3)
    assert right["prompt_adherence.character"] == right["prompt_adherence.accessory"] == pytest.approx(3 / 5)
    assert right["attribute_consistency.pattern"] == pytest.approx(
        1 / 3
    )  # only the cat's; twice nobody is nothing kept
    assert Mark(PROMPT_ADHERENCE, "character", "second", "blue bear", NOBODY, False) in marks[0]


def test_somebody_too_many_is_counted():
    answers = truth()
    answers[1]["second kind"] = "rabbit"
    right = shares(mark_film(STORY, answers))
    assert right["prompt_adherence.headcount"] == pytest.approx(2 / 3)
    assert right["prompt_adherence.character"] == 1.0


def test_a_single_shot_keeps_nothing():
    story = STORY | {"shots": STORY["shots"][:1]}
    right = shares(mark_film(story, truth()[:1]))
    assert right.keys() == {f"prompt_adherence.{name}" for name in ASKED} | {PROMPT_ADHERENCE, CLEAN_FIGURES}


def test_every_shot_must_be_read():
    with pytest.raises(ValueError, match="has 3 shots and 2 were read"):
        mark_film(STORY, truth()[:2])


def test_a_judge_is_not_asked_what_it_was_never_taught():
    questions = {name: answers for name, answers in QUESTIONS.items() if name not in ("weather", "prop")}
    questions["first colour"] = ("blue", "green")  # of the first, who is red, nothing can be said
    questions["first pattern"] = ("belly",)
    answers = [{name: read[name] for name in questions} for read in truth()]
    marks = mark_film(STORY, answers, questions)
    names = {mark.name for shot in marks for mark in shot}
    assert names == (ASKED | HIDDEN | {"figures"}) - {"weather", "prop"}
    assert [mark.stand for mark in marks[0] if mark.name == "character"] == ["second"]
    assert [mark.stand for mark in marks[2] if mark.name == "pattern"] == ["second"]
    assert set(shares(marks).values()) == {1.0}


def test_no_accessory_has_no_colour_to_keep():
    cast = [character("cat", "red", "none", "none", "spots"), STORY["cast"][1]]
    story = STORY | {"cast": cast}
    answers = [true_answers(story, shot) for shot in range(3)]
    kept = [mark for shot in mark_film(story, answers) for mark in shot if mark.name == "accessory_colour"]
    assert [(mark.stand, mark.asked) for mark in kept] == [("first", "pink"), ("second", "pink")]
    assert all(mark.right for shot in mark_film(story, answers) for mark in shot)


def test_spoilt_figures_have_a_share_of_their_own():
    answers = truth()
    answers[1]["figures"] = "spoilt"
    read = shares(mark_film(STORY, answers))
    assert read["clean_figures"] == pytest.approx(2 / 3)
    assert read["prompt_adherence"] == 1.0  # no caption asks for clean figures
