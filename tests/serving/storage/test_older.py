"""Libraries that an older ShotStream wrote open, go on, and are checked as far as one can."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from safetensors.torch import save_file

from shotstream.serving.storage.integrity import check_library
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoreError, Swept
from tests.serving.storage.numbered_story import ONE_SHOT, check, check_board, clip, journal, latents

pytestmark = pytest.mark.unit

STORY = "oldlibrary01"
ENTRIES = 7


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A library of schema 0002: its database as that ShotStream wrote it, and its files."""
    library = tmp_path / "library"
    folder = library / "stories" / STORY
    for inside in ("chunks", "clips", "stills"):
        (folder / inside).mkdir(parents=True)
    with closing(sqlite3.connect(library / "library.db")) as connection:
        connection.executescript(Path(__file__).with_name("library_0002.sql").read_text())
    for position in (number for number in range(ENTRIES) if ONE_SHOT[number] == "c"):
        stem = f"0-0-{ONE_SHOT[:position].count('c')}-{position}"
        save_file({"latents": latents(position)}, folder / "chunks" / f"{stem}.safetensors")
        (folder / "clips" / f"{stem}.packets").write_bytes(clip())
    (folder / "stills" / "0-0-3.png").write_bytes(b"a still")
    return library


def test_an_older_library_opens_with_all_that_it_has_and_goes_on(older):
    with Store(older) as store:
        assert store.sweep() == Swept()
        assert check_library(store) == []
        told = store.load(STORY)
        assert (check(told), told.title, {chunk.sha256 for chunk in told.chunks}) == (7, "The fox", {None})
        check_board(store.snapshot(STORY), ENTRIES)
        for number in range(ENTRIES, ENTRIES + 4):
            journal(store, STORY, number)
    with Store(older) as store:
        told = store.load(STORY)
        assert check(told) == ENTRIES + 4
        assert [chunk.sha256 is None for chunk in told.chunks] == [True] * 3 + [False] * 2
        assert check_library(store) == []


def test_a_still_without_a_checksum_is_made_anew(older):
    with Store(older) as store:
        assert store.read_still(STORY, (0, 0, 3)) is None


def test_what_an_older_library_lacks_is_found(older):
    files = sorted((older / "stories" / STORY / "chunks").iterdir())
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    (older / "stories" / STORY / "clips" / files[2].with_suffix(".packets").name).write_bytes(clip()[:-1])
    with Store(older) as store:
        kinds = [finding.kind for finding in check_library(store)]
    assert kinds == ["missing chunk", "damaged chunk", "damaged clip"]


def test_an_older_folder_cannot_be_taken_in_and_it_is_said_why(older, tmp_path):
    with Store(tmp_path / "other") as store:
        (store.folder / "stories").mkdir()
        (older / "stories" / STORY).rename(store.folder / "stories" / STORY)
        with pytest.raises(StoreError, match="an older ShotStream wrote them; put back the"):
            store.adopt(STORY)
        assert store.stories() == []
