"""Shots as CSV, and scripts that are written as they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.media.final_draft import write_final_draft
from shotstream.media.script_writing import write_fountain, write_markdown, write_text_script
from shotstream.media.scripts import read_script
from shotstream.media.shot_table import TableError, looks_like_table, read_table, write_table
from shotstream.story import Shot

pytestmark = pytest.mark.unit

shots = st.builds(
    Shot,
    prompt=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp"]), min_size=1)
    .map(str.strip)
    .filter(bool),
    seconds=st.none() | st.floats(0.1, 3600),
    seed=st.none() | st.integers(0, 2**53 - 1),
    lora=st.none() | st.lists(st.sampled_from(["oil:0.5", "grain"]), max_size=2, unique=True),
    take=st.integers(0, 3),
    in_frame=st.none() | st.integers(0, 5),
    out_frame=st.none() | st.integers(6, 9),
)


@given(st.lists(shots, min_size=1, max_size=5))
def test_a_table_is_read_as_it_was_written(some: list[Shot]) -> None:
    assert read_table(write_table(some)) == some


def test_columns_stand_in_any_order_and_empty_fields_leave_open() -> None:
    (first, second) = read_table("Seed;Prompt;Seconds\n7;A fox, and an owl.;2,5\n\n;It sleeps.;\n")
    assert (first.prompt, first.seed, first.seconds) == ("A fox, and an owl.", 7, 2.5)
    assert (second.prompt, second.seed, second.seconds) == ("It sleeps.", None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the table is empty; name the columns"),
        ("prompt,seed\n", "the table has no shot"),
        ("words,seed\nIt runs.,3", "line 1: no column is called prompt"),
        ("prompt,sed\nIt runs.,3", "line 1, column 2: 'sed' means nothing here; call it one of prompt,"),
        ("prompt,prompt\na,b", "line 1, column 2: a column is called prompt already"),
        ("prompt,seed\nIt runs.,many", "line 2, column seed: 'many' is no whole number; write digits"),
        ("prompt,seconds\n\nIt runs.,0", "line 3, column seconds: '0' is no length in seconds"),
        ("prompt,seed\n,3", "line 2, column prompt: it is empty"),
        ("prompt,seed\nIt runs, and stops.,3", "line 2: there is '3' beyond the last column"),
        ("prompt,seconds,chunks\nIt runs.,2,3", "line 2, column chunks: the shot has seconds, too"),
        ('prompt,seed\n"It runs.,3', "the table is damaged there"),
        ("prompt,in_frame,out_frame\nIt runs.,5,2", "line 2"),
        ("prompt,seed\nIt runs.,99999999999999999999", "line 2"),
    ],
)
def test_a_mistake_names_line_column_and_remedy(text: str, said: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(text)
    assert said in str(caught.value)


def test_a_text_with_commas_is_no_table() -> None:
    assert looks_like_table("prompt,seed\nIt runs.,3\n")
    assert not looks_like_table("The cat waves, then sleeps.\nA prompt, and so on.\n")
    assert not looks_like_table("prompt,seed")


words = st.lists(
    st.sampled_from(["Fox", "runs", "INT", "to", "#3", "(V.O.)", "TO:", "A"]), min_size=1, max_size=5
)
sentences = words.map(lambda some: f"The {' '.join(some)}.")


@given(sentences, st.lists(sentences, min_size=2, max_size=5))
def test_scripts_are_read_as_they_were_written(setting: str, some: list[str]) -> None:
    written = {
        "md": write_markdown("The fox", setting, some),
        "fountain": write_fountain("The fox", setting, some),
        "fdx": write_final_draft("The fox", setting, some),
    }
    for kind, text in written.items():
        script = read_script(text, kind)
        assert (script.title, script.setting, script.shots) == ("The fox", setting, some), kind
    assert read_script(write_text_script(some), "txt").shots == some
