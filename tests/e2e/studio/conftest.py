"""The real studio with `mini`, in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

CHROMIUM = shutil.which("chromium")
STARTS_WITHIN_SECONDS = 90
WAITS_MS = 90_000
"""For what should be there at once, on a machine that may be busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium; run tests/e2e/studio/chromium.sh"))


class Server:
    """`shotstream studio` on a library, which can be killed and started again at the same address."""

    def __init__(self, library: Path, *options: str) -> None:
        self._library, self._port, self._options = library, 0, options
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        start = "from shotstream.cli.main import app; app()"
        options = ["studio", "--library", str(self._library), "--port", str(self._port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout
        said = []
        for line in self._process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self._port = int(found[1])
                break
        else:
            raise AssertionError("".join(said))
        self._wait_until_warm()

    def _wait_until_warm(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < deadline:
            try:
                return urlopen(f"{self.url}readyz").close()
            except URLError:
                time.sleep(0.1)
        raise AssertionError("the studio does not get warm")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


@pytest.fixture(scope="package")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("studio") / "library")
    yield server
    server.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAITS_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server: Server) -> Iterator[Callable]:
    """Open the page; what goes wrong in it fails the test, and so does any request to elsewhere."""
    contexts, wrong = [], []

    def open(width: int = 1280, height: int = 900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAITS_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if _is_wrong(message) else None)
        page.on("response", lambda answer: wrong.append(answer.url) if _is_refusal(answer) else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_elsewhere(request.url) else None)
        page.goto(server.url)
        return page

    def _is_elsewhere(url: str) -> bool:
        return not url.startswith((server.url, f"ws{server.url[4:]}", "blob:", "data:"))

    yield open
    for context in contexts:
        context.close()
    assert not wrong


def _is_refusal(answer) -> bool:
    """Apart from those that the page asks again: the studio is not warm yet, or a picture not quite there."""
    return answer.status >= 400 and not re.search(r"/readyz$|/stills/", answer.url)


def _is_wrong(message) -> bool:
    judged = (
        "Failed to load resource",
        "WebSocket connection",
    )  # as answers, or from a server that was killed
    return message.type == "error" and not any(words in message.text for words in judged)


@pytest.fixture
def page(open_page):
    return open_page()
