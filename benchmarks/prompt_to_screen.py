"""From a key to the picture: how long cuts and redirections take in a browser, measured by pixels.

    python benchmarks/prompt_to_screen.py --each 30 --viewers 1 -o record.json

A person's page in headless Chromium directs a studio with mini. The time runs from the key that gives an
order to the repaint after which the canvas holds a picture that was made for it. Which picture that is, is
seen by comparing the canvas with the frames of the film as the studio hands them out. Where that time goes is
told by the socket: when the order was answered, and when the first picture for it came in.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table
from studio_process import StudioProcess, free_port

from shotstream.machine.provenance import commit, hardware, now

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
PROMPTS = (
    "Wide shot of the orange cat waving hello.",
    "Close up of the orange cat dancing happily.",
    "Medium shot of the orange cat jumping up and down.",
    "Wide shot of the orange cat sleeping.",
    "Close up of the orange cat looking around.",
)
SHOT_SECONDS, REDIRECTS_PER_SHOT = 60, 12
STEP = 4
"""Every so manyth pixel of the canvas is looked at, along both sides."""
WAITS_MS = 60_000

_LOOK = """
(step) => {
  const native = WebSocket;
  const look = { seen: [], heard: [], key: 0, on: false };
  window.look = look;
  window.WebSocket = class extends native {
    constructor(...of) {
      super(...of);
      this.addEventListener("message", ({ data }) => {
        const at = performance.now();
        if (typeof data !== "string") {
          const view = new DataView(data);
          const [shot, take, frame] = [1, 5, 9].map((place) => view.getUint32(place, true));
          look.heard.push([at, "frame", shot, take, frame]);
        } else if (/"type":"(receipt|refused|turned)"/.test(data)) look.heard.push([at, data]);
      });
    }
  };
  let before = "";
  const paint = () => {
    requestAnimationFrame(paint);
    const canvas = document.querySelector("canvas.screen");
    if (!look.on || !canvas) return;
    const { width, height } = canvas;
    const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let pixels = "";
    for (let y = 0; y < height; y += step)
      for (let x = 0; x < width; x += step)
        pixels += String.fromCharCode(rgba[4 * (y * width + x) + 1]);
    if (pixels === before) return;
    before = pixels;
    look.seen.push([performance.now(), btoa(pixels)]);
  };
  requestAnimationFrame(paint);
  addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    Object.assign(look, { key: performance.now(), seen: [], heard: [], on: true });
  }, true);
}
"""


class Order(NamedTuple):
    """One order, and what the page saw after it; times are in milliseconds of the page's clock."""

    kind: str
    key_ms: float
    receipt: dict[str, Any]
    receipt_ms: float
    heard: list[list[Any]]
    seen: list[tuple[float, np.ndarray]]


class Director:
    """Gives orders on a page and watches its canvas."""

    def __init__(self, page: Page, chance: random.Random) -> None:
        self._page, self._chance = page, chance
        self._field = page.get_by_role("form", name="The next shot").get_by_role("textbox").first

    def shoot(self, seconds: int) -> None:
        """Begin a shot that is not measured, and wait until it is on the screen."""
        self._page.get_by_label("Length").select_option(str(seconds))
        self._field.fill(self._chance.choice(PROMPTS))
        self._field.press("Enter")
        self._wait_for_pixels()

    def order(self, kind: str, prompt: str) -> Order:
        """Give one order at a random moment of the picture, and wait until it is on the screen."""
        if kind == "cut":
            self._page.get_by_label("Length").select_option(str(SHOT_SECONDS))
        self._field.fill(prompt)
        time.sleep(self._chance.uniform(1.5, 3.0))
        self._field.press("Enter" if kind == "cut" else "Control+Enter")
        self._wait_for_pixels()
        key_ms, heard, seen = self._page.evaluate("[look.key, look.heard, look.seen]")
        answers = [(at, json.loads(text)) for at, text, *rest in heard if not rest]
        refused = [answer["message"] for _, answer in answers if answer["type"] == "refused"]
        assert not refused, refused
        at, receipt = next(answer for answer in answers if answer[1]["type"] == "receipt")
        frames = [entry for entry in heard if len(entry) > 2]
        return Order(kind, key_ms, receipt, at, frames, [(at, _pixels(text)) for at, text in seen])

    def _wait_for_pixels(self) -> None:
        """Until the page no longer says that the order is under way, and a little more."""
        self._page.wait_for_function("look.heard.some(([, text]) => /receipt/.test(text))", timeout=WAITS_MS)
        self._page.locator(".under-way").wait_for(state="hidden", timeout=WAITS_MS)
        time.sleep(0.2)
        self._page.evaluate("look.on = false")


def _pixels(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).astype(np.int16)


class Films:
    """The frames of a story's takes, as the studio hands them out, seen as the canvas is."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._films: dict[tuple[int, int], np.ndarray] = {}

    def of(self, shot: int, take: int) -> np.ndarray:
        """The pixels of a take's frames, ``[T, pixels]``."""
        if (shot, take) not in self._films:
            with urllib.request.urlopen(f"{self._address}/clips/{shot}/{take}.mp4", timeout=600) as answer:
                film = io.BytesIO(answer.read())
            with av.open(film, "r") as container:
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            made = [frame[::STEP, ::STEP, 1].reshape(-1) for frame in frames]
            self._films[shot, take] = np.stack(made).astype(np.int16)
        return self._films[shot, take]


