from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.media.scripts import SCRIPT_KINDS, Script, read_script

pytestmark = pytest.mark.unit

CASES = json.loads((Path(__file__).parents[2] / "studio" / "tests" / "scripts.json").read_text())

FOUNTAIN = """Title: The **Hat**
Author: Somebody

EXT. MEADOW - SUNNY DAY #1#

An orange cat with a top hat
waves hello.

CAT (O.S.)
(smiling)
Hello!

[[a note]] The cat dances.

CUT TO:

INT. CASTLE - NIGHT

= They sleep.

!THE CAT SLEEPS.

# Act two

.Beach

~La la

> The end <

The cat /* not seen */ jumps.
"""


def test_a_screenplay_becomes_scenes_and_shots() -> None:
    assert read_script(FOUNTAIN, "fountain") == Script(
        title="The Hat",
        setting="Meadow, sunny day.",
        shots=[
            "An orange cat with a top hat waves hello.",
            "The cat dances.",
            "Castle, night. THE CAT SLEEPS.",
            "Beach. The cat jumps.",
        ],
    )


def test_who_speaks_is_the_cast_with_the_looks_that_the_script_gives() -> None:
    text = (
        "EXT. BEACH\n\nROSIE, a little red fox, runs.\n\nROSIE (O.S.)\nHey!\n\nROSIE (softly)\nHello!\n\n"
        "Bob (an old owl) waves to Ann.\n\n@Bob ^\nHo!\n\nANN\nHi!\n\nNARRATOR (V.O.)\nThey meet."
    )
    cast = {"Rosie": "a little red fox", "Bob": "an old owl", "Ann": ""}
    assert read_script(text, "fountain").cast == cast


def test_back_in_the_first_scene_its_heading_is_not_said_again() -> None:
    script = read_script("EXT. BEACH\n\nA.\n\nINT. CITY\n\nB.\n\nEXT. BEACH\n\nC.", "fountain")
    assert script.shots == ["A.", "City. B.", "C."]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_text_becomes_the_shots_that_the_page_shows(case: dict) -> None:
    script = read_script(case["text"], case["kind"])
    assert [script.title, script.setting, script.shots] == [case["title"], case["setting"], case["shots"]]


@pytest.mark.parametrize(("text", "kind"), [("", "txt"), ("# Only a title", "md"), ("CUT TO:", "fountain")])
def test_a_script_without_shots_is_refused(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match="no shot"):
        read_script(text, kind)


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ValueError, match="pdf"):
        read_script("A cat.", "pdf")


@given(st.text(), st.sampled_from(SCRIPT_KINDS))
def test_whatever_is_written_gives_one_line_per_shot_or_a_sentence(text: str, kind: str) -> None:
    try:
        script = read_script(text, kind)
    except ValueError:
        return
    assert script.shots
    assert all(shot == " ".join(shot.split()) != "" for shot in script.shots)
