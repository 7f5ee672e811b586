"""What goes to a GPU machine without network: small enough, and nothing of the checkout is lost over it."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import shotstream

pytestmark = pytest.mark.system

ROOT = Path(shotstream.__file__).parents[2]
travel = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "travel.py")))


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *identity, *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {"src/shotstream/code.py": 10, "docs/b/a.webp": 1000, "docs/a.png": 500, "docs/a.md": 20}
    for name, size in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * size)
    (tmp_path / ".gitignore").write_text("/.whl/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def test_tree_and_wheels_are_small_enough():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    assert travel.travelling_bytes(ROOT) + sum(travel.WHEELS.values()) < travel.MOST_BYTES
    training = travel.travelling_bytes(ROOT, travel.STAYS_IN_TRAINING), sum(travel.TRAINING_WHEELS.values())
    assert sum(training) < travel.MOST_BYTES - 15 * 2**20  # an autoencoder and captions trained before


def test_wheels_are_of_the_tested_versions():
    def plain(name: str) -> str:
        return name.lower().replace("_", "-")

    tested = dict(
        plain(line).split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    for wheel in travel.TRAINING_WHEELS:
        name, version = plain(wheel).split("==")
        assert tested.get(name, version) == version


def test_what_stays_is_out_of_the_way_and_comes_back(checkout: Path, capsys):
    travel.pack(checkout, lambda folder: (folder / "a.whl").write_text("w" * 30))
    assert {path.name for path in (checkout / ".whl").iterdir()} == {"a.whl", "commit.txt"}
    assert (checkout / ".whl" / "commit.txt").read_text() == git(checkout, "rev-parse", "HEAD")
    assert not (checkout / "docs" / "b" / "a.webp").exists()
    assert not (checkout / "docs" / "a.png").exists()
    assert (checkout / "docs" / "a.md").exists()
    assert git(checkout, "status", "--porcelain") == ""
    assert f"tree {10 + 20 + len('/.whl/') + 1:>11} bytes" in capsys.readouterr().out
    travel.pack(checkout, lambda folder: None)  # again: nothing more to do
    travel.bring_back(checkout)
    assert (checkout / "docs" / "b" / "a.webp").read_text() == "x" * 1000
    assert (checkout / "docs" / "a.png").read_text() == "x" * 500
    assert git(checkout, "status", "--porcelain") == ""
    (checkout / "docs" / "a.png").write_text("y")
    assert "docs/a.png" in git(checkout, "status", "--porcelain")  # seen by git as before


def test_changes_are_not_lost(checkout: Path):
    (checkout / "docs" / "a.png").write_text("changed")
    with pytest.raises(SystemExit, match=r"docs/a\.png"):
        travel.pack(checkout, lambda folder: None)
    assert (checkout / "docs" / "a.png").read_text() == "changed"
    assert (checkout / "docs" / "b" / "a.webp").exists()
