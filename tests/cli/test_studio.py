from __future__ import annotations

import pytest

from shotstream.cli import studio

pytestmark = pytest.mark.system


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
    monkeypatch.setattr(studio, "apply_mode", lambda *options: {"computing": computing})
    served = studio._served("mini", "cpu", "full", "float32", "auto", "fast", "auto")
    assert served.name == name
    assert served.made_with.model.startswith(name)


def test_the_page_s_address_is_said_and_given(capsys, tmp_path):
    assert studio._greet("127.0.0.1", 8000, None, tmp_path) == "http://127.0.0.1:8000"
    page = studio._greet("::1", 80, "secret[1]", tmp_path)
    assert page == "http://[::1]:80/?token=secret[1]"
    assert f"Studio: {page}" in capsys.readouterr().out


@pytest.mark.parametrize(("display", "opens"), [({"DISPLAY": ":0"}, True), ({}, False)])
def test_a_page_is_opened_only_where_there_is_a_screen(monkeypatch, display, opens):
    monkeypatch.setattr(studio.sys, "platform", "linux")
    monkeypatch.setattr(studio.os, "environ", display)
    monkeypatch.setattr(studio, "console", studio.Console(force_terminal=True))
    assert studio._has_screen() == opens
    monkeypatch.setattr(studio, "console", studio.Console(force_terminal=False))
    assert not studio._has_screen()
