"""Processes that scan: Ctrl-C ends them, one that is ended is told of, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .drawn_films import write_film

pytestmark = pytest.mark.unit

CODE = """
import sys
from pathlib import Path
from shotstream.data.films.artefacts import Artefacts
from shotstream.data.films.scanning import scan_files
if __name__ == "__main__":
    films = sorted(Path(sys.argv[1]).glob("*.mp4")) * 40
    for done in scan_files(films, Artefacts(Path(sys.argv[2])), False, 2):
        print(done.file, flush=True)
"""


def children(parent):
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path, how):
    for seed in range(2):
        write_film(tmp_path, seed)
    (tmp_path / "scan.py").write_text(CODE)
    command = [sys.executable, str(tmp_path / "scan.py"), str(tmp_path), str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()  # the first film is scanned
        own = children(process.pid)
        assert len(own) >= 2
        os.kill(process.pid, how)
        process.wait(timeout=60)
    deadline = time.monotonic() + 30
    while any(map(running, own)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, own))
    assert list((tmp_path / "work" / "scans").glob("[!.]*.json"))
