"""Scripts come and go in every form: pasted as a table or story file, taken home with tables and sounds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.directing import SHOTS, add_sound, begin, card, composer, planned, save, wait_for
from tests.e2e.studio.looking import findings
from tests.media.tones import tone

pytestmark = pytest.mark.system

TABLE = f'prompt,seconds,seed\n"{SHOTS[0]}",2,7\n"{SHOTS[1]}",2,\n'
PUBLISHED = f'{{"global_caption": "A cat.", "shot1": "{SHOTS[0]}", "shot2": "{SHOTS[1]}"}}'

PASTE = """(field, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def paste(page: Page, text: str) -> None:
    composer(page).evaluate(PASTE, text)


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_a_pasted_table_is_planned_told_and_taken_home(
    open_page, tmp_path: Path, width: int, height: int
) -> None:
    page = open_page(width, height, bypass_csp=True)
    begin(page)
    paste(page, PUBLISHED)
    expect(planned(page)).to_have_count(2)
    expect(page.get_by_text("The script is set elsewhere")).to_be_visible()
    composer(page).fill("")
    paste(page, TABLE)
    expect(planned(page)).to_have_count(2)
    expect(planned(page).first).to_contain_text("2.0 s · seed 7")
    assert findings(page) == []
    composer(page).press("Control+Enter")
    for number in (1, 2):
        wait_for(page, number)
    expect(card(page, 1)).to_contain_text(SHOTS[0])
    add_sound(page, "rain.wav", tone(seconds=1))
    expect(page.get_by_role("slider", name="Start of rain.wav in the film")).to_be_visible()
    table = save(page, "Table of shots", tmp_path).read_text()
    assert table.splitlines()[0] == "prompt,chunks,seed"
    assert SHOTS[1] in table
    fountain = save(page, "Script in Fountain", tmp_path).read_text()
    assert f"!{SHOTS[0]}" in fountain
    with zipfile.ZipFile(save(page, "Story with pictures and sounds", tmp_path)) as story:
        assert [name for name in story.namelist() if name.endswith(".wav")]
