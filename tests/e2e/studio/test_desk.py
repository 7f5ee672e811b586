"""What is done to a story after it is told: trimming, sound, another copy."""

from __future__ import annotations

import re
import zipfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.studio.conftest import WAITS_MS, Server
from tests.e2e.studio.directing import (
    FRAMES,
    SHOTS,
    add_sound,
    begin,
    card,
    composer,
    facts,
    go,
    save,
    scrub,
    tell,
    wait_for,
)
from tests.e2e.studio.looking import AXE, findings, look
from tests.media.tones import heard, tone

pytestmark = pytest.mark.system


def told(page: Page, *prompts: str) -> None:
    """A story on whose last frame the picture stands, so that no field has the focus."""
    begin(page)
    tell(page, *prompts)
    expect(scrub(page)).to_have_value(str(len(prompts) * FRAMES - 1))
    page.keyboard.press("Escape")


def film_length(page: Page, frames: int) -> None:
    """Wait for the bar to be so long."""
    expect(scrub(page)).to_have_attribute("max", str(frames - 1))


def test_a_shot_is_trimmed_played_exported_and_made_whole(page: Page, tmp_path: Path) -> None:
    told(page, *SHOTS[:2])
    go(page, FRAMES + 7)
    page.keyboard.press("i")
    film_length(page, 2 * FRAMES - 7)
    go(page, 20)
    page.keyboard.press("o")
    film_length(page, 21 + FRAMES - 7)
    assert facts(page, 1).startswith("1.8 of 2.8 s")
    expect(page.locator(".scrub-shots [data-out]")).to_have_text("1")
    expect(page.locator(".scrub-shots [data-in]")).to_have_text("2")
    page.get_by_role("button", name="Play from shot 1").click()
    expect(scrub(page)).to_have_value(str(21 + FRAMES - 7 - 1))  # it plays over the cut, to the end
    with av.open(str(save(page, "The film", tmp_path))) as film:
        assert len(list(film.decode(video=0))) == 21 + FRAMES - 7
    page.get_by_role("button", name="More for shot 2").click()
    page.get_by_role("button", name="Trim", exact=True).click()
    point = page.get_by_role("slider", name="In point of shot 2")
    expect(point).to_be_focused()
    point.press("ArrowLeft")
    point.press("Enter")
    film_length(page, 21 + FRAMES - 6)
    page.keyboard.press("u")
    film_length(page, 21 + FRAMES - 7)
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Trim", exact=True).click()
    page.get_by_role("button", name="Whole shot").click()
    film_length(page, 2 * FRAMES - 7)
    page.reload()
    film_length(page, 2 * FRAMES - 7)


def until(page: Page, expression: str) -> None:
    """Wait for something in the page; its content policy lets `wait_for_function` evaluate nothing."""
    for _ in range(WAITS_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


PLAYED = """() => {
  window.played = [];
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    if (this instanceof HTMLAudioElement && !window.played.includes(this)) window.played.push(this);
    return play.call(this);
  };
}"""


def test_a_sound_is_seen_heard_in_time_and_exported(page: Page, tmp_path: Path) -> None:
    told(page, SHOTS[0])
    page.evaluate(PLAYED)
    add_sound(page, "rain.wav", tone(seconds=4))
    lane = page.get_by_role("slider", name="Start of rain.wav in the film")
    expect(lane).to_have_attribute("aria-valuetext", "0.0 seconds")
    expect(page.get_by_text("The sound is heard with the film.")).to_be_visible()
    inked = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    )
    page.wait_for_function(inked, arg=lane.locator("canvas").element_handle())
    lane.press("ArrowRight")
    expect(lane).to_have_attribute("aria-valuetext", "0.1 seconds")
    expect(page.get_by_text("The sound has changed.")).to_be_visible()
    go(page, 0)
    page.get_by_role("button", name="Play the story (Space)").click()
    until(page, "window.played.length === 1 && window.played[0].currentTime > 1")
    apart = page.evaluate(
        "[window.played[0].currentTime, Number(document.querySelector('.scrub input').value) / 12]"
    )
    assert apart[0] + 0.1 == pytest.approx(apart[1], abs=0.4)
    page.keyboard.press("v")
    until(page, "window.played[0].muted")
    page.get_by_role("button", name=re.compile("Stand still")).click()
    until(page, "window.played[0].paused")
    film = save(page, "The film", tmp_path).read_bytes()
    assert np.abs(heard(film)[:, 20_000:60_000]).max() == pytest.approx(0.5, abs=0.1)
    page.get_by_role("button", name="More for rain.wav").click()
    page.get_by_role("button", name="Take it off the film").click()
    expect(lane).to_have_count(0)
    page.get_by_role("button", name="Undo").first.click()
    expect(lane).to_have_attribute("aria-valuetext", "0.1 seconds")


