"""Films that were cut into stories are measured as they were filmed, and told anew, without any judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.data.films.inputs import read_inputs
from shotstream.data.films.prepare import prepare
from shotstream.data.films.settings import FilmSettings
from shotstream.evaluation.film_stories import FilmStories, holds_film_stories
from tests.data.films.conftest import FPS, HEIGHT, WIDTH, model, model_folder  # noqa: F401  (fixtures)
from tests.data.films.drawn_films import SHOT_FRAMES, draw, write_film

pytestmark = pytest.mark.system

CAPTION = "An old woman is in her kitchen."
"""Nothing that the drawn world knows."""
OF_FEATURES = {
    "intra_shot_subject", "intra_shot_background", "inter_shot_subject", "inter_shot_background",
    "inter_shot_semantic", "text_alignment",
}  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Three films without words for their shots, and a letterboxed one with."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(3):
        write_film(folder, seed).path.with_suffix(".txt").write_text(f"{CAPTION}\n")
    boxed = write_film(folder, 3, "letterboxed").path
    boxed.with_suffix(".txt").write_text(f"{CAPTION}\n" + "".join(f"She does thing {n}.\n" for n in range(4)))
    return folder


@pytest.fixture(scope="module")
def shards(films, model, tmp_path_factory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("shards") / "mini"
    prepare(read_inputs([films]), folder, model, FilmSettings(held_out=0.4))
    return folder


def evaluate(output: Path, *words: object):
    given = ["evaluate", "-o", str(output), "--device", "cpu", *map(str, words)]
    return CliRunner().invoke(app, given, env={"COLUMNS": "200", "HF_HUB_OFFLINE": "1"})


def metrics(output: Path):
    return json.loads((output / "metrics.json").read_text())


def stories(shards: Path) -> dict[str, tuple[FilmStories, int]]:
    """Where the story of each film is, by the film's name."""
    found = {}
    for split in ("train", "held-out"):
        told = FilmStories(shards / split)
        found |= {name.partition("-")[0]: (told, number) for number, (name, _) in enumerate(told.films)}
    return found


def test_a_story_is_read_as_it_was_filmed(shards: Path) -> None:
    """Films of the shards' rate, scaled as they are for the encoder; bars are cropped."""
    told, number = stories(shards)["0001"]
    film = told.read(number)
    lengths = [9 + 12 * ((frames - 9) // 12) for frames in SHOT_FRAMES]
    assert [shot.shape for shot in film.shots] == [(length, HEIGHT, WIDTH, 3) for length in lengths]
    assert (film.fps, film.setting, film.attributes) == (FPS, "", None)
    assert film.prompts == [CAPTION] * 4
    true = draw(1)[1][4].astype(float)
    near = np.abs(film.shots[1][4].astype(float).mean((0, 1)) - true.mean((0, 1)))
    assert near.max() < 3
    boxed, number = stories(shards)["0003"]
    film = boxed.read(number)
    assert film.setting == CAPTION
    assert film.prompts == [f"She does thing {n}." for n in range(4)]
    assert film.shots[0][0][:4].mean() > 20  # no black bars


def test_the_same_stories_are_to_be_told(shards: Path) -> None:
    told = FilmStories(shards)
    assert told.folder == shards / "held-out"
    (task, *_) = told.tasks
    film = told.read(0)
    assert [shot.prompt for shot in task.story.shots] == film.prompts
    assert [round(shot.seconds * FPS) for shot in task.story.shots] == [len(shot) for shot in film.shots]
    assert task.attributes is None


def test_films_are_measured_by_features_and_no_judge(shards, dino_folder, clip, tmp_path) -> None:
    features = ("--features", f"dino={dino_folder},clip={clip.name}")
    result = evaluate(tmp_path / "filmed", shards, *features)
    assert result.exit_code == 0, result.output
    filmed = metrics(tmp_path / "filmed")
    assert filmed["finished"] == len(FilmStories(shards).films)
    assert filmed["summary"].keys() >= OF_FEATURES
    assert filmed["settings"]["judge_sha256"] is None
    assert filmed["settings"]["features"]["subject"] == str(dino_folder)
    assert "prompt_adherence.place" in filmed["absent"]
    assert filmed["summary"]["transition_control"]["mean"] > 0.9
    assert "are measured already" in evaluate(tmp_path / "filmed", shards, *features).stdout


def test_a_model_tells_the_same_stories(shards, model_folder, dino_folder, clip, tmp_path) -> None:  # noqa: F811
    features = ("--features", f"dino={dino_folder},clip={clip.name}")
    result = evaluate(tmp_path / "told", "--model", model_folder, "--suite", shards, *features)
    assert result.exit_code == 0, result.output
    told, stories = metrics(tmp_path / "told"), FilmStories(shards)
    assert told["summary"].keys() >= OF_FEATURES | {"frames_per_second"}
    assert [story["name"] for story in told["stories"]] == [name for name, _ in stories.films]
    frames = [[shot["frames"] for shot in story["shots"]] for story in told["stories"]]
    assert frames == [[len(shot) for shot in stories.read(n).shots] for n in range(len(frames))]


def test_films_that_are_gone_or_others_are_told(films, shards, model, tmp_path) -> None:  # noqa: F811
    shutil.copytree(films, tmp_path / "films")
    prepare(read_inputs([tmp_path / "films"]), tmp_path / "shards", model, FilmSettings(held_out=0.4))
    stories = FilmStories(tmp_path / "shards")
    file = Path(stories.records[0]["shots"][0]["file"])
    shutil.copy(tmp_path / "films" / ("0001.mp4" if file.name != "0001.mp4" else "0002.mp4"), file)
    with pytest.raises(
        ValueError, match=rf"{file} is not the film that .*held-out was made of; put that back"
    ):
        stories.read(0)
    file.unlink()
    result = evaluate(tmp_path / "out", tmp_path / "shards", "--features", "none")
    assert result.exit_code == 1
    assert f"{file} is gone, of which {tmp_path / 'shards/held-out'} was made; put it back." in result.stderr


def test_shards_that_are_not_finished_say_what_to_do(films, shards, tmp_path) -> None:
    shutil.copytree(shards / "held-out", tmp_path / "shards" / "held-out")
    (tmp_path / "shards" / "held-out" / "index.jsonl").unlink()
    with pytest.raises(
        ValueError, match=r"held-out has no stories yet: `shotstream data prepare` was stopped"
    ):
        FilmStories(tmp_path / "shards")
    assert not holds_film_stories(films)
    with pytest.raises(ValueError, match="holds no shards of films; make them: shotstream data prepare"):
        FilmStories(films)


def test_a_judge_is_no_feature_with_a_folder(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--model", "drawn", "--features", "judge=here")
    assert result.exit_code == 1
    assert "--features has a folder for judge; give that as --judge FOLDER." in result.stderr
