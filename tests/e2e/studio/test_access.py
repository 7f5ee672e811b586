"""The page for everybody: axe's scan of every state, in both colour schemes and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.studio.directing import SHOTS, begin, card, composer, tell, wait_for
from tests.e2e.studio.looking import AXE, findings

pytestmark = pytest.mark.system


@pytest.mark.skipif(not AXE.exists(), reason="axe is missing; run make page-check")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light")])
def test_no_state_has_serious_findings(open_page, width: int, scheme: str) -> None:
    page = open_page(width, color_scheme=scheme)
    assert findings(page) == []
    begin(page)
    assert findings(page) == []
    tell(page, SHOTS[0])
    page.get_by_label("Length").select_option("8")
    composer(page).fill("A zebra walks along.")
    expect(page.get_by_text("The model gets:")).to_be_visible()
    assert findings(page) == []
    composer(page).press("Enter")  # that is what shall be told
    wait_for(page, 2, "live")
    assert findings(page) == []
    page.get_by_role("button", name="Stop").click()
    wait_for(page, 2)
    page.get_by_role("button", name="More for shot 1").click()
    assert findings(page) == []
    page.get_by_role("button", name="Change the words").click()
    assert findings(page) == []
    page.get_by_role("textbox", name="New words").fill(SHOTS[2])
    page.get_by_role("button", name="Keep").click()
    expect(card(page, 2)).to_be_visible()
    page.get_by_role("button", name="Export the story").click()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help and keys").click()
    assert findings(page) == []
