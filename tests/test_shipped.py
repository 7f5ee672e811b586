"""Example stories and recipes are found by name, and a person's own files come first."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotstream import Story
from shotstream.shipped import find_file, shipped_names

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", shipped_names("stories"))
def test_every_shipped_story_reads_by_its_name(name: str) -> None:
    assert Story.read(name).shots


def test_a_persons_own_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(Path("first_story"), "stories").is_file()
    assert find_file(Path("stories/first_story.yaml"), "stories").is_file()
    own = Path("first_story.yaml")
    own.write_text("setting: mine\nshots: [runs]\n")
    assert find_file(own, "stories") == own
    assert Story.read(own).setting == "mine"


def test_what_nobody_has_stays_what_was_asked_for() -> None:
    assert find_file(Path("nowhere/nothing.yaml"), "recipes") == Path("nowhere/nothing.yaml")
