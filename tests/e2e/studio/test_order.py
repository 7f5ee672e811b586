"""What people see of the order: numbers follow the film, and the better take is found by its score."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.studio.directing import SHOTS, begin, card, tell, wait_for
from tests.e2e.studio.looking import findings

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_a_deleted_shot_goes_the_numbers_close_up_and_takes_show_their_scores(
    open_page, width: int, height: int
) -> None:
    page = open_page(width, height, bypass_csp=True)
    begin(page)
    tell(page, *SHOTS, seconds=2)
    more = page.get_by_role("button", name="More for shot 2")
    more.scroll_into_view_if_needed()
    more.click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".card")).to_have_count(2)
    expect(page.get_by_text("Shot 2 is deleted.")).to_be_visible()
    expect(card(page, 2)).to_contain_text(SHOTS[2])
    expect(page.locator(".scrub-shots span")).to_have_text(["1", "2"])
    expect(page.locator("figcaption .slate")).to_have_text(re.compile("^2"))
    expect(page.get_by_role("button", name="Reshoot from 2")).to_be_visible()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator(".card")).to_have_count(3)
    expect(card(page, 2)).to_contain_text(SHOTS[1])
    page.get_by_role("button", name="Retake shot 3").click()
    expect(page.get_by_label("Take of shot 3")).to_have_value("1")
    wait_for(page, 3)
    page.get_by_role("button", name="Compare takes of shot 3").click()
    takes = page.get_by_role("dialog").get_by_role("listitem")
    for place in range(2):
        expect(takes.nth(place)).to_contain_text(re.compile(r"\d+ %"))
    expect(page.get_by_role("dialog").locator(".best")).to_have_count(1)
    assert findings(page) == []
