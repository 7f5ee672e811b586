"""Figures of films: which there are, and that they say what they should."""

from functools import partial

import numpy as np
import pytest
import torch

from shotstream.evaluation.catalogue import METRICS
from shotstream.evaluation.extractors import Extractors, choose_extractors, parse_features
from shotstream.evaluation.features import DinoFeatures
from shotstream.evaluation.judged_film import Film, drawn
from shotstream.evaluation.judging import JudgeFeatures, judge_facts, load_judge, locate_judge, read_shots
from shotstream.evaluation.measure import check_packages, examine, measure, saturation, summarise, why_absent
from shotstream.loading.folders import ModelError
from shotstream.streaming.chunk import to_pixels
from shotstream.world.judge import QUESTIONS
from shotstream.world.sampler import sample_story

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def film():
    return drawn(sample_story(0, split="held-out", shots=2, frames=9), height=32, width=48)


class Colours:
    """Mean colours as features, in a space that knows two words."""

    name = "colours"

    def __call__(self, frames):
        return torch.from_numpy(frames.mean(axis=(1, 2)))

    def encode_text(self, captions):
        return torch.tensor([[255.0, 0, 0] if caption == "red" else [0, 0, 255.0] for caption in captions])


def red_and_blue(prompts):
    shots = [np.zeros((8, 32, 48, 3), np.uint8) for _ in range(2)]
    shots[0][..., 0], shots[1][..., 2] = 200, 200
    return Film(shots, 8, prompts, first_frame_seconds=0.5, generating_seconds=4.0)


def test_figures_of_a_film_by_hand():
    roles = dict.fromkeys(("subject", "background", "semantic", "text"), Colours())
    values = measure(red_and_blue(["red", "blue"]), Extractors(roles))
    assert values == pytest.approx(
        {
            "intra_shot_subject": 1,
            "intra_shot_background": 1,
            "inter_shot_semantic": 0,
            "inter_shot_subject": 0,
            "inter_shot_background": 0,
            "transition_control": 1,
            "text_alignment": 1,
            "dynamic_degree": 0,
            "saturation": 1,
            "frames_per_second": 4,
            "first_frame_seconds": 0.5,
        }
    )
    assert measure(red_and_blue(["blue", "red"]), Extractors(roles))["text_alignment"] == pytest.approx(0)


def test_what_cannot_be_measured_is_absent_with_its_reason():
    one = red_and_blue(["red", ""])
    values = measure(one, Extractors({"text": Colours()}, {"dino": "DINO is not here"}))
    assert "text_alignment" not in values  # a prompt is missing
    reasons = why_absent(values, Extractors({"text": Colours()}, {"dino": "DINO is not here"}))
    assert reasons["text_alignment"] == "needs prompts"
    assert reasons["inter_shot_subject"] == "DINO is not here"
    assert reasons["inter_shot_semantic"] == "not asked for; --features judge or clip gives it"
    assert "story world" in reasons["prompt_adherence.place"]
    assert {*reasons, *values} == set(METRICS)


def test_a_film_of_one_frame_has_few_figures(judge):
    film = Film([np.zeros((1, 32, 48, 3), np.uint8)], 8, [""])
    values = measure(film, choose_extractors(["judge"], judge), judge)
    assert values == {"transition_control": 1.0, "saturation": 0.0}


def test_the_judge_gives_marks_and_features(film, judge):
    found = examine(film, choose_extractors(["judge"], judge), judge)
    told = {name for name in METRICS if METRICS[name].needs.startswith("a story of the story world, and")}
    first, second = film.attributes["shots"]
    if not set(first["subjects"]) & set(second["subjects"]):
        told -= {"attribute_consistency.pattern", "attribute_consistency.accessory_colour"}
    consistent = {"inter_shot_semantic", "inter_shot_subject", "inter_shot_background"}
    assert told | consistent <= found.values.keys()
    assert len({found.values[name] for name in consistent}) == 1  # one feature in three roles
    assert len(found.marks) == 2
    assert list(found.values) == [name for name in METRICS if name in found.values]
    assert all(not marks for marks in examine(film, Extractors()).marks)


def test_judge_features_and_answers_are_the_judges(film, judge):
    pixels = to_pixels(film.shots[0])[None]
    features = JudgeFeatures(judge, batch_frames=4)(film.shots[0])
    with torch.no_grad():
        raw = judge.frame_features(pixels)[0]
    assert torch.allclose(features, raw / raw.norm(dim=1, keepdim=True), atol=1e-5)
    assert read_shots(judge, film.shots)[0] == judge.answers(pixels)[0]
    assert read_shots(judge, film.shots)[0].keys() == QUESTIONS.keys()


def test_a_judge_is_loaded_or_the_message_says_what_to_do(judge, tmp_path):
    judge.save_pretrained(tmp_path / "judge")
    (tmp_path / "judge" / "accuracy.json").write_text('{"place": 0.99}')
    loaded = load_judge(locate_judge(tmp_path / "judge"))
    assert all(map(torch.equal, loaded.parameters(), judge.parameters()))
    facts = judge_facts(tmp_path / "judge")
    assert facts["accuracy"] == {"place": 0.99}
    assert len(facts["weights_sha256"]) == 64
    with pytest.raises(ModelError, match="holds no judge"):
        locate_judge(tmp_path)
    (tmp_path / "judge" / "config.json").write_text('{"features": 8}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_judge(tmp_path / "judge")


def test_features_that_cannot_be_had_are_refused_not_replaced(judge, monkeypatch, tmp_path):
    nowhere = partial(DinoFeatures, str(tmp_path / "nowhere"), local_files_only=True)
    monkeypatch.setattr("shotstream.evaluation.features.DinoFeatures", nowhere)
    chosen = choose_extractors(["dino"], None)
    assert chosen.names == {}
    assert "nowhere' is not here and cannot be fetched" in chosen.refused["dino"]
    assert why_absent({}, chosen)["intra_shot_subject"] == chosen.refused["dino"]
    mixed = choose_extractors(["judge", "dino"], judge)
    assert mixed.names == {"background": "judge", "semantic": "judge"}  # the judge does not stand in


def test_names_of_features():
    assert parse_features("dino, clip") == ["dino", "clip"]
    assert parse_features("dino=a/folder,clip") == ["dino=a/folder", "clip"]
    assert parse_features("none") == []
    with pytest.raises(ValueError, match="has 'dinno', which is unknown"):
        parse_features("judge,dinno")


def test_saturation_by_hand():
    pixels = np.array([[[100, 50, 75], [0, 0, 0]], [[80, 80, 80], [0, 200, 0]]], np.uint8)  # 0.5, 0, 0, 1
    assert saturation([pixels[None]]) == pytest.approx(1.5 / 4)
    grey = np.full((5, 2, 2, 3), 90, np.uint8)
    assert saturation([pixels[None], grey]) == pytest.approx(1.5 / 8)


def test_a_summary_counts_the_films_that_have_the_metric():
    summary = summarise([{"saturation": 0.25, "own": 1.0}, {"saturation": 0.75}, {"transition_control": 1.0}])
    assert list(summary) == ["transition_control", "saturation", "own"]
    assert (summary["saturation"]["mean"], summary["saturation"]["n"]) == (0.5, 2)
    assert summary["saturation"]["low"] == 0.25 < summary["saturation"]["high"] == 0.75
    assert summary["own"] == {"mean": 1.0, "low": None, "high": None, "n": 1}


def test_packages_are_here():
    check_packages()
