"""A planned shot is given a LoRA and told with it; one that the studio does not have is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import shotstream
from shotstream.models.transformer import CausalWanTransformer3DModel
from tests.e2e.studio.conftest import WAITS_MS, Server
from tests.e2e.studio.directing import SHOTS, begin, card, composer, facts, planned, tell, wait_for
from tests.e2e.studio.looking import AXE, findings, look
from tests.streaming.random_lora import write_lora

pytestmark = pytest.mark.system

MINI = Path(shotstream.__file__).parent / "weights" / "mini"


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Server]:
    """A studio with two LoRAs, which shots use only where they say so."""
    folder = tmp_path_factory.mktemp("loras")
    transformer = CausalWanTransformer3DModel.from_pretrained(MINI / "transformer")
    options: list[str] = []
    for seed, name in enumerate(("ink", "paper")):
        path = write_lora(folder / f"{name}.safetensors", transformer, ("ffn.net.2",), seed)
        options += ["--lora", f"{path}:0"]
    server = Server(folder / "library", *options)
    yield server
    server.stop()


@pytest.fixture
def open_desk(browser, studio: Server) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open(width: int = 1366, height: int = 768) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAITS_MS)
        page.goto(studio.url)
        return page

    yield open
    for context in contexts:
        context.close()


def plan_with(page: Page, place: int, name: str, strength: str) -> None:
    """Give a planned shot a LoRA."""
    planned(page).nth(place).focus()
    page.keyboard.press("e")
    page.get_by_label("as the model has them").uncheck()
    page.get_by_label(name, exact=True).check()
    page.get_by_label(f"Strength of {name}").fill(strength)


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_a_planned_shot_is_told_with_a_lora_and_its_card_says_so(open_desk, width: int, height: int) -> None:
    page = open_desk(width, height)
    begin(page)
    composer(page).fill("\n\n".join(SHOTS[:2]))
    plan_with(page, 1, "ink", "0.5")
    look(page, f"lora form {width}")
    if AXE.exists():
        assert findings(page) == []
    page.get_by_role("button", name="Keep").click()
    expect(planned(page).nth(1)).to_contain_text("ink:0.5")
    expect(planned(page).nth(0)).not_to_contain_text("ink")
    page.get_by_role("button", name="Shoot all 2").click()
    wait_for(page, 1)
    wait_for(page, 2)
    assert facts(page, 2).endswith("· ink:0.5")
    assert "ink" not in facts(page, 1)
    look(page, f"lora told {width}")
    page.reload()
    expect(card(page, 2)).to_contain_text("ink:0.5")
    page.get_by_role("button", name="Retake shot 2").click()
    expect(card(page, 2)).to_contain_text("take 2/2")
    wait_for(page, 2)
    assert facts(page, 2).endswith("· ink:0.5")


def test_a_lora_that_the_studio_does_not_have_is_refused_in_a_sentence(open_desk, studio: Server) -> None:
    page = open_desk()
    begin(page)
    tell(page, SHOTS[0], seconds=2)
    page.get_by_role("button", name="Script").click()
    story = b"setting: A cat.\nshots:\n- {prompt: The cat dances., lora: [oil]}\n"
    file = {"name": "story.yaml", "mimeType": "text/yaml", "buffer": story}
    page.get_by_role("form", name="The next shot").locator("input[type=file]").set_input_files([file])
    expect(page.locator(".notice.wrong-tone")).to_contain_text("oil")
    expect(page.locator(".notice.wrong-tone")).to_contain_text("ink")
    look(page, "lora refused file")
    expect(planned(page)).to_have_count(0)
    composer(page).fill("\n\n".join(SHOTS[1:]))
    plan_with(page, 0, "paper", "0.25")
    page.get_by_role("button", name="Keep").click()
    expect(planned(page).nth(0)).to_contain_text("paper:0.25")
    studio.stop()
    kept, studio._options = studio._options, studio._options[:2]
    studio.start()
    try:
        page.get_by_role("button", name="Shoot all 2").click()
        expect(page.locator(".notices .wrong-tone").last).to_contain_text("this studio lacks 'paper'")
        look(page, "lora refused plan")
        expect(planned(page).nth(0)).to_contain_text("paper:0.25")
        expect(page.locator(".card")).to_have_count(3)
    finally:
        studio.stop()
        studio._options = kept
        studio.start()
