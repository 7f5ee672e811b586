"""The first minutes on a GPU: the steps at tiny size on a CPU; what is stopped leaves its answers."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import shotstream

pytestmark = pytest.mark.system

SCRIPTS = Path(shotstream.__file__).parents[2] / "benchmarks"
first_light = SimpleNamespace(**runpy.run_path(str(SCRIPTS / "first_light.py")))

EXPECTED = {
    "machine": {"machine", "bfloat16_tflop_s_64x32x48", "float8_tflop_s_64x32x48"},
    "parity": {"float32", "float32_cache_of_nan", "again_bit_equal", "bfloat16"},
    "attention": {"default_9", "default_27", "cudnn_27"},
    "attention8": {"verdict", "mini"}
    | {f"96_{what}" for what in ("bfloat16", "float8", "float8_not_centred", "float8_in_segments")}
    | {"96_rounded", "24_float8_scale_1"},
    "graphs": {"eager_ms"},
    "profile": {"kernels_ms"},
    "passes": {"eager_ms", "compiled_ms", "graphs", "recompiled", "compiled_against_eager"},
    "float8": {"chosen", "fast_ms", "fast_against_eager"},
    "vae": {"tiny_ms", "eager_ms", "compiled_ms", "compiled_against_eager", "still_ms"},
}
SLOW = ("float8", "vae")


@pytest.fixture
def report(tmp_path: Path):
    made = first_light.Report(tmp_path)
    yield made
    made.log.close()


def read(report) -> dict:
    return json.loads(report.path.read_text())["steps"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_step_that_is_stopped_leaves_its_answers_and_its_processes(report):
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('@@ {\"a\": 1}', flush=True)\n"
        "print('@@ {\"cut o', flush=True)\n"
        "print('no answer', flush=True)\n"
        "time.sleep(60)\n"
    )
    assert first_light.run_step(report, "slow", python(code), 3) == "stopped after 3 s"
    assert read(report)["slow"]["answers"] == {"a": 1}
    assert read(report)["slow"]["seconds"] < 20
    log = (report.path.parent / "log.txt").read_text()
    assert "no answer" in log


def test_a_step_that_fails_leaves_its_answers(report):
    code = 'print(\'@@ {"a": 1, "machine": {"torch": "3"}}\'); raise ValueError(\'odd\')'
    assert first_light.run_step(report, "odd", python(code), 30) == "failed (1)"
    assert read(report)["odd"]["answers"] == {"a": 1}
    assert json.loads(report.path.read_text())["machine"] == {"torch": "3"}
    assert "ValueError: odd" in (report.path.parent / "log.txt").read_text()


def test_the_script_runs_a_step_and_leaves_out_what_no_longer_fits(tmp_path: Path, capsys):
    words = ["--tiny", "--out", str(tmp_path), "--only", "machine"]
    assert first_light.main(words) == 0
    found = json.loads((tmp_path / "first_light.json").read_text())
    assert found["steps"]["machine"]["state"] == "done"
    assert found["machine"].keys() == {"hardware", "torch", "commit", "driver", "cudnn"}
    assert found["tiny"]
    assert "machine: done" in capsys.readouterr().out
    assert first_light.main([*words, "--budget", "5"]) == 1
    found = json.loads((tmp_path / "first_light.json").read_text())
    assert found["steps"]["machine"]["state"].startswith("left out")
    with pytest.raises(SystemExit):
        first_light.main(["--only", "unheard-of"])


def test_the_last_step_runs_every_test_that_needs_a_gpu():
    steps, root = (SCRIPTS / "first_light_steps.py").read_text(), SCRIPTS.parent
    marked = {
        path.relative_to(root).as_posix()
        for path in (root / "tests").rglob("test_*.py")
        if re.search(r"^(@|pytestmark = )pytest\.mark\.gpu", path.read_text(), re.MULTILINE)
    }
    listed = set(re.findall(r'"(tests/[a-z_/]+\.py)"', steps))
    assert len(marked) >= 4
    assert listed == marked


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[pytest.mark.long] * (step in SLOW)) for step in EXPECTED]
)
def test_every_step_answers_at_tiny_size(step: str, capsys, monkeypatch):
    import torch
    from torch._dynamo.utils import counters

    monkeypatch.setattr(sys, "path", list(sys.path))
    torch.compiler.reset()
    counters.clear()  # a step has a process of its own
    try:
        steps = runpy.run_path(str(SCRIPTS / "first_light_steps.py"))
        steps[step](steps["Place"](tiny=True))
    finally:
        torch.compiler.set_stance("default")
        torch._dynamo.reset()
    answers: dict = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("@@ "):
            answers |= json.loads(line.removeprefix("@@ "))
    assert answers.keys() >= EXPECTED[step]
    if step == "parity":
        assert answers["float32_cache_of_nan"]["largest_error"] <= 1e-4
        assert answers["again_bit_equal"]
    if step == "attention8":
        assert answers["verdict"]["exact_enough"]
        assert answers["verdict"]["gain"] > 0
        assert answers["mini"]["as_promised"]
        assert answers["96_bfloat16"]["sharp_worst"] < 0.02
        for way in ("float8", "float8_not_centred", "float8_in_segments"):
            assert 0 < answers[f"96_{way}"]["sharp_worst"] < 0.12
    if step == "passes":
        assert (answers["graphs"], answers["recompiled"]) == (3, 0)
