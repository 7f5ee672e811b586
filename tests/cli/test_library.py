from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shotstream.cli.main import app
from shotstream.serving.storage.store import Store
from tests.serving.storage.numbered_story import check, tell

pytestmark = pytest.mark.unit


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["library", *(str(word) for word in words)])


@pytest.fixture
def library(tmp_path) -> Path:
    with Store(tmp_path / "library") as store:
        tell(store, 5)
    return tmp_path / "library"


def test_a_library_is_copied_and_checked(library, tmp_path):
    made = run("backup", tmp_path / "copy", "--library", library)
    assert (made.exit_code, "1 stories, 4 files, 4 of them as hard links" in made.output) == (0, True)
    for folder in (library, tmp_path / "copy"):
        said = run("check", "--library", folder)
        assert (said.exit_code, "nothing is wrong" in said.output) == (0, True)


def test_what_is_wrong_is_said_and_ends_with_1(library):
    lost = next(library.glob("stories/*/chunks/*"))
    lost.unlink()
    said = run("check", "--library", library)
    assert said.exit_code == 1
    assert re.search(r"missing chunk: stories/\S+ \(chunk \d of shot 1, take 1\); put it back", said.output)
    assert "1 things are wrong" in said.output


def test_stories_that_the_database_does_not_know_are_taken_in(library, tmp_path):
    with Store(library) as store:
        story = store.stories()[0].id
    with Store(tmp_path / "other"):
        shutil.copytree(library / "stories", tmp_path / "other" / "stories")
    (tmp_path / "other" / "stories" / "abcdefghijkl" / "chunks").mkdir(parents=True)
    assert run("check", "--library", tmp_path / "other").output.count("unknown folder") == 2
    said = run("check", "--adopt", "--library", tmp_path / "other")
    assert said.exit_code == 1, "one of them is still there"
    assert f"Took in 5 entries of story {story}." in said.output
    assert "abcdefghijkl cannot be taken in: its folder has no chunks" in said.output
    with Store(tmp_path / "other") as store:
        assert check(store.load(story)) == 5


def test_pictures_are_listed_and_removed(library):
    with Store(library) as store:
        import numpy as np

        name = store.add_picture(np.zeros((2, 2, 3), np.uint8))
    assert f"{name} not used by any story" in run("pictures", "--library", library).output
    assert run("pictures", "--library", library, "--remove", name).exit_code == 0
    assert run("pictures", "--library", library).output == ""
    assert run("pictures", "--library", library, "--remove", name).exit_code == 1


def test_a_folder_that_is_no_library_is_named(tmp_path):
    for words in (("check",), ("backup", tmp_path / "copy"), ("pictures",)):
        said = run(*words, "--library", tmp_path / "nothing")
        assert said.exit_code == 1
        assert "there is no library in" in said.stderr
