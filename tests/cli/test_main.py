from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from shotstream import __version__
from shotstream.cli.main import app

pytestmark = pytest.mark.system


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_help_names_the_commands_without_loading_torch():
    code = "import sys; from shotstream.cli.main import app; app(standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert {"generate", "doctor", "world"} <= set(done.stdout.split())
    assert not {"torch", "diffusers", "av", "skia"} & set(done.stdout.split())


def test_version():
    assert run("--version").output.strip() == __version__


def test_a_users_mistake_is_one_sentence():
    result = run("generate", "nowhere.yaml")
    assert result.exit_code == 1
    assert result.stderr == "shotstream: nowhere.yaml: there is no such file; check the path.\n"


def test_every_mistake_of_a_story_file_is_told(tmp_path):
    path = tmp_path / "story.yaml"
    path.write_text("setting: x\nshots:\n  - promt: a cat\n    seconds: '[red]2[/red]'\n")
    result = run("generate", str(path))
    assert result.exit_code == 1
    assert "has 2 mistakes" in result.stderr
    assert "did you mean 'prompt'?" in result.stderr
    assert "'[red]2[/red]', but should be a number" in result.stderr


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it is empty", "it is empty."),
        ("it is empty.", "it is empty."),
        ("did you mean 'seed'?", "did you mean 'seed'?"),
        ('it is missing: pip install "shotstream[video]"', 'it is missing: pip install "shotstream[video]"'),
        ("fetch it with `git lfs pull`", "fetch it with `git lfs pull`"),
        ("tell it with shotstream generate", "tell it with shotstream generate."),
        ("a list:\n  one\n  two.", "a list:\n  one\n  two."),
    ],
)
def test_an_error_ends_with_a_full_stop_unless_it_ends_with_a_command(monkeypatch, said, shown):
    def fail(*_, **__):
        raise ValueError(said)

    monkeypatch.setattr("shotstream.cli.generate.name_loras", fail)
    assert run("generate", "first_story").stderr == f"shotstream: {shown}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "first_story", "--seed", "1e3"), "'1e3' should be a whole number, for example 7."),
        (("generate", "first_story", "--seed", "-1"), "'-1' should be greater than or equal to 0."),
        (("generate", "first_story", "--height", "x"), "'x' should be a whole number, for example 7."),
        (("studio", "--lookahead", "fast"), "'fast' should be a number, for example 2.5."),
    ],
)
def test_what_an_option_should_be_is_said_in_plain_words(words, said):
    result = run(*words)
    assert result.exit_code == 2
    shown = " ".join(result.stderr.replace("│", " ").split())
    assert f"Invalid value for '{words[-2]}': {said}" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "first_story", "-o", ""), "-o is empty, where a path is expected"),
        (("generate", "first_story", "--reference", ""), "--reference is empty, where a path"),
        (("generate", ""), "the word after 'generate' is empty, where a path"),
        (("train", "all", "mini", "--runs", ""), "--runs is empty, where a path"),
        (("world", "preview", "-o", ""), "-o is empty, where a path"),
        (("data", "check", ""), "the word after 'check' is empty, where a path"),
    ],
)
def test_an_empty_path_is_not_the_folder_one_is_in(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["preview", "portrait"])
def test_a_picture_is_not_written_over_a_file_of_another_kind(tmp_path, command):
    (tmp_path / "fox.yaml").write_text("setting: x")
    result = run("world", command, "-o", str(tmp_path / "fox.yaml"))
    assert result.exit_code == 1
    assert "a PNG file is written; give a name that ends in .png" in result.stderr
    assert (tmp_path / "fox.yaml").read_text() == "setting: x"


def test_an_error_of_the_system_names_the_file_and_the_remedy(monkeypatch, tmp_path):
    def fail(*_, **__):
        (tmp_path / "nowhere").read_text()

    monkeypatch.setattr("shotstream.cli.generate.name_loras", fail)
    said = run("generate", "first_story").stderr
    place = tmp_path / "nowhere"
    assert said == f"shotstream: {place}: No such file or directory; check the path and its permissions.\n"


def test_debug_shows_where_an_error_comes_from():
    result = run("--debug", "generate", "nowhere.yaml")
    assert type(result.exception).__name__ == "StoryError"


def test_a_missing_extra_names_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)  # as if Pillow were not installed
    result = run("world", "preview", "--stories", "1", "-o", str(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert 'pip install "shotstream[' in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_refused():
    result = run("genrate")
    assert result.exit_code == 2
    assert "No such command 'genrate'" in result.stderr