def test_a_story_is_found_duplicated_and_goes_its_own_way(page: Page) -> None:
    begin(page, "A purple robot with a scarf is in a forest at night.")
    tell(page, "Wide shot of the robot walking along.")
    title = page.get_by_label("Title", exact=True)
    title.fill("Robot in the wood")
    title.press("Enter")
    expect(page).to_have_title("Robot in the wood · ShotStream")
    page.get_by_role("link", name="all stories").click()
    page.get_by_label("Search stories").fill("robot wood")
    book = page.locator(".book")
    expect(book).to_have_count(1)
    expect(book).to_contain_text(re.compile(r"0:02.*1 shot · today"))
    expect(book.locator("img")).to_have_attribute("src", re.compile(r"/stills/0/0/0\.jpg$"))
    page.get_by_role("button", name="Duplicate: Robot in the wood").click()
    expect(book).to_have_count(2)
    page.get_by_role("link", name="Robot in the wood (copy)").click()
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Delete").click()
    expect(card(page, 1)).to_have_count(0)
    page.get_by_role("link", name="all stories").click()
    page.get_by_label("Search stories").fill("no such words")
    expect(page.get_by_text("No story has all these words.")).to_be_visible()
    page.get_by_label("Search stories").fill("robot wood")
    expect(book).to_have_count(2)
    page.locator(".book", has_not_text="(copy)").get_by_role("link").click()
    wait_for(page, 1)


def drop_file(page: Page, onto: str, name: str, data: bytes) -> None:
    """Drop a file from elsewhere onto a place of the page."""
    dropped = page.evaluate_handle(
        """([name, data]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
          transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [name, b64encode(data).decode()],
    )
    for event in ("dragover", "drop"):
        page.locator(onto).dispatch_event(event, {"dataTransfer": dropped})


def test_a_story_taken_home_as_a_zip_is_dropped_and_told_again(open_page, tmp_path: Path) -> None:
    page = open_page(1366, 768, bypass_csp=True)
    told(page, SHOTS[0])
    add_sound(page, "rain.wav", tone(seconds=2))
    expect(page.get_by_text("The sound is heard with the film.")).to_be_visible()
    taken = save(page, "Story with pictures and sounds", tmp_path).read_bytes()
    page.get_by_role("link", name="all stories").click()
    drop_file(page, "main.start", "cat-story.zip", taken)
    expect(composer(page)).to_be_visible()
    wait_for(page, 1)
    expect(card(page, 1)).to_contain_text(SHOTS[0])
    expect(page.get_by_role("slider", name="Start of sound-")).to_be_visible()
    look(page, "story from a zip")
    page.get_by_role("link", name="all stories").click()
    story = f"setting: A cat.\nshots:\n- prompt: {SHOTS[0]}\n  chunks: 2\n"
    redirected = f"{story}  redirects: [{{chunk: 1, prompt: {SHOTS[1]}}}]\n"
    zipped = BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("story.yaml", redirected)
    drop_file(page, "main.start", "story.zip", zipped.getvalue())
    expect(page.locator(".notices")).to_contain_text(f"Shot 1 went on with other words: “{SHOTS[1]}”.")
    wait_for(page, 1)
    look(page, "notes of a zip")


def test_a_zip_that_is_no_story_is_refused_in_a_sentence(browser, server: Server) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(server.url)
    drop_file(page, "main.start", "story.zip", b"PK")
    expect(page.get_by_role("alert").get_by_text("this is no zip, or is cut off; export")).to_be_visible()
    look(page, "zip refused")
    begin(page)
    drop_file(page, "main.story", "story.zip", b"PK")
    expect(page.get_by_text("Open it on the page of all stories.")).to_be_visible()
    context.close()


@pytest.mark.skipif(not AXE.exists(), reason="axe is missing; run make page-check")
@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (1366, "dark"), (360, "light")])
def test_no_new_state_has_serious_findings(open_page, width: int, scheme: str) -> None:
    page = open_page(width, 768, color_scheme=scheme)
    told(page, SHOTS[0])
    go(page, 5)
    page.keyboard.press("i")
    film_length(page, FRAMES - 5)
    add_sound(page, "rain.wav", tone(seconds=2))
    expect(page.get_by_role("slider", name="Start of rain.wav")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="More for rain.wav").evaluate("button => button.click()")
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More for shot 1").evaluate("button => button.click()")
    page.get_by_role("button", name="Trim", exact=True).evaluate("button => button.click()")
    expect(page.get_by_role("slider", name="Out point of shot 1")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Help and keys").click()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("link", name="all stories").click()
    expect(page.locator(".book").first).to_be_visible()
    assert findings(page) == []
