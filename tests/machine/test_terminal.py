"""Printing in processes of their own, whose terminals go wrong in every way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.unit, pytest.mark.skipif(os.name != "posix", reason="file descriptors")]

PRINTS = """
import sys
from rich.console import Console
from shotstream.machine.terminal import print_without_fail
print_without_fail()
console = Console()
for _ in range(2000):
    print("an arrow \\u2192", flush=True)
    console.print("another \\u2192")
    print("and \\udcff", file=sys.stderr)
with open(sys.argv[1], "w") as file:
    file.write("done")
"""


def run(tmp_path: Path, redirect: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run it in a shell; returns what the shell saw, and what the process wrote to its file."""
    script, done = tmp_path / "prints.py", tmp_path / "done"
    script.write_text(PRINTS)
    line = f'"{sys.executable}" "{script}" "{done}" {redirect}'
    words = ["bash", "-o", "pipefail", "-c", line]
    made = subprocess.run(words, capture_output=True, text=True, env=os.environ | environment, timeout=60)
    return made, done.read_text() if done.exists() else "nothing"


@pytest.mark.parametrize(
    "redirect",
    [
        "> /dev/full 2>&1",
        ">&-",
        ">&- 2>&- <&-",
        "| head -1",
        "2>&1 | head -1",
        "2> /dev/full",
        "> /dev/null 2>&-",
    ],
)
def test_nothing_that_is_printed_ends_a_process(tmp_path, redirect):
    made, done = run(tmp_path, redirect)
    assert (made.returncode, done) == (0, "done"), made.stderr
    assert "Exception ignored" not in made.stderr
    assert "Traceback" not in made.stderr


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        (
            "> /dev/full",
            "shotstream: some of what was printed is lost (No space left on device); the rest was done.\n",
        ),
        ("> /dev/full 2>&1", ""),
        (">&-", ""),
        ("| head -1 > /dev/null", ""),
        ("> /dev/null", ""),
    ],
)
def test_a_command_says_what_a_full_disk_has_swallowed(redirect, said):
    """Nobody else can be told: a reader that went away wants to know nothing."""
    line = f'"{sys.executable}" -c "from shotstream.cli.main import app; app()" --help {redirect}'
    made = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60)
    assert (made.returncode, made.stderr) == (0, said)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp1252:strict"])
def test_what_a_terminal_cannot_show_is_a_question_mark(tmp_path, encoding):
    made, done = run(tmp_path, "", PYTHONIOENCODING=encoding)
    assert (made.returncode, done) == (0, "done"), made.stderr
    assert made.stdout.startswith("an arrow ?\nanother ?\n")


def test_a_terminal_that_can_show_it_does(tmp_path):
    made, _ = run(tmp_path, "", PYTHONIOENCODING="utf-8")
    assert made.stdout.startswith("an arrow →\nanother →\n")
    assert made.stdout.count("\n") == 4000
