"""Told shots are moved in the film: dragged, or by keys; all that shows the film's order follows."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.directing import (
    FRAMES,
    SHOTS,
    begin,
    card,
    composer,
    go,
    planned,
    save,
    scrub,
    tell,
    wait_for,
)
from tests.e2e.studio.looking import AXE, findings, look

pytestmark = pytest.mark.system

CAPTION = "figcaption"


def told(page: Page) -> None:
    """Three shots, and no field has the focus."""
    begin(page)
    tell(page, *SHOTS)
    expect(scrub(page)).to_have_value(str(3 * FRAMES - 1))
    page.keyboard.press("Escape")


def expect_film(page: Page, *shots: int) -> None:
    """The cards are these of `SHOTS`, in order, numbered from 1."""
    for place, shot in enumerate(shots, 1):
        expect(card(page, place)).to_contain_text(SHOTS[shot])
    expect(page.locator(".scrub-shots span")).to_have_text([str(n) for n in range(1, len(shots) + 1)])


def expect_states(page: Page, *states: str) -> None:
    """The cards come to be in these states, in order: the studio tells of one after the other."""
    for place, state in enumerate(states):
        expect(page.locator(".card").nth(place)).to_have_attribute("data-state", state)


def frames_of(video: str | Path) -> np.ndarray:
    with av.open(str(video)) as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


def test_a_told_shot_is_moved_by_keys_and_the_film_follows(open_page, tmp_path: Path) -> None:
    page = open_page(1366, 768)
    told(page)
    card(page, 3).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect_film(page, 0, 2, 1)
    expect(card(page, 2)).to_be_focused()
    expect(page.get_by_text("Shot 3 is shot 2 now.")).to_be_visible()
    expect_states(page, "done", "stale", "stale")
    page.keyboard.press("Alt+ArrowUp")
    expect_film(page, 2, 0, 1)
    expect(card(page, 1)).to_be_focused()
    expect_states(page, *["stale"] * 3)
    expect(page.get_by_role("button", name="Reshoot from 1")).to_be_visible()
    look(page, "moved")
    for place, shot in ((0, 2), (FRAMES, 0), (2 * FRAMES, 1)):
        go(page, place)
        expect(page.locator(CAPTION)).to_contain_text(SHOTS[shot])
        expect(page.locator(f"{CAPTION} .slate")).to_have_text(re.compile(f"^{place // FRAMES + 1}"))
    story = page.url.split("/")[-1]
    film = frames_of(save(page, "The film", tmp_path))
    for place, shot in enumerate((2, 0, 1)):
        clip = page.request.get(f"{page.url.split('#')[0]}api/stories/{story}/clips/{shot}/0.mp4")
        (tmp_path / "clip.mp4").write_bytes(clip.body())
        assert np.array_equal(film[place * FRAMES : (place + 1) * FRAMES], frames_of(tmp_path / "clip.mp4"))
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect_film(page, 0, 2, 1)
    page.keyboard.press("u")
    expect_film(page, 0, 1, 2)
    expect_states(page, *["done"] * 3)


def test_the_story_plays_in_its_new_order_and_is_told_again_in_it(page: Page) -> None:
    told(page)
    card(page, 1).drag_to(card(page, 3))
    expect_film(page, 1, 2, 0)
    look(page, "dragged")
    page.evaluate(
        """() => {
          window.played = [];
          const caption = document.querySelector("figcaption");
          const note = () => window.played.push(caption.textContent);
          const changes = { subtree: true, childList: true, characterData: true };
          new MutationObserver(note).observe(caption, changes);
        }"""
    )
    page.get_by_role("button", name="Play from shot 1").click()
    expect(scrub(page)).to_have_value(str(3 * FRAMES - 1))
    played = " ".join(page.evaluate("window.played"))
    places = [played.find(SHOTS[shot]) for shot in (1, 2, 0)]
    assert -1 not in places
    assert places == sorted(places)
    page.get_by_role("button", name="Reshoot from 1").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(3)
    expect_film(page, 1, 2, 0)
    for place in (1, 2, 3):
        expect(card(page, place)).to_contain_text("take 2/2")
    page.reload()
    expect_film(page, 1, 2, 0)


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_what_is_not_told_stays_behind_what_is(open_page, width: int, height: int) -> None:
    page = open_page(width, height, bypass_csp=True)
    begin(page)
    tell(page, *SHOTS[:2], seconds=2)
    composer(page).fill("\n\n".join([SHOTS[2], "Wide shot of the cat sitting down."]))
    planned(page).nth(0).focus()
    page.keyboard.press("Alt+ArrowUp")
    said = page.locator(".notices .wrong-tone")
    expect(said).to_contain_text("A shot that is not told yet stands behind those that are")
    look(page, f"planned refused {width}")
    if AXE.exists():
        assert findings(page) == []
    page.get_by_role("button", name="Dismiss").last.click()
    if width > 1000:
        planned(page).nth(1).drag_to(card(page, 1))
        expect(said).to_contain_text("A shot that is not told yet")
        page.get_by_role("button", name="Dismiss").last.click()
        card(page, 1).drag_to(planned(page).nth(0))
        expect(said).to_contain_text("A told shot stands before those that are not told yet.")
        page.get_by_role("button", name="Dismiss").last.click()
    page.get_by_role("button", name="More for shot 1").click()
    look(page, f"menu {width}")
    page.get_by_role("button", name="Later in the film").click()
    expect(card(page, 1)).to_contain_text(SHOTS[1])
    expect(page.get_by_text("Shot 1 is shot 2 now.")).to_be_visible()
    composer(page).fill("")
    composer(page).press("Escape")
    if AXE.exists():
        assert findings(page) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Move a shot, told or planned")


def test_a_running_shot_is_not_moved(page: Page) -> None:
    begin(page)
    tell(page, *SHOTS[:2], seconds=2)
    page.get_by_label("Length").select_option("12")
    composer(page).fill(SHOTS[2])
    composer(page).press("Enter")
    wait_for(page, 3, "live")
    composer(page).press("Escape")
    card(page, 3).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".notices .wrong-tone")).to_contain_text("shot 3 is running; move it after its end")
    card(page, 2).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(card(page, 1)).to_contain_text(SHOTS[1])
    expect(card(page, 3)).to_contain_text(SHOTS[2])
    page.keyboard.press("u")
    expect(card(page, 1)).to_contain_text(SHOTS[0])
    page.keyboard.press("s")
    wait_for(page, 3)
