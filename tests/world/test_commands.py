"""`shotstream world preview` and `render`, run as a user would."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from shotstream.cli.world import app
from shotstream.story import Story

pytestmark = pytest.mark.system


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_preview_writes_a_contact_sheet(tmp_path):
    from PIL import Image

    output = tmp_path / "sheet.png"
    result = run("preview", "--stories", 2, "--shots", 2, "--size", "32x48", "-o", output)
    assert result.exit_code == 0, result.output
    sheet = np.asarray(Image.open(output))
    assert sheet.shape[0] > 2 * 32
    assert sheet.shape[1] > 2 * 48


def test_render_writes_a_clip_per_shot_and_the_attributes(tmp_path):
    result = run(
        "render", "--shots", 2, "--frames", 5, "--size", "32x48", "--split", "held-out", "-o", tmp_path
    )
    assert result.exit_code == 0, result.output
    folder = tmp_path / "held-out-000000"
    files = ["01.mp4", "02.mp4", "attributes.json", "story.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == files
    attributes = json.loads((folder / "attributes.json").read_text())
    assert [shot["frames"] for shot in attributes["shots"]] == [5, 5]
    assert len(Story.read(folder / "story.yaml").shots) == 2


@pytest.mark.parametrize("size", ["64", "64x", "63x96", "8x8", "axb", "64x96x3"])
def test_a_bad_size_is_explained(size, tmp_path):
    result = run("preview", "--size", size, "-o", tmp_path / "sheet.png")
    assert result.exit_code == 2
    assert "64x96" in result.output


def test_portrait_draws_one_character(tmp_path):
    from PIL import Image

    output = tmp_path / "fox.png"
    result = run("portrait", "--kind", "fox", "--accessory", "top hat", "--size", "32x48", "-o", output)
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(output)).shape == (32, 48, 3)


def test_an_unknown_kind_is_explained(tmp_path):
    result = run("portrait", "--kind", "dragon", "-o", tmp_path / "dragon.png")
    assert result.exit_code == 2
    assert "owl" in result.output