def turned_ms(order: Order, films: Films) -> float | None:
    """When the canvas first held a picture that was made for an order; None if it never did."""
    place = order.receipt["applies_from"]
    shot, first = place["shot"], place["frame"]
    wanted = films.of(shot, 0)[first : first + 24]
    others = films.of(shot, 0)[max(0, first - 36) : first] if first else films.of(shot - 1, 0)[-36:]
    for at, pixels in order.seen:
        near = np.abs(wanted - pixels).mean(1).min()
        if near < np.abs(others - pixels).mean(1).min():
            return at - order.key_ms
    return None


def first_frame_ms(order: Order) -> float | None:
    """When the first frame for an order came in."""
    place = order.receipt["applies_from"]
    wanted = (place["shot"], place["frame"])
    after = [at for at, _, shot, _, frame in order.heard if (shot, frame) == wanted]
    return after[-1] - order.key_ms if after else None


def direct(page: Page, kind: str, each: int, chance: random.Random) -> list[Order]:
    """Give so many orders of one kind in a story of its own."""
    page.get_by_label("Who is in the story, and where?").fill(SETTING)
    page.get_by_role("button", name="Begin", exact=True).click()
    director, orders = Director(page, chance), []
    for number in range(each):
        if number % REDIRECTS_PER_SHOT == 0 and (kind == "redirect" or number == 0):
            director.shoot(SHOT_SECONDS)
        orders.append(director.order(kind, PROMPTS[number % len(PROMPTS)]))
    page.get_by_role("button", name="Stop", exact=True).click()
    return orders


def measure(
    url: str, browser: Any, kind: str, each: int, viewers: int, chance: random.Random
) -> dict[str, Any]:
    """Direct one story, watched by so many pages, and compute its figures in seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    context.add_init_script(f"({_LOOK})({STEP})")
    page = context.new_page()
    page.set_default_timeout(WAITS_MS)
    page.goto(url)
    page.get_by_role("button", name="Begin", exact=True).wait_for()
    others = []

    def watch(address: str) -> None:
        for _ in range(viewers - 1):
            others.append(browser.new_context().new_page())
            others[-1].goto(address)

    page.on("framenavigated", lambda frame: watch(frame.url) if "#/" in frame.url and not others else None)
    orders = direct(page, kind, each, chance)
    story = page.url.partition("#/")[2]
    films = Films(f"{url}api/stories/{story}")
    rows = [
        (turned_ms(order, films), order.receipt_ms - order.key_ms, first_frame_ms(order)) for order in orders
    ]
    context.close()
    for other in others:
        other.context.close()
    seen = [row for row in rows if row[0] is not None]
    names = ("screen", "receipt", "first_frame_in")
    columns = {
        name: [value / 1000 for row in seen if (value := row[place]) is not None]
        for place, name in enumerate(names)
    }
    aside = [order.receipt.get("put_aside") or 0 for order in orders]
    return {
        "orders": len(orders),
        "seen": len(seen),
        "chunks_put_aside": sum(aside),
        **{name: _spread(values) for name, values in columns.items()},
    }


def _spread(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 3), "p95": round(cuts[18], 3), "worst": round(max(values), 3)}


def main() -> None:
    """Measure cuts and redirections, print a table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--each", type=int, default=30, help="how many cuts, and how many redirections")
    parser.add_argument("--viewers", type=int, default=1, help="pages that watch, the director's among them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which orders are given")
    parser.add_argument("-o", "--output", type=Path, help="where the record goes, JSON")
    settings = parser.parse_args()
    chance = random.Random(settings.seed)
    record: dict[str, Any] = {"date": now(), "commit": commit(), "hardware": hardware("cpu")}
    record |= {"viewers": settings.viewers, "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = StudioProcess(Path(folder) / "library", free_port())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            studio.wait_ready()
            for kind in ("cut", "redirect"):
                url = f"http://127.0.0.1:{studio.port}/"
                record[kind] = measure(url, browser, kind, settings.each, settings.viewers, chance)
        finally:
            browser.close()
            studio.stop()
    record["load_after"] = os.getloadavg()
    if settings.output:
        settings.output.write_text(json.dumps(record, indent=2) + "\n")
    table = Table("order", "seen", "put aside", "screen p50", "p95", "worst", "answer p50", "first frame p50")
    for kind in ("cut", "redirect"):
        told = record[kind]
        screen = [f"{told['screen'].get(name, float('nan')):.2f} s" for name in ("p50", "p95", "worst")]
        rest = [f"{told[name].get('p50', float('nan')):.2f} s" for name in ("receipt", "first_frame_in")]
        table.add_row(
            kind, f"{told['seen']} of {told['orders']}", str(told["chunks_put_aside"]), *screen, *rest
        )
    Console().print(table)
    print(f"load {record['load_before'][0]:.1f} before, {record['load_after'][0]:.1f} after", file=sys.stderr)


if __name__ == "__main__":
    main()
