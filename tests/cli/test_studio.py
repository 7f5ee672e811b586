from __future__ import annotations

import socket

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shotstream.cli import studio
from shotstream.cli.main import app
from shotstream.serving.web.access import Access

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("computing", "name"),
    [
        ({}, "mini"),
        ({"attention": "native", "attention to the cache": "as they are"}, "mini"),
        ({"blocks": "compiled", "GELU": "in the product"}, "mini blocks=compiled GELU=in-the-product"),
        ({"attention to the cache": "float8"}, "mini attention-to-the-cache=float8"),
    ],
)
def test_stories_are_marked_with_what_changes_their_numbers(pipeline, monkeypatch, computing, name):
    monkeypatch.setattr(studio, "load", lambda *options: (pipeline, {}))
    monkeypatch.setattr(studio, "apply_mode", lambda *options: {"computing": computing})
    served = studio._served("mini", studio._How(dtype="float32", mode="fast"), "cpu")
    assert served.name == name
    assert served.made_with.model.startswith(name)
    assert served.made_with.model.split()[-1] == served.weights[:12]


def test_stories_are_marked_with_the_memory_rule(pipeline, monkeypatch):
    monkeypatch.setattr(studio, "load", lambda *options: (pipeline, {}))
    monkeypatch.setattr(studio, "apply_mode", lambda *options: {"computing": {}})
    try:
        served = studio._served(
            "mini", studio._How(dtype="float32", mode="plain", memory_rule="words"), "cpu"
        )
        words = served.made_with
    finally:
        pipeline.register_to_config(memory_rule="spread")
    assert words.model.startswith("mini memory=words ")
    assert words.identity != served.made_with.identity


def test_a_library_that_is_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "library").write_text("")
    result = CliRunner().invoke(
        app, ["studio", "--library", str(tmp_path / "library")], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 1
    assert "library is a file; name a folder, which need not exist yet." in result.output


def test_the_page_s_address_is_said_and_given(capsys, tmp_path):
    assert studio._greet("127.0.0.1", 8000, Access(), tmp_path) == "http://127.0.0.1:8000"
    access = Access("secret[1]&#+%", origins=("https://a.example",), root_path="/studio")
    page = studio._greet("::1", 80, access, tmp_path)
    assert page == "http://[::1]:80/?token=secret%5B1%5D%26%23%2B%25"
    printed = capsys.readouterr().out
    assert f"Studio: {page}" in printed
    assert f"https://a.example/studio/?{page.partition('?')[2]}" in printed


@pytest.mark.parametrize(("host", "families"), [("127.0.0.1", "4"), ("::1", "6"), ("::", "46")])
def test_an_address_is_listened_at_in_its_families(host, families):
    try:
        listener = studio._listen(host, 0)
    except ValueError:
        pytest.skip("this machine has no IPv6")
    with listener:
        for family, address in (("4", "127.0.0.1"), ("6", "::1")):
            try:
                socket.create_connection((address, listener.getsockname()[1]), 5).close()
            except OSError:
                assert family not in families
            else:
                assert family in families


@pytest.mark.parametrize(
    "options",
    [["--token", ""], ["--token", "a b"], ["--token", "é"], ["--origin", "a.b"], ["--root-path", "a/"]],
)
def test_what_nobody_could_get_in_with_is_refused_at_the_start(options, tmp_path):
    arguments = ["studio", "--library", str(tmp_path / "library"), *options]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert options[0].strip("-") in refused.output
    assert not (tmp_path / "library").exists()


@pytest.mark.parametrize(("display", "opens"), [({"DISPLAY": ":0"}, True), ({}, False)])
def test_a_page_is_opened_only_where_there_is_a_screen(monkeypatch, display, opens):
    monkeypatch.setattr(studio.sys, "platform", "linux")
    monkeypatch.setattr(studio.os, "environ", display)
    monkeypatch.setattr(studio, "console", Console(force_terminal=True))
    assert studio._has_screen() == opens
    monkeypatch.setattr(studio, "console", Console(force_terminal=False))
    assert not studio._has_screen()
