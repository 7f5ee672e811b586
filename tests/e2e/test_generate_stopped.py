"""`shotstream generate` is stopped at random moments in every way there is: what it reported is whole, and
the film that it goes on to is the same, byte for byte, as if it had not been stopped.

The short form stops it once in every way; with SHOTSTREAM_LONG set, it does so 25 times in every way.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Literal

import pytest
from av import open as open_film

from shotstream.media.files import clear_parts
from tests.e2e.stopped_runs import Run

pytestmark = [pytest.mark.unit, pytest.mark.skipif(os.name != "posix", reason="signals")]

STOPS = 25 if "SHOTSTREAM_LONG" in os.environ else 1
SHOTS = 6
CODES = {"TERM": 143, "HUP": 129, "INT": 130, "INT twice": 130, "KILL": -9}
"""Ways to stop a run by signals, and how it ends."""


@pytest.fixture(scope="module")
def words(pipeline, tmp_path_factory) -> list[str]:
    """A story and a tiny model."""
    folder = tmp_path_factory.mktemp("generate")
    pipeline.save_pretrained(folder / "tiny")
    shots = [{"prompt": f"the fox runs {number}", "chunks": 1 + number % 3} for number in range(SHOTS)]
    story = folder / "story.json"
    story.write_text(json.dumps({"setting": "a red fox in the snow", "seed": 3, "shots": shots}))
    return [str(story), "--model", str(folder / "tiny"), "--device", "cpu"]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory) -> Path:
    """The film of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run = Run([*words, "-o", str(folder / "film")], folder / "log")
    assert run.end() == 0, (folder / "log").read_text()
    assert run.reported() == list(range(1, SHOTS + 1))
    return folder / "film"


def films(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("[!.]*.mp4"))}


def frames(path: Path) -> int:
    with open_film(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


class Stopper:
    """Stops runs into one folder after another, and looks at what they leave."""

    def __init__(self, words: list[str], whole: Path, folder: Path, seed: int) -> None:
        self.words, self.whole, self.folder = words, films(whole), folder
        self.chance = random.Random(seed)
        self.stops = self.films = 0
        self.reported: set[int] = set()

    @property
    def film(self) -> Path:
        return self.folder / str(self.films)

    def start(self, log: Path | Literal["terminal", "pipe"]) -> Run:
        return Run([*self.words, "-o", str(self.film)], log)

    def stop_once(self, how: str) -> int:
        """Start a run, stop it at some moment, look at what is left; returns its exit code."""
        run = self.start(self.folder / "log" if how in CODES else how)
        if self.chance.random() < 0.8:  # else while it begins
            run.wait_for_shots(self.chance.randint(0, 2))
        time.sleep(self.chance.uniform(0, 0.3))
        stopped = run.process.is_alive()
        if how in CODES:
            run.send(signal.Signals[f"SIG{how.removesuffix(' twice')}"])
        else:
            run.close_output()
        if how.endswith("twice"):
            time.sleep(self.chance.uniform(0, 0.05))
            run.send(signal.SIGINT)
        code = run.end()
        self.stops += stopped
        self.reported |= set(run.reported())
        assert code != 1, run.said()
        self.check(run.said())
        if code == 0:
            self.finish()
        return code

    def check(self, said: str) -> None:
        """Every film that is there can be read, and those of reported shots are what they should be."""
        assert "Traceback" not in said, said
        left = films(self.film)
        for name in left:
            assert frames(self.film / name) > 0
        for number in self.reported:
            name = f"shots/{number:02d}.mp4"
            assert left[name] == self.whole[name], name

    def finish(self) -> None:
        """Go on to the end, and begin another film."""
        run = self.start(self.folder / "log")
        assert run.end() == 0, run.said()
        assert films(self.film) == self.whole
        clear_parts(self.film)
        names = {path.name for path in self.film.iterdir()}
        assert names == {"story.mp4", "shots", "contact_sheet.png", "story.json", "first_frame.png"}
        record = json.loads((self.film / "story.json").read_text())
        assert record["complete"]
        assert [shot["shot"] for shot in record["shots"]] == list(range(1, SHOTS + 1))
        self.films, self.reported = self.films + 1, set()


@pytest.mark.parametrize("how", CODES)
def test_whatever_stops_it_nothing_is_lost(words, whole, tmp_path, how):
    codes = stop_often(Stopper(words, whole, tmp_path, seed=len(how)), how)
    early = {
        0,
        -signal.Signals[f"SIG{how.removesuffix(' twice')}"],
    }  # before the command line listens; the end
    assert codes <= {CODES[how]} | early
    assert codes - {0}


def test_a_terminal_that_goes_away_stops_it(words, whole, tmp_path):
    codes = stop_often(Stopper(words, whole, tmp_path, seed=1), "terminal")
    assert codes <= {128 + signal.SIGHUP, -signal.SIGHUP, 0}
    assert codes - {0}


def test_a_reader_that_goes_away_does_not(words, whole, tmp_path):
    assert stop_often(Stopper(words, whole, tmp_path, seed=2), "pipe") == {0}


def stop_often(stopper: Stopper, how: str) -> set[int]:
    """Stop as many runs as are wanted, and finish the last film; returns the exit codes."""
    codes = set()
    while stopper.stops < STOPS:
        codes.add(stopper.stop_once(how))
    stopper.finish()
    print(f"{how}: stopped {stopper.stops} times, {stopper.films} films finished, exit codes {sorted(codes)}")
    return codes
