from __future__ import annotations

import pytest

from shotstream.cli import studio

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize(
    ("computing", "name"),
    [
        ({}, "mini fast"),
        ({"attention to the cache": "as they are"}, "mini fast"),
        ({"attention to the cache": "float8"}, "mini fast float8 attention"),
    ],
)
def test_stories_are_marked_with_what_changes_their_numbers(pipeline, monkeypatch, computing, name):
    monkeypatch.setattr(studio, "load", lambda *options: (pipeline, {}))
    monkeypatch.setattr(studio, "make_fast", lambda *options: {"computing": computing})
    served = studio._served("mini", "cpu", "full", "float32", "auto", "fast", "auto")
    assert served.name == name
    assert served.made_with.model.startswith(name)
