"""What files are called."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shotstream.serving.delivery.export import file_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The Fox and the Lantern", "the-fox-and-the-lantern"),
        ("  Don't -- stop!  ", "don-t-stop"),
        ("Ünïcode ﬁlm №2", "ünïcode-film-no2"),
        ("狐と提灯", "狐と提灯"),
        ("हिन्दी कहानी", "हिन्दी-कहानी"),
        ("../../etc/passwd", "etc-passwd"),
        ("🦊", "none"),
        ("", "none"),
        ("word " * 30, "-".join(["word"] * 12)),
        ("x" * 80, "x" * 60),
    ],
)
def test_names_of_files(text: str, name: str) -> None:
    assert file_name(text, "none") == name


@given(st.text())
@example("\r\nset-cookie: a=b")
@example('a";b')
def test_a_name_is_letters_digits_and_single_hyphens(text: str) -> None:
    name = file_name(text, "none")
    assert 1 <= len(name) <= 60
    assert not re.search(r"^-|-$|--", name)
    assert all(sign == "-" or unicodedata.category(sign)[0] in "LMN" for sign in name)


@given(st.lists(st.text("abcdefghij0123456789", min_size=1, max_size=5), min_size=1, max_size=9))
def test_words_stay_as_they_are(words: list[str]) -> None:
    assert file_name(" / ".join(words).upper(), "none") == "-".join(words)
