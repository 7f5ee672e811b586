"""A person directs a story in a browser: the real server, the real model, the built page."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path

import av
import opentimelineio
import pytest
from playwright.sync_api import expect

from shotstream.story import Story
from tests.e2e.studio.directing import (
    SETTING,
    SHOTS,
    begin,
    card,
    composer,
    difference,
    length_seconds,
    memory_pins,
    picture,
    save,
    shoot,
    tell,
    wait_for,
)

pytestmark = pytest.mark.system


def test_three_shots_move_and_differ(page) -> None:
    begin(page)
    seen = []
    for number, prompt in enumerate(SHOTS, 1):
        shoot(page, prompt)
        expect(page.locator("figcaption .caption")).to_have_text(prompt)
        first = picture(page)
        later = first
        for _ in range(60):  # a busy machine shows the next frame late
            if difference(first, later) > 0.2:
                break
            time.sleep(0.5)
            later = picture(page)
        assert difference(first, later) > 0.2, f"shot {number} does not move"
        assert max(first) > 150, "the picture is not black"
        wait_for(page, number)
        seen.append(later)
    assert min(difference(seen[0], seen[1]), difference(seen[1], seen[2])) > 5, "shots look alike"
    expect(page.get_by_text("Prompt to screen").locator("xpath=..")).to_contain_text(
        re.compile(r"\d\.\d\d s")
    )
    expect(page.locator(".remembered")).to_have_count(6)


def test_a_running_shot_is_cut_redirected_held_and_paused(page) -> None:
    begin(page)
    shoot(page, SHOTS[0], seconds=30)
    wait_for(page, 1, "live")
    shoot(page, "The cat jumps up and down.", keys="Control+Enter")
    expect(card(page, 1)).to_contain_text("then: The cat jumps up and down.")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cut", exact=True).click()
    wait_for(page, 1)
    assert length_seconds(page, 1) < 20
    shoot(page, SHOTS[1], seconds=2)
    expect(card(page, 2)).to_be_visible()
    page.get_by_role("button", name="Hold").click()
    expect(card(page, 2)).to_contain_text(re.compile(r"[4-9]\.\d s"))  # it goes on by itself
    shoot(page, SHOTS[2])
    wait_for(page, 3)


def test_shots_wait_for_their_turn(page) -> None:
    begin(page)
    shoot(page, SHOTS[0])
    wait_for(page, 1, "live")
    shoot(page, SHOTS[1], keys="Shift+Alt+Enter")
    shoot(page, SHOTS[2], keys="Shift+Alt+Enter")
    wait_for(page, 3, "queued")
    wait_for(page, 3)
    assert [length_seconds(page, number) for number in (1, 2, 3)] == [2.8, 2.8, 2.8]


def test_a_retake_an_edit_and_a_deletion(page) -> None:
    begin(page)
    tell(page, *SHOTS[:2])
    before = picture(page)
    page.get_by_role("button", name="Retake shot 2").click()
    take = page.get_by_label("Take of shot 2")
    expect(take).to_have_value("1")
    wait_for(page, 2)
    expect(page.locator("figcaption")).to_contain_text("take 2")
    assert difference(before, picture(page)) > 0.5
    take.select_option("take 1/2")
    expect(page.locator("figcaption")).not_to_contain_text("take 2")
    expect(take).to_have_value("0")
    take.select_option("take 2/2")
    expect(page.locator("figcaption")).to_contain_text("take 2")
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Change the words").click()
    page.get_by_role("textbox", name="New words").fill("Wide shot of the orange cat dancing happily.")
    page.get_by_role("button", name="Keep").click()
    wait_for(page, 2, "stale")
    page.get_by_role("button", name=re.compile("^Reshoot from")).first.click()
    wait_for(page, 1)
    wait_for(page, 2)
    expect(page.get_by_label("Take of shot 1")).to_have_value("1")
    page.get_by_role("button", name="More for shot 2").click()
    page.get_by_role("button", name="Delete").click()
    expect(card(page, 2)).to_have_count(0)
    shown = page.get_by_role("figure").get_by_role("img", name=re.compile("^Shot"))
    expect(page.locator("figcaption")).to_contain_text(re.compile("^1 take 2"))
    expect(page.locator(".screen-box img")).to_have_attribute("src", re.compile(r"/stills/0/1/32\.jpg$"))
    page.get_by_role("button", name="Undo").first.click()
    expect(card(page, 2)).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text(re.compile("^2 take 3"))
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Delete").click()
    expect(card(page, 2)).to_have_count(0)
    wait_for(page, 1, "stale")
    page.get_by_role("button", name="Undo").first.click()
    expect(card(page, 2)).to_be_visible()
    wait_for(page, 1)
    for number in (2, 1):
        page.get_by_role("button", name=f"More for shot {number}").click()
        page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing shot yet.")).to_be_visible()
    expect(shown).to_have_count(0)
    shoot(page, SHOTS[0])
    wait_for(page, 1)
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[0])
    expect(page.locator(".screen-box img")).to_have_count(0)


def test_a_branch_is_another_story(page) -> None:
    begin(page)
    tell(page, *SHOTS[:2])
    address = page.url
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Branch off here").click()
    page.get_by_role("link", name=re.compile("Open|Go")).first.click()
    expect(page).not_to_have_url(address)
    expect(card(page, 1)).to_contain_text(SHOTS[0])
    expect(card(page, 2)).to_have_count(0)
    shoot(page, SHOTS[2])
    wait_for(page, 2)
    expect(page.get_by_role("tree").get_by_role("treeitem")).to_have_count(2)
    still = card(page, 1).locator("img")
    assert still.evaluate("image => image.naturalWidth") == 192, "a branch shows the shots that it shares"


def test_frames_are_pinned_and_pictures_brought(page, tmp_path: Path) -> None:
    begin(page)
    tell(page, SHOTS[0])
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(memory_pins(page)).to_have_count(1)
    page.locator("canvas.screen").screenshot(path=tmp_path / "mine.png")
    page.locator(".memory input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(page.locator(".remembered[data-source=reference]")).to_have_count(1)
    shoot(page, SHOTS[1])
    wait_for(page, 2)
    page.get_by_role("button", name=re.compile("^Let go: Shot")).click()
    expect(memory_pins(page)).to_have_count(0)


def test_exports_are_what_was_seen(page, tmp_path: Path) -> None:
    begin(page)
    title = page.get_by_label("Title", exact=True)
    expect(title).to_have_attribute("placeholder", "Untitled story")
    title.fill("The Cat & the Top Hat")
    title.press("Enter")
    expect(page).to_have_title("The Cat & the Top Hat · ShotStream")
    tell(page, *SHOTS[:2])

    saved = save(page, "The film", tmp_path)
    assert saved.name == "the-cat-the-top-hat.mp4"
    with av.open(str(saved)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 66
    assert frames[0].shape == (128, 192, 3)
    assert frames[0].std() > 20
    archive = save(page, "Clips", tmp_path)
    assert {"001.mp4", "002.mp4", "timeline.otio"} <= set(zipfile.ZipFile(archive).namelist())
    timeline = opentimelineio.adapters.read_from_file(str(save(page, "Timeline for", tmp_path)))
    assert [clip.duration().to_seconds() for clip in timeline.find_clips()] == [33 / 12, 33 / 12]
    assert SHOTS[1] in save(page, "Subtitles", tmp_path).read_text()
    story = Story.read(save(page, "Story file to", tmp_path))
    assert (story.setting, [shot.prompt for shot in story.shots]) == (SETTING, list(SHOTS[:2]))
    assert story.title == "The Cat & the Top Hat"
    page.get_by_role("link", name="all stories").click()
    expect(page.get_by_role("link", name="The Cat & the Top Hat")).to_be_visible()


def test_a_story_file_is_told(page) -> None:
    page.locator("input[type=file]").first.set_input_files("src/shotstream/stories/first_story.yaml")
    wait_for(page, 5)
    expect(card(page, 5)).to_contain_text("surprised cat")


def test_a_reload_in_the_middle_of_a_shot(page) -> None:
    begin(page)
    shoot(page, SHOTS[0], seconds=12)
    wait_for(page, 1, "live")
    composer(page).fill("not sent yet")
    page.reload()
    expect(composer(page)).to_have_value("not sent yet")
    wait_for(page, 1, "live")
    before = picture(page)
    time.sleep(1)
    assert difference(before, picture(page)) > 0.2, "it moves again"
    wait_for(page, 1)
    assert length_seconds(page, 1) == pytest.approx(12, abs=1)


def test_the_server_is_killed_in_the_middle_of_a_shot(page, server) -> None:
    begin(page)
    shoot(page, SHOTS[0], seconds=12)
    wait_for(page, 1, "live")
    composer(page).fill("not sent yet")
    server.kill()
    expect(page.get_by_text("The studio is not running")).to_be_visible()
    server.start()
    expect(composer(page)).to_have_value("not sent yet")
    wait_for(page, 1)
    assert length_seconds(page, 1) == pytest.approx(12, abs=1)
    shoot(page, SHOTS[1])
    wait_for(page, 2)


def test_on_a_phone(open_page) -> None:
    page = open_page(360, 740, has_touch=True, is_mobile=True)
    begin(page)
    tell(page, SHOTS[0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".picture").bounding_box()["width"] > 300


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1000, 600), (1440, 900), (2560, 1440)])
def test_the_picture_has_no_bars_and_nothing_moves_when_it_comes(open_page, width: int, height: int) -> None:
    page = open_page(width, height)
    begin(page)

    def places() -> tuple[float, float, float]:
        """Width and height of the picture, and how far below its top the form ends."""
        screen = page.locator(".screen").bounding_box()
        form = page.get_by_role("form", name="The next shot").bounding_box()
        return screen["width"], screen["height"], form["y"] + form["height"] - screen["y"]

    expect(page.get_by_text("Nothing shot yet.")).to_be_visible()
    before = places()
    assert before[0] / before[1] == pytest.approx(96 / 64, abs=0.01)
    assert before[0] > 0.5 * width or before[1] > 0.5 * height, "it is large"
    shoot(page, SHOTS[0], seconds=2)
    expect(page.locator("figcaption .caption")).to_have_text(SHOTS[0])
    assert places() == pytest.approx(before, abs=1)


def test_by_keyboard_alone(page) -> None:
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
        page.keyboard.press("Tab")
    page.keyboard.type(SETTING)
    page.keyboard.press("Enter")
    expect(composer(page)).to_be_focused()
    page.keyboard.type(SHOTS[0])
    page.keyboard.press("Enter")
    wait_for(page, 1, "live")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    expect(page.get_by_text("Holding").first).to_be_visible()
    page.keyboard.press("c")
    wait_for(page, 1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("n")
    expect(composer(page)).to_be_focused()
