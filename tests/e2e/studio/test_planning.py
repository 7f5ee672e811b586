"""Shots that wait: inserted, skipped, and given lengths, seeds and pictures of their own."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.studio.directing import SCRIPT, SHOTS, begin, card, composer, planned, wait_for
from tests.e2e.studio.looking import findings

pytestmark = pytest.mark.system


def picture() -> dict:
    data = io.BytesIO()
    Image.new("RGB", (80, 60), "orange").save(data, "png")
    return {"name": "fox.png", "mimeType": "image/png", "buffer": data.getvalue()}


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_planned_shots_are_inserted_skipped_and_given_details(open_page, width: int, height: int) -> None:
    page = open_page(width, height, bypass_csp=True)
    begin(page)
    composer(page).fill(SCRIPT)
    expect(planned(page)).to_have_count(5)
    planned(page).nth(0).focus()
    page.keyboard.press("n")
    new = page.get_by_role("article", name="A new shot")
    new.get_by_role("textbox", name="New words").fill("The cat jumps up and down.")
    new.get_by_label("Length").select_option("2")
    new.get_by_label("Seed").fill("7")
    new.locator("input[type=file]").set_input_files(picture())
    expect(new.get_by_role("img", name="Picture 1 of this shot")).to_be_visible()
    assert findings(page) == []
    new.get_by_role("button", name="Keep").click()
    expect(planned(page).nth(1)).to_contain_text("The cat jumps up and down.")
    expect(planned(page).nth(1)).to_contain_text("2.0 s · seed 7 · 1 picture")
    card(page, 3).focus()
    page.keyboard.press("s")
    skipped = page.get_by_role("article", name=re.compile("^Skipped: "))
    expect(skipped).to_be_focused()
    expect(card(page, 3)).to_contain_text(SHOTS[2])
    page.get_by_role("button", name="Shoot all 5").click()
    wait_for(page, 1)
    wait_for(page, 2)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Ready")).to_be_visible()
    expect(skipped).to_be_visible()
    page.wait_for_timeout(500)  # until buttons have come back to their colours
    assert findings(page) == []
    page.get_by_role("button", name=re.compile("^More for the skipped shot")).click()
    page.get_by_role("button", name="Take it back in").click()
    expect(skipped).to_have_count(0)
    expect(page.locator(".card").last).to_contain_text(SHOTS[1])
    expect(page.locator(".card").last).to_have_attribute("data-state", "done")
    expect(page.locator(".remembered[data-source=reference]")).to_have_count(1)
