from __future__ import annotations

import numpy as np
import pytest

from shotstream.media.pictures import write_png
from shotstream.media.sheet import contact_sheet

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
