"""A cut and a redirection begin after the chunk on the screen, and the page says that they are under way."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.directing import SHOTS, begin, card, shoot, wait_for

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
