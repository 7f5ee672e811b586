"""The way of docs/own_films.md at tiny size: films, shards, all stages, a model that tells a story."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from shotstream.cli.main import app

from .conftest import tiny_tree
from .drawn_films import write_film

pytestmark = pytest.mark.unit

STORY = "setting: A red cat is on a beach.\nshots: [The cat waves., Close up of the cat.]\n"


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_from_films_to_a_model_that_tells(model_folder, tmp_path):
    films, shards = tmp_path / "films", tmp_path / "shards"
    films.mkdir()
    for seed in range(3):
        write_film(films, seed)
    where = ("-o", shards, "--model", model_folder, "--device", "cpu", "--workers", 2)
    told = run("data", "prepare", films, *where, "--licence", "CC0", "--embed")
    assert "kept 12 shots in stories: 2 train, 1 held-out" in told
    assert "new in this run: 3 scanned, 3 stories encoded" in told
    assert "3 stories are whole, 0 things are wrong" in run("data", "check", shards)
    run("data", "report", shards)
    assert "CC0" in (shards / "report.html").read_text()

    recipe = tmp_path / "films.yaml"
    recipe.write_text(yaml.safe_dump(tiny_tree(base=str(model_folder), data=str(shards))))
    assert "teacher: 2 steps" in run("train", "all", recipe, "--dry-run")
    run("train", "all", recipe, "--runs", tmp_path / "runs", "--device", "cpu")
    (tmp_path / "story.yaml").write_text(STORY)
    model = tmp_path / "runs" / "films" / "model"
    run("generate", tmp_path / "story.yaml", "--model", model, "-o", tmp_path / "told", "--device", "cpu")
    assert (tmp_path / "told" / "story.mp4").stat().st_size > 1000


def test_a_recipe_without_its_films_says_what_to_do(model_folder, tmp_path):
    recipe = tmp_path / "films.yaml"
    recipe.write_text(yaml.safe_dump(tiny_tree(base=str(model_folder), data=str(tmp_path / "nothing"))))
    result = CliRunner().invoke(app, ["train", "teacher", str(recipe), "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 1
    assert "shotstream data prepare FILMS" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("films", "shards", "message"),
    [
        ("nothing", "s", "no file or folder .*nothing; give films"),
        (".", "taken", "taken is a file; name a folder"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_slow_is_loaded(tmp_path, films, shards, message):
    (tmp_path / "taken").write_text("")
    code = "import sys; from shotstream.cli.main import app\ntry: app()\n"
    code += "finally: print('slow', *({'torch', 'av', 'cv2'} & {*sys.modules}))"
    words = ["data", "prepare", str(tmp_path / films), "-o", str(tmp_path / shards)]
    told = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "500"},
    )
    assert told.returncode == 1
    assert told.stdout.split() == ["slow"]
    assert re.search(message, told.stderr)


def test_settings_and_limits_that_make_no_sense_are_named(tmp_path):
    result = CliRunner().invoke(
        app, ["data", "prepare", str(tmp_path), "-o", str(tmp_path / "s"), "--set", "least_shot=1"]
    )
    assert result.exit_code == 1
    assert "least_shot" in result.output
    assert "least_shots" in result.output
