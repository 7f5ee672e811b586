"""What is written is put into the model's words, looked at, and told of a cast with names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.chat_server import ChatServer, told
from tests.e2e.studio.conftest import Server
from tests.e2e.studio.directing import begin, card, composer, planned, shoot, wait_for
from tests.e2e.studio.looking import findings, look

pytestmark = pytest.mark.system

ROBOT = "A blue robot is in a forest at night."
WRITTEN = "our robot is dancing, seen from far away"
TOLD = "Wide shot of the blue robot dancing."


def test_a_plain_sentence_is_shown_in_the_models_words_and_told_so(page) -> None:
    begin(page, ROBOT)
    composer(page).fill(WRITTEN)
    expect(page.get_by_text(f"The model gets: {TOLD}")).to_be_visible()
    look(page, "adapted")
    composer(page).press("Enter")
    expect(card(page, 1)).to_contain_text(TOLD)
    expect(card(page, 1)).to_contain_text(f"you wrote: {WRITTEN}")
    page.reload()
    expect(card(page, 1)).to_contain_text(f"you wrote: {WRITTEN}")
    wait_for(page, 1)


def test_a_setting_is_shown_in_the_models_words_before_the_story_begins(page) -> None:
    field = page.get_by_label("Who is in the story, and where?")
    field.fill("a little red fox in the woods at nighttime")
    expect(page.get_by_text("The model gets: A red fox is in a forest at night.")).to_be_visible()
    look(page, "setting adapted")
    page.get_by_role("button", name="Use my own words").click()
    look(page, "setting in own words")
    page.get_by_role("button", name="Use these").click()
    field.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("A red fox is in a forest at night.")


def test_a_shot_is_taken_again_in_new_words_beside_ones_own(page) -> None:
    begin(page, ROBOT)
    shoot(page, "Close up of the robot waving hello.", 2)
    wait_for(page, 1)
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Change the words").click()
    words = card(page, 1).get_by_role("textbox", name="New words")
    words.fill(WRITTEN)
    expect(card(page, 1).get_by_text(f"The model gets: {TOLD}")).to_be_visible()
    look(page, "new words")
    words.press("Control+Enter")
    expect(card(page, 1)).to_contain_text(f"you wrote: {WRITTEN}")
    expect(card(page, 1)).to_contain_text("take 2/2")
    wait_for(page, 1)


def test_orders_go_out_as_they_were_given_where_an_adapter_is_slow(page) -> None:
    begin(page, ROBOT)
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda text: sent.append(str(text))))
    page.reload()
    shoot(page, "Close up of the robot waving hello.", 12)
    wait_for(page, 1, "live")
    asked: list[Route] = []
    page.route("**/api/prompts", lambda route: asked.append(route))
    shoot(page, "Wide shot of the robot walking along.", 2)
    expect(page.get_by_text("Putting it into the model’s words …")).to_be_visible()
    composer(page).press("Escape")
    page.keyboard.press("h")
    page.keyboard.press("m")
    expect(page.get_by_text("2 orders wait behind it.")).to_be_visible()
    look(page, "orders wait")
    for route in asked:
        route.continue_()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    kinds = [re.search(r'"type":"(\w+)"', text) for text in sent]
    given = [kind[1] for kind in kinds if kind and kind[1] not in ("hello", "playhead")]
    assert given == ["shoot", "shoot", "hold", "pause"]


def test_ones_own_words_are_one_click_away_and_adapting_can_be_off(page) -> None:
    begin(page, ROBOT)
    composer(page).fill(WRITTEN)
    page.get_by_role("button", name="Use my own words").click()
    look(page, "own words")
    composer(page).press("Enter")
    expect(card(page, 1)).to_contain_text(WRITTEN)
    page.get_by_role("button", name="Adapt").click()
    composer(page).fill(WRITTEN)
    expect(page.get_by_text("Did you mean wide shot")).to_be_visible()
    expect(page.get_by_text("The model gets:")).to_have_count(0)


def test_a_script_is_adapted_on_its_cards_and_told_by_one_key(page) -> None:
    begin(page, ROBOT)
    composer(page).fill(f"{WRITTEN}\n\nhe fell asleep\n\nClose up of the robot waving hello.")
    expect(planned(page).nth(0)).to_contain_text(TOLD)
    expect(planned(page).nth(1)).to_contain_text("Medium shot of the blue robot sleeping.")
    expect(planned(page).nth(1)).to_contain_text("you wrote: he fell asleep")
    look(page, "script adapted")
    composer(page).press("Control+Enter")
    expect(card(page, 2)).to_contain_text("you wrote: he fell asleep")
    wait_for(page, 3)


def test_shots_that_do_not_fit_are_marked(page) -> None:
    begin(page, ROBOT)
    page.get_by_role("button", name="Adapt").click()
    composer(page).fill("Wide shot, dancing")
    expect(page.get_by_text("Shot 1 names nobody. Say “the blue robot”")).to_be_visible()
    look(page, "names nobody")
    shoot(page, "The red robot dances in a castle.")
    expect(
        page.get_by_role("img", name=re.compile("Words of shot 1: The robot of this story is blue"))
    ).to_be_visible()
    composer(page).fill("The bear dances.\n\nThe robot sprints.\n\nThe robot dances.")
    stranger = page.get_by_role("img", name=re.compile("Words of shot 2: The story has no “bear”"))
    expect(stranger).to_be_visible()
    expect(
        page.get_by_role("img", name=re.compile("Words of shot 3: The model does not know “sprints”"))
    ).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Words of shot 4"))).to_have_count(0)
    look(page, "marked")


def test_a_cast_with_names_and_pictures(page, tmp_path: Path) -> None:
    begin(page, ROBOT)
    page.get_by_role("button", name="Add somebody").click()
    page.get_by_label("Name").fill("Rosie")
    page.get_by_label("How they look").fill("a little red fox with a bow")
    look(page, "cast form")
    page.get_by_role("button", name="Keep").click()
    expect(
        page.get_by_text("A blue robot and a red fox wearing a bow are in a forest at night.")
    ).to_be_visible()
    look(page, "cast setting")
    page.get_by_role("button", name="Use this setting").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("a red fox wearing a bow")
    composer(page).fill("Rosie runs")
    expect(page.get_by_text("The model gets: Medium shot of the red fox walking along.")).to_be_visible()
    composer(page).press("Enter")
    wait_for(page, 1)
    page.get_by_role("button", name="Change Rosie").click()
    page.get_by_role("button", name="The frame on the screen").click()
    expect(page.get_by_role("img", name="Picture 1")).to_be_visible()
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".remembered[data-source=reference]")).to_have_count(1)
    look(page, "cast")
    page.reload()
    expect(page.locator(".cast-entry img")).to_be_visible()
    page.get_by_role("button", name="Take Rosie off the sheet").click()
    expect(page.locator(".remembered[data-source=reference]")).to_have_count(0)
    expect(page.locator(".cast-entry")).to_have_count(0)


def test_a_cast_change_is_undone(page) -> None:
    begin(page, ROBOT)
    page.get_by_role("button", name="Add somebody").click()
    page.get_by_label("Name").fill("Rob")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("not described: the model knows no names")).to_be_visible()
    page.get_by_role("button", name="Undo").first.click()
    expect(page.locator(".cast-entry")).to_have_count(0)


def test_a_screenplay_brings_its_cast(page, tmp_path: Path) -> None:
    begin(page, ROBOT)
    page.get_by_role("button", name="Script").click()
    (tmp_path / "fox.fountain").write_text(
        "EXT. FOREST - NIGHT\n\nROSIE, a little red fox, waves hello.\n\nROSIE\nHello!\n"
    )
    page.get_by_role("form", name="The next shot").locator("input[type=file]").set_input_files(
        tmp_path / "fox.fountain"
    )
    expect(page.locator(".cast-entry")).to_contain_text("a little red fox")
    expect(planned(page).nth(0)).to_contain_text("Medium shot of the red fox waving hello.")


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_serious_finding_of_axe(open_page, width: int, height: int, colours: str) -> None:
    page = open_page(width, height, bypass_csp=True, color_scheme=colours)
    begin(page, ROBOT)
    page.get_by_role("button", name="Add somebody").click()
    page.get_by_label("Name").fill("Rosie")
    page.get_by_label("How they look").fill("a little red fox with a bow")
    assert findings(page) == []
    look(page, f"form {width} {colours}")
    page.get_by_role("button", name="Keep").click()
    composer(page).fill("Rosie runs\n\nThe bear sprints.\n\nA red robot dances.")
    expect(planned(page).nth(0)).to_contain_text("red fox")
    expect(page.get_by_role("img", name=re.compile("Words of shot 2"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert findings(page) == []
    look(page, f"words {width} {colours}")
    composer(page).fill(WRITTEN)
    expect(page.get_by_text("The model gets:")).to_be_visible()
    assert findings(page) == []
    look(page, f"adapted {width} {colours}")


@pytest.mark.parametrize(("width", "colours"), [(1366, "light"), (390, "dark")])
def test_no_serious_finding_where_settings_and_told_shots_are_adapted(
    open_page, width: int, colours: str
) -> None:
    page = open_page(width, 844, bypass_csp=True, color_scheme=colours)
    page.get_by_label("Who is in the story, and where?").fill("a little blue robot in the woods at nighttime")
    expect(page.get_by_text("The model gets:")).to_be_visible()
    assert findings(page) == []
    look(page, f"setting {width} {colours}")
    page.get_by_role("button", name="Begin").click()
    shoot(page, "Close up of the robot waving hello.", 2)
    wait_for(page, 1)
    page.get_by_role("button", name="More for shot 1").click()
    page.get_by_role("button", name="Change the words").click()
    card(page, 1).get_by_role("textbox", name="New words").fill(WRITTEN)
    expect(card(page, 1).get_by_text(f"The model gets: {TOLD}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert findings(page) == []
    look(page, f"reword {width} {colours}")


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    chat = ChatServer()
    yield chat
    chat.close()


def test_an_endpoint_adapts_and_the_rules_stand_behind_it(browser, chat: ChatServer, tmp_path: Path) -> None:
    chat.answers = [told({"prompts": ["Close up of the blue robot dancing happily."]})]
    server = Server(tmp_path / "library", "--adapter", chat.url, "--adapter-model", "words")
    try:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        begin(page, ROBOT)
        composer(page).fill(WRITTEN)
        composer(page).press("Enter")
        expect(
            page.get_by_text("The model gets: Close up of the blue robot dancing happily.")
        ).to_be_visible()
        composer(page).press("Enter")
        expect(card(page, 1)).to_contain_text("Close up of the blue robot dancing happily.")
        chat.answers = [(401, "no such key", {})]
        composer(page).fill("the robot sat down")
        expect(page.get_by_text("The rules did it instead.")).to_be_visible()
        expect(
            page.get_by_text("The model gets: Medium shot of the blue robot sitting down.")
        ).to_be_visible()
        answer = httpx.post(
            f"{server.url}api/prompts", json={"setting": ROBOT, "prompts": ["it dances"]}
        ).json()
        assert answer["by"] == "rules"
        assert "status 401" in answer["problem"]
        context.close()
    finally:
        server.stop()
