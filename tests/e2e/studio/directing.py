"""What a person does on the page, and what they see."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
SHOTS = (
    "Wide shot of the orange cat waving hello.",
    "Close up. The cat looks around.",
    "Medium shot of the orange cat dancing happily.",
)
FRAMES = 33
"""Of a shot."""


def begin(page: Page, setting: str = SETTING) -> None:
    page.get_by_label("Who is in the story, and where?").fill(setting)
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(composer(page)).to_be_visible()


def composer(page: Page) -> Locator:
    return page.get_by_role("form", name="The next shot").get_by_role("textbox").first


def shoot(page: Page, prompt: str, seconds: int | None = None, keys: str = "Enter") -> None:
    page.get_by_label("Length").select_option("" if seconds is None else str(seconds))
    composer(page).fill(prompt)
    composer(page).press(keys)


def card(page: Page, number: int) -> Locator:
    """The card of a shot, from 1."""
    return page.get_by_role("article", name=f"Shot {number}", exact=True)


def wait_for(page: Page, number: int, state: str = "done") -> None:
    """Wait for the card of a shot to be in a state."""
    expect(page.locator(".card", has=card(page, number))).to_have_attribute("data-state", state)


def tell(page: Page, *prompts: str, seconds: int | None = None) -> None:
    """Shoot one after the other, each to its end."""
    for number, prompt in enumerate(prompts, 1):
        shoot(page, prompt, seconds)
        wait_for(page, number)


def facts(page: Page, number: int) -> str:
    """What a card says of its shot, such as ``2.8 s · seed 0 · take 2/2``."""
    return card(page, number).locator(".card-facts").inner_text()


def length_seconds(page: Page, number: int) -> float:
    found = re.match(r"([\d.]+) s", facts(page, number))
    assert found
    return float(found[1])


def picture(page: Page) -> list[int]:
    """The pixels on the screen, RGBA; small pictures only."""
    return page.locator("canvas.screen").evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
    )


def difference(one: list[int], other: list[int]) -> float:
    """How far two pictures are apart: mean over all numbers, of 255."""
    assert len(one) == len(other)
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def memory_pins(page: Page) -> Locator:
    return page.locator(".remembered[data-source=pin]")


SCRIPT = "\n\n".join((*SHOTS, "Wide shot of the cat sitting down.", "Close up of the cat sleeping."))
"""Five shots, a paragraph each."""


def planned(page: Page) -> Locator:
    """The cards of shots that are written and not ordered yet."""
    return page.locator(".card[data-state=planned] article")


def scrub(page: Page) -> Locator:
    """The bar under the picture; its value is the frame on the screen, counted from the story's beginning."""
    return page.get_by_role("slider", name="Place in the story")


def on_screen(page: Page) -> int:
    return int(scrub(page).input_value())


def go(page: Page, place: int) -> None:
    scrub(page).fill(str(place))
    expect(scrub(page)).to_have_value(str(place))


def save(page: Page, name: str, folder: Path) -> Path:
    page.get_by_role("button", name="Export the story").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=name).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def add_sound(page: Page, name: str, data: bytes) -> None:
    file = {"name": name, "mimeType": "audio/wav", "buffer": data}
    page.locator("input[type=file][accept*='.flac']").set_input_files([file])
