"""Showing a story to others: the link on the page opens its film to who has no token, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.conftest import WAITS_MS, Server
from tests.e2e.studio.directing import SHOTS, begin, tell

pytestmark = pytest.mark.system

TOKEN = "a-token-nobody-knows"


@pytest.fixture
def guarded(tmp_path) -> Iterator[Server]:
    server = Server(tmp_path / "library", "--token", TOKEN)
    yield server
    server.stop()


def show(page: Page) -> None:
    page.get_by_role("button", name="Show the story to others").click()


def test_the_link_opens_the_film_and_viewers_are_counted(browser, guarded: Server) -> None:
    director = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = director.new_page()
    page.set_default_timeout(WAITS_MS)
    page.goto(f"{guarded.url}?token={TOKEN}")
    begin(page)
    tell(page, SHOTS[0])
    show(page)
    expect(page.get_by_text("Only you watch it now.")).to_be_visible()
    link = page.get_by_label("Link to the film as it is by now").input_value()
    assert link.startswith(guarded.url)
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == link

    stranger = browser.new_context()
    film = stranger.request.get(link)
    assert (film.status, film.headers["content-type"]) == (200, "video/mp4")
    assert stranger.request.get(guarded.url).status == 401
    other = director.new_page()
    other.goto(page.url)
    expect(page.get_by_text("2 watch it now.")).to_be_visible()
    for context in (stranger, director):
        context.close()


def test_a_studio_without_a_token_says_that_nobody_needs_a_link(browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAITS_MS)
    page.goto(server.url)
    begin(page)
    tell(page, SHOTS[0])
    show(page)
    expect(page.get_by_role("alert")).to_contain_text("nobody needs a link")
    context.close()
