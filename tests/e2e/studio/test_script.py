"""A whole story is pasted, planned, told and watched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.studio.directing import (
    SCRIPT,
    SHOTS,
    begin,
    card,
    composer,
    on_screen,
    planned,
    scrub,
    tell,
    wait_for,
)
from tests.e2e.studio.looking import findings

pytestmark = pytest.mark.system

FOUNTAIN = (
    f"EXT. MEADOW - DAY\n\n{SHOTS[0]}\n\nCAT\nHello!\n\n{SHOTS[1]}\n\nINT. CASTLE - NIGHT\n\n{SHOTS[2]}\n"
)


def test_a_pasted_script_is_told_by_one_key_while_one_writes_on(page) -> None:
    begin(page)
    composer(page).fill(SCRIPT)
    expect(planned(page)).to_have_count(5)
    composer(page).press("Control+Enter")
    expect(planned(page)).to_have_count(0)
    composer(page).fill("The cat jumps up and down.")
    expect(page.get_by_text(re.compile("^Shot . of 5"))).to_be_visible()
    page.get_by_role("button", name="Earlier: shot 5").click()
    expect(card(page, 4)).to_contain_text("Close up of the cat sleeping.")
    page.get_by_role("button", name="Undo").click()
    expect(card(page, 4)).to_contain_text("Wide shot of the cat sitting down.")
    for number in range(1, 6):
        wait_for(page, number)
    expect(card(page, 5)).to_contain_text("Close up of the cat sleeping.")
    expect(composer(page)).to_have_value("The cat jumps up and down.")


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080)])
def test_a_long_script_leaves_no_blank_between_storyboard_and_what_stands_beside(
    open_page, width: int, height: int
) -> None:
    page = open_page(width, height)
    begin(page)
    composer(page).fill("\n\n".join([SCRIPT] * 3))
    expect(planned(page)).to_have_count(15)
    apart = page.evaluate(
        "document.querySelector('.beside').getBoundingClientRect().top"
        " - document.querySelector('.cards').getBoundingClientRect().bottom"
    )
    assert 0 <= apart < 24
    assert page.evaluate("document.documentElement.scrollHeight") <= height


def test_a_dropped_screenplay_is_planned_and_its_cards_are_moved(page, tmp_path: Path) -> None:
    begin(page)
    page.get_by_role("button", name="Script").click()
    (tmp_path / "cat.fountain").write_text(FOUNTAIN)
    page.get_by_role("form", name="The next shot").locator("input[type=file]").set_input_files(
        tmp_path / "cat.fountain"
    )
    expect(planned(page)).to_have_count(3)
    expect(planned(page).nth(2)).to_contain_text(f"Castle, night. {SHOTS[2]}")
    planned(page).nth(2).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(planned(page).nth(1)).to_contain_text("Castle, night.")
    expect(planned(page).nth(1)).to_be_focused()
    page.keyboard.press("Delete")
    expect(planned(page)).to_have_count(2)
    planned(page).nth(0).drag_to(planned(page).nth(1))
    expect(planned(page).nth(1)).to_contain_text(SHOTS[0])
    expect(composer(page)).to_have_value(f"{SHOTS[1]}\n\n{SHOTS[0]}")


def test_everything_told_is_watched_again_after_a_reload(page) -> None:
    begin(page)
    tell(page, *SHOTS[:2])
    page.reload()
    wait_for(page, 2)
    page.get_by_role("button", name="Play from shot 1").click()
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[0])
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[1])
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="Play the story")).to_be_visible()
    stands = on_screen(page)
    page.keyboard.press("ArrowLeft")
    expect(scrub(page)).to_have_value(str(stands - 1))
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stand still")).to_be_visible()
    expect(scrub(page)).to_have_value("65")


def test_watching_does_not_hold_up_what_is_made(page) -> None:
    begin(page)
    page.get_by_label("Length").select_option("2")
    composer(page).fill("\n".join(SHOTS))
    composer(page).press("Control+Enter")
    wait_for(page, 1)
    page.get_by_role("button", name="This shot alone").click()
    page.get_by_role("button", name="Play from shot 1").click()
    expect(page.get_by_role("button", name="Play the shot")).to_be_visible()
    stands = on_screen(page)
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[0])
    wait_for(page, 3)
    assert on_screen(page) == stands


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_all_is_in_view_and_no_serious_finding_of_axe(open_page, width: int, height: int) -> None:
    page = open_page(width, height, bypass_csp=True)
    begin(page)
    composer(page).fill(SCRIPT)
    expect(planned(page)).to_have_count(5)
    assert findings(page) == []
    composer(page).press("Control+Enter")
    wait_for(page, 1)
    expect(composer(page)).to_be_in_viewport(ratio=1)
    expect(page.locator(".screen")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("heading", name="Storyboard")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert findings(page) == []
