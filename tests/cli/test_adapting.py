"""`generate --adapt` and `--check`: words alone, before any model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.cli.shared.adapting import adapt_and_check
from shotstream.loading.folders import ModelError, locate_model, read_form
from shotstream.story import Story
from tests.chat_server import ChatServer, told

pytestmark = pytest.mark.unit

STORY = """
setting: A blue robot is in a forest at night.
cast:
  - name: Rosie
    description: a little red fox with a bow
    pictures: [rosie.png]
shots:
  - prompt: our robot is dancing, seen from far away
    redirects: [{chunk: 1, prompt: he fell down and sat}]
  - Rosie runs
  - A red robot sleeps in a castle.
"""


@pytest.fixture
def story(tmp_path: Path) -> Story:
    (tmp_path / "story.yaml").write_text(STORY)
    return Story.read(tmp_path / "story.yaml")


@pytest.fixture
def mini() -> str:
    return locate_model("mini")


def test_adapting_shows_and_uses_both_texts(story: Story, mini: str, capsys) -> None:
    adapted = adapt_and_check(story, mini, None, None, adapt=True, check=False)
    assert [shot.prompt for shot in adapted.shots] == [
        "Wide shot of the blue robot dancing.",
        "Medium shot of the red fox walking along.",
        "A red robot sleeps in a castle.",
    ]
    assert adapted.shots[0].redirects[0].prompt == "Medium shot of the blue robot sitting down."
    assert adapted.setting == "A blue robot and a red fox wearing a bow are in a forest at night."
    said = capsys.readouterr().out
    assert "shot 2: Rosie runs\n  -> Medium shot of the red fox walking along.\n" in said
    assert "shot 1, redirect 1: he fell down and sat\n  -> " in said
    again = adapt_and_check(adapted, mini, None, None, adapt=True, check=False)
    assert again == adapted


def test_a_check_makes_nothing_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "story.yaml").write_text(STORY.replace("    pictures: [rosie.png]\n", ""))
    run = CliRunner().invoke(app, ["generate", str(tmp_path / "story.yaml"), "--check"])
    assert run.exit_code == 1
    assert "shot 3: The robot of this story is blue, not red." in run.output
    assert "shot 2: The model knows no names: for Rosie, say “the red fox”." in run.output
    assert list(tmp_path.iterdir()) == [tmp_path / "story.yaml"]
    (tmp_path / "good.yaml").write_text(
        "setting: A blue robot is in a forest.\nshots: [Wide shot of the robot dancing.]"
    )
    run = CliRunner().invoke(app, ["generate", str(tmp_path / "good.yaml"), "--check", "--adapt"])
    assert run.exit_code == 0
    assert "All prompts have the model's form already." in run.output
    assert "Nothing to mark: the model knows all words." in run.output


def test_an_endpoint_adapts(story: Story, mini: str, capsys) -> None:
    chat = ChatServer()
    chat.answers = [(401, "no such key", {})]
    adapted = adapt_and_check(story, mini, chat.url, "words", adapt=True, check=False)
    assert adapted.shots[0].prompt == "Wide shot of the blue robot dancing."
    assert "The rules did it instead." in " ".join(capsys.readouterr().out.split())
    prompts = ["The robot dances.", "The fox walks.", "The robot sleeps.", "The robot sits down."]
    chat.answers = [told({"prompts": prompts})]
    adapted = adapt_and_check(story, mini, chat.url, "words", adapt=True, check=False)
    assert [shot.prompt for shot in adapted.shots] == prompts[:3]
    assert adapted.shots[0].redirects[0].prompt == prompts[3]
    chat.close()


def test_options_that_do_not_go_together(story: Story, mini: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="adapts nothing without --adapt"):
        adapt_and_check(story, mini, "http://a", "words", adapt=False, check=True)
    with pytest.raises(ModelError, match="is not on this disk, or damaged; fetch it first"):
        adapt_and_check(story, str(tmp_path), None, None, adapt=True, check=False)
    (tmp_path / "model_index.json").write_text(json.dumps({"prompt_form": {"slots": 1}}))
    with pytest.raises(ModelError, match=r"prompt_form in model_index\.json cannot be used"):
        read_form(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    assert read_form(tmp_path) is None


def test_the_shipped_model_has_the_form_of_its_words(mini: str) -> None:
    form = read_form(Path(mini))
    assert form
    tokens = json.loads((Path(mini) / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    assert form.known_words == {word for word in tokens if word.isalpha()}
