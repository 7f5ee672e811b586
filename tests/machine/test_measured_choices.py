"""What was measured once is chosen again, on the same machine, for the same thing."""

from __future__ import annotations

import os

import pytest
import torch

from shotstream.machine import measured_choices
from shotstream.machine.device import Choice
from shotstream.machine.measured_choices import MeasuredChoices, keep_compiled_code

pytestmark = pytest.mark.unit

FACTS = {"shape": (8, 24), "dtype": "float32"}


def never() -> Choice[str]:
    raise AssertionError("it is measured again")


@pytest.fixture
def choices(tmp_path):
    return MeasuredChoices(tmp_path / "choices", torch.device("cpu"))


def test_what_was_measured_is_chosen_again(choices, tmp_path):
    assert choices.choose("attention", FACTS, lambda: Choice("flash", "3 ms")) == Choice("flash", "3 ms")
    again = MeasuredChoices(tmp_path / "choices", torch.device("cpu")).choose("attention", FACTS, never)
    assert again == Choice("flash", "measured before: 3 ms")


@pytest.mark.parametrize("changed", ["what", "facts", "version", "device"])
def test_anything_else_is_measured(choices, tmp_path, monkeypatch, changed):
    choices.keep("attention", FACTS, Choice("flash", "3 ms"))
    what, facts, other = "attention", FACTS, choices
    if changed == "what":
        what = "layers"
    elif changed == "facts":
        facts = FACTS | {"dtype": "bfloat16"}
    elif changed == "version":
        monkeypatch.setattr(measured_choices.metadata, "version", lambda name: "99")
    else:
        other = MeasuredChoices(tmp_path / "choices", torch.device("meta"))
    assert other.known(what, facts) is None
    assert other.choose(what, facts, lambda: Choice("native", "2 ms")).value == "native"


def test_of_two_that_measure_at_once_both_take_the_first(choices):
    def measure() -> Choice[str]:
        choices.keep("attention", FACTS, Choice("flash", "another process"))
        return Choice("native", "this one")

    assert choices.choose("attention", FACTS, measure).value == "flash"


def test_a_damaged_file_is_measured_anew(choices, tmp_path):
    choices.keep("attention", FACTS, Choice("flash", "3 ms"))
    [file] = (tmp_path / "choices").iterdir()
    for damage in ("", "[]", '{"value": "flash"}'):
        file.write_text(damage)
        assert choices.choose("attention", FACTS, lambda: Choice("native", "2 ms")).value == "native"
        assert choices.choose("attention", FACTS, never).value == "native"


def test_nothing_is_kept_where_nothing_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        choices = MeasuredChoices(folder, torch.device("cpu"))
        assert choices.choose("attention", FACTS, lambda: Choice("a", "")).value == "a"
        assert choices.choose("attention", FACTS, lambda: Choice("b", "")).value == "b"


def test_what_cannot_be_measured_is_not_kept(choices):
    with pytest.raises(AssertionError):
        choices.choose("attention", FACTS, never)
    assert choices.known("attention", FACTS) is None


def test_what_is_compiled_is_kept_beside_the_choices_unless_a_person_says_where(tmp_path, monkeypatch):
    place = "TORCHINDUCTOR_CACHE_DIR"
    monkeypatch.setenv(place, "asked")
    monkeypatch.setenv("SHOTSTREAM_CACHE", str(tmp_path / "cache"))
    keep_compiled_code()
    assert os.environ[place] == "asked"
    monkeypatch.delenv(place)
    keep_compiled_code()
    assert os.environ[place] == str(tmp_path / "cache" / "compiled")
    assert (tmp_path / "cache" / "compiled").is_dir()
    for nowhere in ("off", str(tmp_path / "file" / "cache")):
        (tmp_path / "file").touch()
        monkeypatch.delenv(place, raising=False)
        monkeypatch.setenv("SHOTSTREAM_CACHE", nowhere)
        keep_compiled_code()
        assert place not in os.environ
