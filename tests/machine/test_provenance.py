"""Figures name the code that they come from."""

import subprocess

import pytest

from shotstream.machine import provenance

pytestmark = pytest.mark.unit


def test_the_commit_is_that_of_the_code(tmp_path, monkeypatch):
    package = tmp_path / "src"
    monkeypatch.setattr(provenance, "_PACKAGE", package)

    def change(name, text, commit=True):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if commit:
            git("add", "-A")
            git("commit", "-m", name)

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    package.mkdir()
    assert provenance.commit() is None
    git("init")
    change("src/code.py", "1")
    first = provenance.commit()
    assert first is not None
    assert len(first) == 40
    change("docs/results.md", "figures")
    change("src/weights/mini/README.md", "card")
    change("docs/results.md", "more", commit=False)
    assert provenance.commit() == first
    change("src/code.py", "2", commit=False)
    assert provenance.commit() == f"{first}-dirty"
    change("src/code.py", "3")
    assert provenance.commit() not in (first, f"{first}-dirty")
