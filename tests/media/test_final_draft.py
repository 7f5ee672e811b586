from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.media.final_draft import parse_final_draft, write_final_draft
from shotstream.media.scripts import Script, read_script

pytestmark = pytest.mark.unit

SCRIPT = """<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<FinalDraft DocumentType="Script" Template="No" Version="5">
  <Content>
    <Paragraph Type="Scene Heading"><SceneProperties Title="x"/><Text>EXT. MEADOW - SUNNY DAY</Text>
    </Paragraph>
    <Paragraph Type="Action">
      <Text>An orange cat </Text><Text Style="Bold">waves</Text><Text> hello &amp; nods.</Text>
      <ScriptNote><Paragraph><Text>not seen</Text></Paragraph></ScriptNote></Paragraph>
    <Paragraph Type="Character"><Text>CAT (CONT'D)</Text></Paragraph>
    <Paragraph Type="Dialogue"><Text>Hello!</Text></Paragraph>
    <Paragraph Type="Character"><Text>TOP OWL</Text></Paragraph>
    <Paragraph Type="Dialogue"><Text>Hoo.</Text></Paragraph>
    <Paragraph Type="Character"><Text>NARRATOR (V.O.)</Text></Paragraph>
    <Paragraph Type="Transition"><Text>CUT TO:</Text></Paragraph>
    <Paragraph Type="Scene Heading"><Text>INT. CASTLE - NIGHT</Text></Paragraph>
    <Paragraph Type="Action"><Text>The cat sleeps.</Text></Paragraph>
    <Paragraph Type="Action"><Text> </Text></Paragraph>
  </Content>
  <TitlePage><Content>
    <Paragraph><Text>The Hat</Text></Paragraph><Paragraph><Text>by X</Text></Paragraph>
  </Content></TitlePage>
</FinalDraft>
"""


def test_headings_are_settings_action_is_shots_and_characters_are_the_cast() -> None:
    assert read_script(SCRIPT, "fdx") == Script(
        title="The Hat",
        setting="Meadow, sunny day. With Cat and Top Owl.",
        shots=["An orange cat waves hello & nods.", "Castle, night. The cat sleeps."],
        cast={"Cat": "", "Top Owl": ""},
    )


BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<FinalDraft><Content><Paragraph Type="Action"><Text>&lol2;</Text></Paragraph></Content></FinalDraft>"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BILLION_LAUGHS, "line 2: the file has a DTD (<!DOCTYPE), which no script needs; remove it"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><FinalDraft/>', "line 1: the file has a DTD"),
        ("<FinalDraft>\n<Content>\n<Paragraph>&who;", "line 3: the file is damaged there (undefined entity)"),
        (SCRIPT[:600], "is damaged there"),
        ("\n<html/>", "line 2: this is <html>, not the <FinalDraft> of a script; save the script as .fdx"),
        ("A cat.", "line 1: the file is damaged there"),
        ("<FinalDraft>" + "<a>" * 60, "more than 50 deep"),
        ("<FinalDraft/>", "the script has no shot"),
    ],
)
def test_a_mistake_is_said_with_its_line_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_script(text, "fdx")


words = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: " ".join(text.split()))
readable = words.filter(lambda text: text and not re.search(r"[\x00-\x1f\ufffe\uffff]", text))
headings = readable.filter(lambda text: not re.match(r"(?i)(?:INT|EXT|EST|I/E|\.)", text))


@given(st.just("") | readable, st.just("") | headings, st.lists(readable, min_size=1, max_size=5))
def test_what_is_written_is_read_back(title: str, setting: str, shots: list[str]) -> None:
    assert read_script(write_final_draft(title, setting, shots), "fdx") == Script(title, setting, shots)


@given(st.text(), st.text(), st.lists(st.text()))
def test_whatever_is_written_can_be_read(title: str, setting: str, shots: list[str]) -> None:
    parse_final_draft(write_final_draft(title, setting, shots))
