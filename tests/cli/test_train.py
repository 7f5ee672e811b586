"""`shotstream train`: what a user sees before and after."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app

pytestmark = pytest.mark.cpu

RECIPE = Path(__file__).parents[2] / "recipes/mini/nano.yaml"


def run(*arguments):
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])


def test_a_dry_run_prints_the_resolved_recipe(tmp_path):
    result = run("teacher", RECIPE, "teacher.loop.steps=7", "--runs", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "steps: 7" in result.output
    assert not list(tmp_path.iterdir())


def test_an_unknown_stage_is_explained(tmp_path):
    result = run("teach", RECIPE, "--runs", tmp_path)
    assert result.exit_code == 1
    assert "choose from autoencoder, decoder, teacher, causal-init" in result.output.replace("\n", " ")


def test_a_stage_out_of_order_is_explained(tmp_path):
    result = run("teacher", RECIPE, "--runs", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert "shotstream train autoencoder" in result.output
