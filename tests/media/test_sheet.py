from __future__ import annotations

import numpy as np
import pytest

from shotstream.media.pictures import write_png
from shotstream.media.sheet import contact_sheet, contact_sheets, find_sheets, write_sheets

image_module = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.unit

RED, BLUE = (np.full((32, 48, 3), colour, np.uint8) for colour in [(255, 0, 0), (0, 0, 255)])


def area(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=-1).sum())


def test_every_picture_is_shown_at_its_scale():
    sheet = contact_sheet([[RED, BLUE], [RED]], scale=2)
    assert area(sheet, (255, 0, 0)) == 2 * 64 * 96
    assert area(sheet, (0, 0, 255)) == 64 * 96
    assert sheet.shape[1] == 2 * 96 + 3 * 8


def test_captions_make_room_and_wrap():
    bare = contact_sheet([[RED, BLUE]], scale=4)
    short = contact_sheet([[RED, BLUE]], [["A cat.", ""]], scale=4)
    under_one = contact_sheet([[RED, BLUE]], [["A red cat with a top hat waves hello.", ""]], scale=4)
    under_all = contact_sheet([[RED, BLUE]], [["A red cat with a top hat waves hello."]], scale=4)
    assert bare.shape[0] < short.shape[0] == under_all.shape[0] < under_one.shape[0]


@pytest.mark.parametrize("rows", [[], [[]], [[RED], []]])
def test_an_empty_sheet_is_refused(rows):
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet(rows)


def test_a_wrong_number_of_captions_is_refused():
    with pytest.raises(ValueError, match="3 pictures has 2 captions"):
        contact_sheet([[RED] * 3], [["one", "two"]])


def test_png_round_trip(tmp_path):
    path = tmp_path / "a.png"
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    write_png(path, picture)
    assert np.array_equal(np.asarray(image_module.open(path)), picture)
    assert list(tmp_path.iterdir()) == [path]


def test_rows_beyond_what_a_picture_file_may_hold_go_on_another_sheet():
    rows, captions = [[RED, BLUE]] * 102, [["A red cat."]] * 102
    sheets = contact_sheets(rows, captions, scale=6)
    whole = contact_sheet(rows, captions, scale=6)
    assert whole.shape[0] > 16_383 >= max(sheet.shape[0] for sheet in sheets)
    assert len(sheets) == 2
    assert sum(area(sheet, (255, 0, 0)) for sheet in sheets) == area(whole, (255, 0, 0))
    assert len(contact_sheets(rows[:5], captions[:5], scale=6)) == 1


def test_a_row_that_is_too_wide_is_broken():
    texts = [f"{number}" for number in range(7)]
    (sheet,) = contact_sheets([[RED] * 7], [texts], longest_side=200)
    assert sheet.shape[1] == 3 * 48 + 4 * 8
    assert area(sheet, (255, 0, 0)) == 7 * 32 * 48
    with pytest.raises(ValueError, match="7 pictures has 8 captions"):
        contact_sheets([[RED] * 7], [[*texts, "one too many"]], longest_side=200)


def test_a_picture_larger_than_a_sheet_may_be_has_one_of_its_own():
    assert [sheet.shape[:2] for sheet in contact_sheets([[RED], [BLUE]], longest_side=20)] == [(52, 64)] * 2


def test_sheets_replace_those_that_were_there(tmp_path):
    path = tmp_path / "contact_sheet.png"
    (tmp_path / "contact_sheet_mine.png").write_text("")
    assert write_sheets(path, [[RED]] * 3) == [path]
    many = write_sheets(path, [[RED]] * 4000)
    assert [file.name for file in many] == [f"contact_sheet_{number:02d}.png" for number in range(1, 12)]
    assert find_sheets(path) == many
    assert not path.exists()
    assert write_sheets(path, [[RED]] * 3) == [path] == find_sheets(path)
    assert (tmp_path / "contact_sheet_mine.png").exists()
