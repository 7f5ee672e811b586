"""Drawn films with hard cuts, some of them broken: what is found, what is kept, and why the rest is not."""

import json
import multiprocessing
import os
import shutil
import time
from collections import Counter
from itertools import cycle, islice

import numpy as np
import pytest
import torch

from shotstream.data.films.check import check_shards
from shotstream.data.films.inputs import read_inputs
from shotstream.data.films.model import open_encoder
from shotstream.data.films.prepare import prepare
from shotstream.data.films.report import write_report
from shotstream.data.films.scan import scan
from shotstream.data.films.second_opinion import agreement
from shotstream.data.films.settings import FilmSettings
from shotstream.data.shards import Shards
from shotstream.media.video import pyav

from .drawn_films import BREAKAGES, encode, write_film

pytestmark = pytest.mark.unit

FILMS = int(os.environ.get("SHOTSTREAM_FILMS", "12"))
"""200 for the figure in docs/own_films.md."""
SETTINGS = FilmSettings(held_out=0.2)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Whole films, and broken ones: each way once, or a tenth of all if that is more; and a copy of one."""
    folder = tmp_path_factory.mktemp("films")
    broken = max(len(BREAKAGES), FILMS // 10)
    ways = [way for way, _ in zip(cycle(BREAKAGES), range(broken), strict=False)]
    written = [write_film(folder, seed) for seed in range(FILMS - (broken if FILMS > 12 else 0))]
    written += [write_film(folder, 1000 + number, way) for number, way in enumerate(ways)]
    copy = folder / "9999.mp4"
    shutil.copy(written[0].path, copy)
    copy.with_suffix(".txt").write_text("A copy.\n")
    return folder, written


@pytest.fixture(scope="module")
def prepared(films, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return folder, prepare(read_inputs([films[0]]), folder, model, SETTINGS)


@pytest.fixture(scope="module")
def cuts(films):
    """Cuts of whole films: how many there are, how many were found, and how many of these are right."""
    true = found = right = 0
    for film in films[1][: FILMS - (FILMS // 10 if FILMS > 12 else 0)]:
        _, seen = scan(film.path)
        true, found = true + len(film.cuts), found + len(seen.cuts)
        right += agreement(film.cuts, seen.cuts)
    return true, found, right


def test_cuts_are_found(cuts):
    true, found, right = cuts
    precision, recall = right / found, right / true
    print(f"\n{FILMS} films: precision {precision:.4f}, recall {recall:.4f} of {true} cuts")
    assert min(precision, recall) >= 0.98


def test_what_is_kept_and_why_the_rest_is_not(films, prepared, cuts):
    """Where a cut is missed, two shots are kept as one."""
    _, written = films
    true, found, _ = cuts
    folder, summary = prepared
    print(f"\n{summary.shots} shots, {summary.kept_shots} kept, not kept: {summary.rejected}")
    expected = Counter(duplicate=4)
    for film in written:
        expected.update(film.rejected)
    assert summary.rejected == dict(expected)
    assert summary.kept_shots == sum(film.kept for film in written) - (true - found)
    assert summary.shots == summary.kept_shots + sum(expected.values()) - expected["unreadable"]
    lines = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert Counter(line["reason"] for line in lines) == expected
    records = [record for split in summary.stories for record in Shards(folder / split).records]
    assert sum(len(record["frames"]) for record in records) == summary.kept_shots
    train, held_out = (
        {shot["file"] for record in Shards(folder / split).records for shot in record["shots"]}
        for split in ("train", "held-out")
    )
    assert held_out
    assert not train & held_out


def test_bars_are_cropped(films, prepared):
    letterboxed = next(film for film in films[1] if film.path.name == "1006.mp4")
    _, seen = scan(letterboxed.path)
    assert seen.bars[:2] == pytest.approx(16 / 128, abs=2 / 128)
    assert not seen.bars[2:].any()


def test_a_second_run_does_nothing_again(films, prepared, model):
    folder, first = prepared
    index = (folder / "train" / "index.jsonl").read_bytes()
    again = prepare(read_inputs([films[0]]), folder, model, SETTINGS)
    assert (again.scanned, again.encoded) == (0, 0)
    assert again.stories == first.stories
    assert (folder / "train" / "index.jsonl").read_bytes() == index


def test_check_and_report(prepared, films):
    folder, summary = prepared
    assert all(problem is None for _, problem in check_shards(folder))
    page = write_report(folder, folder / "report.html").read_text()
    for reason in summary.rejected:
        assert f"<summary>{reason}: {summary.rejected[reason]} " in page
    assert page.count('src="pictures/') == sum(summary.stories.values())
    assert page.count("data:image/jpeg") >= len(summary.rejected) - 1  # an unreadable film has no picture


def test_a_flipped_bit_and_an_orphan_are_found(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "shards")
    shard = tmp_path / "shards/train/shard-000000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    (tmp_path / "shards/held-out/shard-000900.safetensors").write_bytes(b"left over")
    problems = [problem for _, problem in check_shards(tmp_path / "shards") if problem]
    assert len(problems) == 2
    assert "the checksum differs" in problems[0]
    assert "can be deleted" in problems[1]


def test_films_that_are_taken_away_leave_the_shards(films, prepared, model, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "shards")
    few = read_inputs([film.path for film in films[1][1:4]])
    summary = prepare(few, tmp_path / "shards", model, SETTINGS)
    assert sum(summary.stories.values()) == 3
    assert summary.encoded <= 1  # one may have gone over to the other split
    assert all(problem is None for _, problem in check_shards(tmp_path / "shards"))


def test_a_film_that_another_tool_drew_goes_through(model, tmp_path):
    """FFmpeg's own generators, as it encodes films: three shots of two seconds, at 25 a second."""
    sources = ("testsrc2", "mandelbrot", "life=mold=10:ratio=0.2:seed=1:death_color=#c83232")
    shots = []
    for source in sources:
        drawn = f"{source}{':' if '=' in source else '='}size=200x120:rate=25"
        with pyav().open(drawn, format="lavfi") as container:
            frames = islice(container.decode(video=0), 50)
            shots.append(np.stack([frame.to_ndarray(format="rgb24") for frame in frames]))
    encode(tmp_path / "made.mkv", np.concatenate(shots), "libx264", "yuv420p", rate=25)
    (tmp_path / "made.txt").write_text("Patterns.\n")
    summary = prepare(read_inputs([tmp_path / "made.mkv"]), tmp_path / "shards", model, SETTINGS)
    assert (summary.shots, summary.kept_shots, summary.rejected) == (3, 3, {})
    (record,) = Shards(tmp_path / "shards" / "train").records
    assert record["frames"] == [24, 24, 24]
    assert [shot["start"] for shot in record["shots"]] == pytest.approx([0, 2, 4], abs=0.05)


