import subprocess
import sys

import pytest

from shotstream.machine.threads import SPIN_COUNT, limit_spinning, waiting_threads

pytestmark = pytest.mark.system

SHOW = "import os, sys, shotstream; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def told(environment: dict[str, str]) -> str:
    import os

    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    words = [sys.executable, "-c", SHOW]
    return subprocess.run(
        words, env=clean | environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_threads_are_told_before_torch_is_there():
    assert told({}) == f"{SPIN_COUNT} False"


def test_what_a_person_has_set_stays():
    assert told({"GOMP_SPINCOUNT": "77"}) == "77 False"
    assert told({"OMP_WAIT_POLICY": "active"}) == "None False"


def test_once_torch_is_there_nothing_is_claimed():
    import torch  # noqa: F401 - it has read its environment

    environment: dict[str, str] = {}
    limit_spinning(environment)
    assert not environment
    assert "GOMP_SPINCOUNT=1000" in waiting_threads(environment)
    assert waiting_threads({"GOMP_SPINCOUNT": "5"}) == "waiting threads go by GOMP_SPINCOUNT=5"
