"""`shotstream train`: what a user sees before and after."""

import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app

pytestmark = pytest.mark.system

RECIPE, WAN = "mini", "wan-1.3b"


def run(*arguments):
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])


def test_a_dry_run_prints_the_resolved_recipe(tmp_path):
    result = run("teacher", RECIPE, "teacher.loop.steps=7", "--runs", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "steps: 7" in result.output
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_parameters_memory_and_steps():
    result = run("all", WAN, "--dry-run", "--devices", 32)
    assert result.exit_code == 0, result.output
    assert "intra-shot: 3000 steps of 32 samples; devices: 32, passes of each: 1" in result.output
    assert "student: 1768.96 M parameters, 349.96 M learn" in result.output
    assert result.output.count("memory of a device: about") == 4


def test_devices_only_count_in_a_dry_run(tmp_path):
    result = run("teacher", RECIPE, "--runs", tmp_path, "--devices", 2)
    assert result.exit_code == 1
    assert "torchrun" in result.output


def test_an_unknown_stage_is_explained(tmp_path):
    result = run("teach", RECIPE, "--runs", tmp_path)
    assert result.exit_code == 1
    assert "choose from captions, autoencoder, decoder, teacher" in result.output.replace("\n", " ")


def test_a_stage_out_of_order_is_explained(tmp_path):
    result = run("teacher", RECIPE, "--runs", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert "shotstream train captions" in result.output


def test_a_run_begins_with_a_summary_and_not_with_the_whole_recipe(tmp_path):
    result = run("teacher", RECIPE, "--runs", tmp_path, "--device", "cpu")  # it needs captions first
    told, _, rest = result.output.partition("writes to:")
    assert told.startswith("teacher, a stage of the recipe mini\n")
    assert len(told.splitlines()) < 12
    assert len(rest.splitlines()) < 5
