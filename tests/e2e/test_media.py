"""`shotstream studio --media`: a machine is lost while a shot runs, and another one goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shotstream.client import Client, StudioError
from shotstream.media.video import read_video

pytestmark = pytest.mark.system


@contextmanager
def studio(library: Path, *words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A studio in a process of its own, and its address; it is killed at the end."""
    program = "import sys; from shotstream.cli.main import app; app(sys.argv[1:])"
    given = ("studio", "--no-open", "--port", "0", "--device", "cpu", "--library", str(library), *words)
    process = subprocess.Popen(
        [sys.executable, "-c", program, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    try:
        assert process.stdout is not None
        found = (re.search(r"http://\S+", line) for line in process.stdout)
        yield process, next(address[0] for address in found if address)
    finally:
        process.kill()
        process.wait()


def test_another_machine_goes_on_with_the_database_and_the_address(tmp_path: Path) -> None:
    """What both have is library.db, as they would have a PostgreSQL, and the address."""
    far = f"file://{tmp_path}/far"
    with (
        studio(tmp_path / "one", "--media", far) as (process, address),
        Client(address) as client,
        suppress(StudioError, OSError),
        client.begin("A red cat is on a beach.") as story,
    ):
        name = story.id
        assert len(list(story.shoot("The cat waves."))) == 3
        next(story.shoot("Close up of the cat."))
        process.kill()
    (tmp_path / "two").mkdir(mode=0o700)
    for file in (tmp_path / "one").glob("library.db*"):
        shutil.copy(file, tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    with (
        studio(tmp_path / "two", "--media", far) as (_, address),
        Client(address) as client,
        client.open(name) as story,
    ):
        assert [shot.state for shot in story.shots] == ["done", "live"]
        list(story.watch(1))
        assert [(shot.frames, shot.state) for shot in story.shots] == [(33, "done")] * 2
        story.save_film(tmp_path / "film.mp4")
    assert len(read_video(tmp_path / "film.mp4")[0]) == 66
