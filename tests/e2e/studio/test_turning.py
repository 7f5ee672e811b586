"""A cut and a redirection begin after the chunk on the screen, and the page says that they are under way."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.directing import SHOTS, begin, card, facts, shoot, tell, wait_for

pytestmark = pytest.mark.system

SLOWLY = """
window.slowness = 20;
const native = requestAnimationFrame;
let last, film = 0;
window.requestAnimationFrame = (callback) =>
  native((now) => {
    film += (now - (last ?? now)) / window.slowness;
    last = now;
    callback(film);
  });
"""
"""The page's clock: so slow that much is made ahead, on a busy machine too."""


def order_while_much_is_ahead(page: Page, prompt: str, keys: str) -> None:
    page.evaluate("window.slowness = 20")
    expect(page.locator(".badge")).to_contain_text("waits until you watch")
    shoot(page, prompt, seconds=30, keys=keys)
    expect(page.locator(".under-way")).to_have_text(f"Next: {prompt}")
    page.evaluate("window.slowness = 1")
    expect(page.locator(".under-way")).to_be_hidden()


def test_the_picture_turns_after_the_chunk_on_the_screen(open_page) -> None:
    page = open_page()
    said, heard = [], []

    def listen(socket) -> None:
        socket.on("framesent", lambda text: said.append(json.loads(text)))
        socket.on(
            "framereceived", lambda text: heard.append(json.loads(text)) if isinstance(text, str) else None
        )

    page.on("websocket", listen)
    page.add_init_script(SLOWLY)
    page.reload()
    begin(page)
    shoot(page, SHOTS[0], seconds=30)
    redirect = "Wide shot of the orange cat jumping up and down."
    order_while_much_is_ahead(page, redirect, "Control+Enter")
    expect(card(page, 1)).to_contain_text(f"then: {redirect}")
    expect(page.locator("figcaption .caption")).to_have_text(redirect)
    order_while_much_is_ahead(page, SHOTS[1], "Enter")
    wait_for(page, 1)
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[1])
    page.get_by_role("button", name="Stop", exact=True).click()
    turned = [event for event in heard if event["type"] == "turned" and event["shot"] == 0]
    frames = next(e["frames"] for e in reversed(heard) if e["type"] == "shot" and e["number"] == 0)
    assert [event["frame"] for event in turned] == [9, frames], "the first chunk has 9 frames"
    shown = [message["frame"] for message in said if message["type"] == "playhead" and message["shot"] == 0]
    assert shown == sorted(shown), "nothing is shown twice, or that was put aside"
    assert shown[-1] == frames - 1, "the chunk on the screen is shown to its end"


def test_takes_stand_side_by_side_and_a_key_chooses_the_better_one(page) -> None:
    begin(page)
    tell(page, SHOTS[0], seconds=2)
    page.get_by_role("button", name="Retake shot 1").click()
    take = page.get_by_label("Take of shot 1")
    expect(take).to_have_value("1")
    wait_for(page, 1)
    page.get_by_role("button", name="Compare takes of shot 1").click()
    films = page.get_by_role("dialog").locator("video")
    expect(films).to_have_count(2)
    for place in range(2):
        expect(films.nth(place)).to_have_js_property("videoWidth", 192)
    seeds = re.findall(r"seed (\d+)", page.get_by_role("dialog").inner_text())
    assert len(set(seeds)) == 2, "a retake has a seed of its own"
    assert facts(page, 1).endswith(f"seed {seeds[1]}")
    page.keyboard.press("1")
    expect(take).to_have_value("0")
    expect(page.get_by_role("dialog")).to_have_count(0)
