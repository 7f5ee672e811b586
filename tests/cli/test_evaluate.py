"""From stories to a report, with a tiny model and a tiny judge."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.evaluation import judged_film
from shotstream.evaluation.catalogue import METRICS
from shotstream.loading.hashes import hash_weights
from tests.evaluation.report_page import check_page

pytest.importorskip("av")
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def model(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def judge_folder(judge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge") / "export"
    judge.save_pretrained(folder)
    return folder


def evaluate(output, *words):
    words = ["evaluate", "-o", str(output), "--device", "cpu", *map(str, words)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"})


def metrics(output):
    return json.loads((output / "metrics.json").read_text())


def test_a_model_becomes_a_report_and_a_rerun_goes_on(model, judge_folder, tmp_path, monkeypatch):
    options = ("--model", model, "--judge", judge_folder, "--shots", 2, "--seed", 5)
    result = evaluate(tmp_path, *options, "--stories", 2)
    assert result.exit_code == 0, result.output
    told = metrics(tmp_path)
    assert (told["finished"], told["asked_for"], told["seeds"]) == (2, 2, [5, 6])
    assert told["weights_sha256"] == hash_weights(model)
    assert told["settings"]["features"] == dict.fromkeys(("subject", "background", "semantic"), "judge")
    assert {*told["summary"], *told["absent"]} == set(METRICS)
    assert "text_alignment" in told["absent"]
    assert told["summary"]["frames_per_second"]["n"] == 2
    assert [shot["frames"] for shot in told["stories"][0]["shots"]] == [21, 21]
    assert sum(tag == "img" for tag, _ in check_page((tmp_path / "report.html").read_text())) == 4

    asked = []

    def tell(pipeline, story, **how):
        asked.append(story.seed)
        return film_tell(pipeline, story, **how)

    film_tell = judged_film.tell
    monkeypatch.setattr(judged_film, "tell", tell)
    result = evaluate(tmp_path, *options, "--stories", 3)
    assert "2 of 3 films are measured already." in result.stdout
    assert asked == [7]
    assert metrics(tmp_path)["stories"][:2] == told["stories"]
    assert metrics(tmp_path)["seeds"] == [5, 6, 7]

    result = evaluate(tmp_path, *options, "--stories", 3, "--features", "none")
    assert result.exit_code == 1
    assert "holds results of other settings (features:" in result.stderr


def test_ctrl_c_keeps_what_was_measured(judge_folder, tmp_path, monkeypatch):

    calls = []

    def drawn(world):
        calls.append(world)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return film_drawn(world, height=32, width=48)

    film_drawn = judged_film.drawn
    monkeypatch.setattr(judged_film, "drawn", drawn)
    options = ("--model", "drawn", "--judge", judge_folder, "--shots", 1, "--stories", 3)
    result = evaluate(tmp_path, *options)
    assert result.exit_code == 130
    assert "Stopped. 1 of 3 films are measured and kept" in result.stdout
    told = metrics(tmp_path)
    assert (told["finished"], told["asked_for"]) == (1, 3)
    check_page((tmp_path / "report.html").read_text())
    assert evaluate(tmp_path, *options).exit_code == 0
    assert metrics(tmp_path)["finished"] == 3


def test_ctrl_c_before_the_first_film_leaves_no_report(judge_folder, tmp_path, monkeypatch):
    def drawn(world):
        raise KeyboardInterrupt

    monkeypatch.setattr("shotstream.evaluation.judged_film.drawn", drawn)
    result = evaluate(tmp_path, "--model", "drawn", "--judge", judge_folder)
    assert result.exit_code == 130
    assert "0 of 40 films" in result.stdout
    assert not (tmp_path / "report.html").exists()


def test_films_of_the_story_world_are_judged_from_their_files(judge_folder, tmp_path):
    films = tmp_path / "films"
    words = ["world", "render", "--stories", "2", "--shots", "2", "--frames", "6", "--size", "32x48"]
    assert CliRunner().invoke(app, [*words, "--split", "held-out", "-o", str(films)]).exit_code == 0
    result = evaluate(tmp_path / "out", films, "--judge", judge_folder, "--shots", 4)
    assert result.exit_code == 0, result.output
    assert "--shots has no effect where films are given." in result.stdout
    told = metrics(tmp_path / "out")
    assert [story["name"] for story in told["stories"]] == ["held-out-000000", "held-out-000001"]
    assert told["summary"]["prompt_adherence.place"]["n"] == 2
    assert "frames_per_second" in told["absent"]
    assert told["weights_sha256"] is None


def test_variants_are_told_the_same_stories_and_put_into_tables(
    pipeline, model, judge_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("shotstream.streaming.whole_shot.WholeShotPipeline.steps", 2)
    pipeline.transformer.save_pretrained(tmp_path / "variants" / "teacher")
    page = tmp_path / "results.md"
    page.write_text("Before.\n<!-- tables -->\n<!-- end of tables -->\nAfter.\n")
    words = ["ablations", "--model", model, "--judge", judge_folder, "--weights", tmp_path / "variants"]
    words += ["--stories", 2, "--shots", 2, "--tables", page]
    result = evaluate(tmp_path / "out", *words)
    assert result.exit_code == 0, result.output
    assert "Without Stage 3 only: " in result.stdout
    told = json.loads((tmp_path / "out" / "ablations.json").read_text())
    assert {"student", "teacher", "no-memory", "one-caption", "no-indicator", "long"} <= told[
        "variants"
    ].keys()
    assert "stage-3-only" not in told["variants"]
    assert told["variants"]["teacher"]["seeds"] == told["variants"]["student"]["seeds"] == [1000, 1001]
    assert told["targets"].keys() >= {"attribute_consistency", "speed_by_teacher", "ending_minus_opening"}
    assert [row["shot"] for row in told["variants"]["long"]["by_shot"]] == list(range(1, 21))
    tables = (tmp_path / "out" / "tables.md").read_text()
    assert page.read_text() == f"Before.\n<!-- tables -->\n\n{tables}\n<!-- end of tables -->\nAfter.\n"
    assert "| Student without memory |" in tables
    check_page((tmp_path / "out" / "long" / "report.html").read_text())
    assert "2 of 2 films are measured already." in evaluate(tmp_path / "out", *words).stdout
    other = deepcopy(pipeline.transformer)
    other.proj_out.weight.data.add_(0.1)
    other.save_pretrained(tmp_path / "variants" / "teacher")
    again = evaluate(tmp_path / "out", *words)
    assert "teacher holds results of other settings (transformer_sha256: " in again.output


def test_first_shots_are_told_again_on_request(model, judge_folder, tmp_path):
    options = ("--model", model, "--judge", judge_folder, "--stories", 1, "--shots", 1, "--features", "none")
    result = evaluate(tmp_path, *options, "--retakes")
    assert result.exit_code == 0, result.output
    told = metrics(tmp_path)
    assert {"retake_difference", "retake_adherence"} <= set(told["summary"])
    assert told["summary"]["retake_difference"]["mean"] > 0
    assert "reference_obedience" in {*told["summary"], *told["absent"]}
    result = evaluate(tmp_path, *options)
    assert "holds results of other settings (retakes:" in result.stderr


def test_stories_of_a_person_need_no_judge(model, tmp_path):
    story = tmp_path / "fox.yaml"
    story.write_text("setting: a red fox\nshots:\n  - {prompt: the fox runs, chunks: 1}\n")
    result = evaluate(
        tmp_path / "out", "--model", model, "--suite", story, "--features", "none", "--seed", 1, "--retakes"
    )
    assert result.exit_code == 0, result.output
    assert "--seed has no effect with stories from files." in result.stdout
    assert "--retakes has no effect where no model tells held-out stories alone." in result.stdout
    told = metrics(tmp_path / "out")
    assert "prompt_adherence.place" in told["absent"]
    assert told["judge"] is None
    check_page((tmp_path / "out" / "report.html").read_text())


def test_mistakes_are_told_before_the_work_begins(tmp_path, judge_folder):
    for words, sentence in [
        (["--features", "dinno"], "which is unknown"),
        (["--judge", tmp_path], "holds no judge"),
        ([tmp_path / "nowhere"], "there is no folder"),
        (["--suite", tmp_path / "nowhere", "--features", "none"], "there is no suite"),
        (["--suite", "first_story", "--features", "none", "--model", "drawn"], "draws held-out"),
        (["--judge", judge_folder, "--model", tmp_path / "nowhere"], "there is no model"),
        (["ablations", "--judge", judge_folder, "--tables", "README.md"], "has no place for tables"),
    ]:
        result = evaluate(tmp_path / "out", *words)
        assert result.exit_code == 1, result.output
        assert sentence in result.stderr
    assert not (tmp_path / "out").exists()
