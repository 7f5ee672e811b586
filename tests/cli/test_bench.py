from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import shotstream
from shotstream.benchmark import cold, stopwatch
from shotstream.benchmark.cold import ColdCase, ColdStartError, measure_cold_start
from shotstream.benchmark.printing import goals
from shotstream.benchmark.record import Record
from shotstream.cli.main import app

pytestmark = pytest.mark.system

BASELINES = Path(shotstream.__file__).parents[2] / "benchmarks" / "baselines"


def bench(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bench", *map(str, words)])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Path:
    """The case of the baseline, measured here."""
    path = tmp_path_factory.mktemp("bench") / "tiny.json"
    words = ("--random", "tiny", "--device", "cpu", "--dtype", "float32", "--watch", "--cold", "-o", path)
    code, output = bench(*words)
    assert code == 0, output
    assert "from a new process to its first frames" in output
    return path


def test_a_new_process_is_timed_to_its_first_frames(watched):
    found = Record.read(watched).cold
    assert found is not None
    assert list(found.parts) == ["imports", "loading", "preparing", "first chunk"]
    assert min(found.parts.values()) > 0
    assert sum(found.parts.values()) == pytest.approx(found.seconds)
    assert not found.compiled_before
    code, output = bench("--cold", "--loop")
    assert code == 1
    assert "--cold tells a story" in output


def test_a_new_process_that_fails_says_why():
    case = ColdCase(
        model="vast",
        random=True,
        device="cpu",
        dtype="auto",
        mode="plain",
        decoder="full",
        height=32,
        width=32,
    )
    with pytest.raises(ColdStartError, match="there is no random model 'vast'"):
        measure_cold_start(case, compiles=False)


def test_where_something_is_compiled_a_process_before_fills_the_caches(monkeypatch):
    runs = []
    monkeypatch.setattr(cold, "_run", lambda case: runs.append(case) or {"imports": 3.0 - len(runs)})
    case = ColdCase(
        model="tiny",
        random=True,
        device="cpu",
        dtype="auto",
        mode="compiled",
        decoder="full",
        height=None,
        width=None,
    )
    found = measure_cold_start(case, compiles=True)
    assert len(runs) == 2
    assert found.seconds == 1.0
    assert found.compiled_before


@pytest.mark.parametrize("name", ["table.png", "record", "folder.json"])
def test_a_record_has_the_name_of_a_record(tmp_path, name):
    (tmp_path / "folder.json").mkdir()
    code, output = bench("--random", "tiny", "--device", "cpu", "-o", tmp_path / name)
    assert code == 1
    assert "name a file that ends with .json" in output


def test_the_loop_is_as_clean_as_its_baseline(watched):
    record = Record.read(watched)
    baseline = Record.read(BASELINES / f"{record.settings.case}.json")
    if baseline.machine.torch.partition("+")[0] != record.machine.torch.partition("+")[0]:
        pytest.skip(f"the baseline was counted with torch {baseline.machine.torch}")
    code, output = bench("--compare", BASELINES, watched, "--counts")
    assert code == 0, output


def test_a_slower_record_is_an_error(watched, tmp_path):
    record = Record.read(watched)
    assert record.unfinished is None
    record.whole_figures().frames_per_second *= 2
    record.write(tmp_path / "faster.json")
    assert bench("--compare", watched, watched)[0] == 0
    code, output = bench("--compare", tmp_path / "faster.json", watched)
    assert code == 1
    assert "worse than" in output
    assert "frames_per_second" in output


def test_a_benchmark_that_is_stopped_leaves_what_it_had(tmp_path, monkeypatch):
    path, honest = tmp_path / "stopped.json", stopwatch._story
    after_preparing = []

    def story(*words):
        for number, chunk in enumerate(honest(*words)):
            if not after_preparing:
                after_preparing.append(Record.read(path))
            if number == 2 * 2:  # the third shot that counts; the story that warms up has four chunks
                raise KeyboardInterrupt
            yield chunk

    monkeypatch.setattr(stopwatch, "_story", story)
    code, _ = bench("--random", "tiny", "--device", "cpu", "--shots", 3, "--seconds", 2, "-o", path)
    assert code
    assert after_preparing[0].figures is None
    assert "prepared in" in str(after_preparing[0].unfinished)
    record = Record.read(path)
    assert record.unfinished == "told 2 of 3 shots"
    assert record.figures is not None
    assert [len(shot) for shot in record.figures.chunk_seconds] == [2, 2]
    code, output = bench("--compare", path, path)
    assert code == 1
    assert "was stopped (told 2 of 3 shots)" in output


def test_a_case_without_baseline_is_an_error(watched, tmp_path):
    code, output = bench("--compare", tmp_path, watched)
    assert code == 1
    assert "has no baseline" in output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--random", "huge"], "there is no random model 'huge'"),
        (["--random", "tiny", "--mode", "odd"], "--mode is 'odd'; give auto, plain"),
        (["--random", "tiny", "--dtype", "int4"], "--dtype is 'int4'; give auto"),
        (["--random", "tiny", "--height", "33"], "cannot be made"),
        (["--random", "tiny", "--mode", "fast", "--watch"], "--watch"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(words, sentence):
    code, output = bench("--device", "cpu", *words)
    assert code == 1
    assert sentence in output


def test_the_table_shows_labels_and_the_case():
    code, output = bench("--random", "tiny", "--device", "cpu", "--shots", 2, "--seconds", 2, "--loop")
    assert code == 0, output
    assert "2 shots of 2 chunks" in output
    assert "random weights; transformer only" in output


def test_goals_are_shown_for_the_gpu_case_only(watched):
    settings = Record.read(watched).settings
    assert goals(settings) == {}
    gpu = settings.model_copy(update={"mode": "compiled", "device": "cuda", "height": 480, "width": 832})
    assert goals(gpu)["frames_per_second"].met(24)
    fast = goals(gpu.model_copy(update={"mode": "fast"}))
    assert not fast["frames_per_second"].met(39.9)
    assert fast["next_shot_seconds"].met(0.45)
    assert not fast["recompilations"].met(1)
