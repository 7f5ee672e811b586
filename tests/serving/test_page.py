"""The page that the package ships is the one that the sources make."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from shotstream.serving.web.app import PAGE

pytestmark = pytest.mark.unit

SOURCES = Path(__file__).parents[2] / "studio"


def test_the_page_was_built_from_its_sources() -> None:
    files = [SOURCES / "index.html", SOURCES / "package-lock.json"]
    files += [
        file for folder in ("public", "src") for file in (SOURCES / folder).rglob("*") if file.is_file()
    ]
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(SOURCES).as_posix(), file) for file in files):
        digest.update(name.encode() + b"\0" + file.read_bytes())
    built = json.loads((PAGE / "sources.json").read_text())
    assert built["sha256"] == digest.hexdigest(), "the page was changed; build it: make page"


def test_the_page_asks_nothing_of_others_and_has_no_code_in_it() -> None:
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=|https?://", page)
    for name in re.findall(r'(?:src|href)="\.?/?([^"]+)"', page):
        assert (PAGE / name).is_file(), name