def prepare_some(films, folder, model_folder):
    prepare(read_inputs(films), folder, open_encoder(str(model_folder), torch.device("cpu")), SETTINGS)


def test_a_kill_loses_nothing_that_is_finished(films, model, model_folder, tmp_path):
    paths, folder = [film.path for film in films[1][:8]], tmp_path / "shards"
    few = read_inputs(paths)
    child = multiprocessing.get_context("forkserver").Process(
        target=prepare_some, args=(paths, folder, model_folder)
    )
    child.start()
    waiting = folder / "work" / "latents"
    while len(list(waiting.glob("[!.]*.safetensors"))) < 2:
        assert child.is_alive(), "it ended before it could be killed"
        time.sleep(0.002)
    child.kill()
    child.join()
    finished = {path: path.stat().st_mtime_ns for path in waiting.glob("[!.]*.safetensors")}
    scans = {path: path.stat().st_mtime_ns for path in (folder / "work" / "scans").iterdir()}
    summary = prepare(few, folder, model, SETTINGS)
    assert summary.scanned == 0
    assert summary.encoded == 8 - len(finished)
    assert {path: path.stat().st_mtime_ns for path in scans} == scans
    assert not list(waiting.iterdir())
    assert sum(len(Shards(folder / split)) for split in ("train", "held-out")) == 8
    assert all(problem is None for _, problem in check_shards(folder))
