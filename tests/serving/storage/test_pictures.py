"""Pictures that people brought."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.serving.storage.numbered_story import begin

pytestmark = pytest.mark.unit


def picture(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_a_picture_reads_back_and_the_same_picture_has_the_same_name(store):
    upload = store.add_picture(picture(0))
    assert re.fullmatch("[a-z0-9]{1,64}", upload)
    assert store.add_picture(picture(0)) == upload
    assert np.array_equal(store.picture(upload), picture(0))
    assert [file.name for file in (store.folder / "uploads").iterdir()] == [f"{upload}.png"]


def test_other_pictures_have_other_names(store):
    flat = np.zeros((4, 9, 3), np.uint8)
    names = {store.add_picture(pixels) for pixels in (picture(0), picture(1), flat, flat.reshape(9, 4, 3))}
    assert len(names) == 4


@pytest.mark.parametrize(
    "name",
    ["159ecc12", "", "../secret", "/etc/passwd", "a/../../secret", "A", "a.b", "a\n", "a\0", "x" * 65, "é"],
)
def test_a_name_that_no_picture_has_leads_nowhere(store, name):
    begin(store)
    upload = store.add_picture(picture(0))
    (store.folder / "secret.png").write_bytes(store.picture_file(upload).read_bytes())
    with pytest.raises(LookupError, match="no picture"):
        store.picture(name)


@pytest.mark.parametrize("name", ["../secret", "", "a/b", "a\0"])
def test_no_file_outside_of_the_uploads_is_named(store, name):
    with pytest.raises(LookupError, match="no picture"):
        store.picture_file(name)
