"""The glossary names files that exist, and every word once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.law

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| word |")
]


def test_its_files_exist() -> None:
    named = {name for *_, where in ROWS for name in re.findall(r"`([\w/]+\.py)`", where)}
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / "src" / "shotstream" / name).is_file()] == []


def test_a_word_has_one_row() -> None:
    words = [word for word, *_ in ROWS]
    assert len(words) > 40
    assert len(words) == len(set(words))


PLAIN_WORDS = """
a access add allow app as ask attach attachment attention auto back background backup before began begin
beginning best body bring build by bytes catalogue change changed changes check choice choose close config
connections content create damaged database decode delete deleted deletion desk direct dropped edit empty
encode encoded end entries entry error errors extend facts fake family fault figures file files film find
fit folder for forget forgettable form from full gather generator get given gives half has head header hide
hold host id image import in is keep keeper key large leave limits links list listed live load loader log
lost machine made make mark measure memory message meter model most move name networks never new newest no
nobody note nothing number numbers of open other output pack page parent pause pending picture pictures
pixels place placed plan planned playback prepare problem problems put queue read reader recommend record
refusal refused remembered remove rename report result resume retrieve rule say scaled score scripted
seconds select send served server set settings shared shares shot shots show shown shrink side size sizes
slow socket source speed state still stop stopped store stored stories stream strict subtitles sum summaries
summary sums swept take takes tasks tell there thread timeline titled to told tolerant too tracker turned
undo units unknown unpin up upload uploaded uploads use used video videos wait waiting warning warnings
watch web whole with words write writer
"""
PLAIN = set(PLAIN_WORDS.split())
"""Words of names that mean what they mean everywhere. What does not belongs into the glossary."""


def words_of(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"OpenAI|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def public_names() -> set[str]:
    """Classes and functions of streaming/ and serving/; Alembic asks for those of migrations."""
    files = [
        path for part in ("streaming", "serving") for path in (ROOT / "src/shotstream" / part).rglob("*.py")
    ]
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (
        node for path in files if "migrations" not in path.parts for node in ast.parse(path.read_text()).body
    )
    return {node.name for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")}


def test_every_word_of_a_public_name_is_explained_or_plain() -> None:
    explained = {word.lower() for term, *_ in ROWS for word in re.findall(r"\w+", term)}
    used = {word for name in public_names() for word in words_of(name)}
    unknown = {word for word in used - PLAIN if not {word, word.removesuffix("s")} & explained}
    assert unknown == set(), "explain them in docs/glossary.md, or name the thing in plain English"
    assert len(used) > 200
