from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
from safetensors.torch import save_file
from torch import ones
from typer.testing import CliRunner

from shotstream.cli.doctor import computing, extras, machine, video, weights
from shotstream.cli.main import app
from shotstream.loading.folders import SHIPPED

pytestmark = pytest.mark.system


def test_every_choice_has_a_value_and_a_reason():
    findings = {finding.what: finding for finding in [*computing("cpu"), *machine()]}
    assert {"python", "torch", "device", "number format", "attention", "cores", "memory"} <= set(findings)
    assert findings["device"].found == "cpu"
    assert findings["number format"].found in ("float32", "bfloat16")
    assert all(finding.found and finding.why for finding in findings.values())


def test_video(monkeypatch):
    pytest.importorskip("av")
    assert "libx264" in video().found
    monkeypatch.setitem(sys.modules, "av", None)  # as if PyAV were not installed
    assert video()[1:] == ("missing", 'pip install "shotstream[video]"')


def test_extras_are_there_or_come_with_their_line():
    findings = {finding.what: finding for finding in extras()}
    assert {"extra video", "extra world", "extra train", "extra wan"} <= set(findings)
    for name, finding in findings.items():
        if finding.found != "yes":
            assert finding.why == f'pip install "shotstream[{name.removeprefix("extra ")}]"'


def test_weights(tmp_path):
    missing = weights(str(tmp_path / "nowhere"))
    assert missing.found == "missing"
    assert "no model" in missing.why
    (tmp_path / "model_index.json").write_text("{}")
    save_file({"weight": ones(1024, 256)}, tmp_path / "model.safetensors")
    assert weights(str(tmp_path)).found == "1.0 MiB"


def test_the_command_prints_it_all():
    result = CliRunner().invoke(app, ["doctor", "--device", "cpu"])
    assert result.exit_code == 0
    assert re.search("float32|bfloat16", result.stdout)


def test_the_plan_says_what_fits_and_how():
    result = CliRunner().invoke(app, ["doctor", "--plan"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "mini at 128x192 in bfloat16" in result.stdout
    assert "8 GB: shotstream generate STORY --model mini --text resident" in result.stdout
    assert "--decoder tiny" not in result.stdout  # mini has none


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no text encoder", "lacks its text_encoder; fetch or export it again"),
        ("foreign", "holds no model that ShotStream knows"),
        ("no transformer", "holds no model that ShotStream knows"),
        ("unknown class", "cannot be loaded: .*Nonsense"),
        ("no vae", "is no video autoencoder that ShotStream knows"),
        ("no index", "cannot be loaded: "),
    ],
)
def test_a_folder_that_cannot_be_planned_is_said_in_a_sentence(tmp_path, damage, message):
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "mini", folder)
    index = json.loads((folder / "model_index.json").read_text())
    if damage == "no text encoder":
        shutil.rmtree(folder / "text_encoder")
        del index["text_encoder"]
    changes = {
        "foreign": {"transformer": ["diffusers", "AutoencoderKLWan"]},
        "no transformer": {"transformer": [None, None]},
        "unknown class": {"transformer": ["diffusers", "Nonsense"]},
        "no vae": {"vae": [None, None]},
    }
    text = "[" if damage == "no index" else json.dumps(index | changes.get(damage, {}))
    (folder / "model_index.json").write_text(text)
    result = CliRunner().invoke(app, ["doctor", "--plan", "--model", str(folder)], env={"COLUMNS": "400"})
    assert result.exit_code == 1
    assert re.search(message, result.output), result.output
    assert "Repo id" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--height", "100"), "pictures of 100x192 cannot be made; the height must be a multiple of 16"),
        (("--model", "nobody/nothing"), "the model 'nobody/nothing' is not here"),
    ],
)
def test_what_cannot_be_planned_is_said(words, message):
    result = CliRunner().invoke(app, ["doctor", "--plan", *words], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert message in result.output
