"""Cards of the storyboard, as large screens and phones show them."""

from __future__ import annotations

import pytest

from tests.e2e.studio.directing import SHOTS, begin, card, shoot, wait_for
from tests.e2e.studio.looking import look

pytestmark = pytest.mark.system


def test_the_buttons_of_a_card_are_in_one_line(open_page) -> None:
    page = open_page(1280, 800)
    begin(page)
    shoot(page, SHOTS[0])
    wait_for(page, 1)
    page.get_by_role("button", name="Retake shot 1").click()
    buttons = card(page, 1).locator(".card-buttons")
    buttons.get_by_role("button", name="Compare takes of shot 1").wait_for()
    for width, height in ((1280, 800), (390, 844), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        middles = buttons.locator("button, select").evaluate_all(
            """all => all.filter((one) => one.offsetParent).map((one) => {
                const { top, bottom } = one.getBoundingClientRect();
                return (top + bottom) / 2;
            })"""
        )
        assert len(middles) == 5
        assert max(middles) - min(middles) < 2, (width, middles)
        look(page, f"card-{width}")
