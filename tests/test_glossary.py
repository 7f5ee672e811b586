"""The glossary names files that exist, and every word once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.law

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| word")
]


def test_its_files_exist() -> None:
    named = {name for *_, where in ROWS for name in re.findall(r"`([\w/]+\.py)`", where)}
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / "src" / "shotstream" / name).is_file()] == []


def test_a_word_has_one_row() -> None:
    words = [word for word, *_ in ROWS]
    assert len(words) > 40
    assert len(words) == len(set(words))
