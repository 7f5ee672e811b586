"""Take the checkout to a GPU machine without network: what travels with it, and what stays.

    python benchmarks/travel.py pack              # wheels into .whl/, what stays out of the working tree
    python benchmarks/travel.py pack --training   # to train mini there: benchmarks/train_on_gpu.py
    python benchmarks/travel.py unpack            # bring it back

`pack` prints what a copy of the working tree (tracked and new files, not ignored ones) and `.whl/` weigh.
No benchmark reads the judge or the pictures in `docs/`; training mini does not read mini's weights, either,
which makes room for the library that draws and for a model to go on from.
Their files are marked in git's index as absent on purpose: nothing shows as deleted, no commit can lose them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAYS = ("docs/*.png", "docs/*.webp", "src/shotstream/weights/judge")
"""What no benchmark reads, as git names paths."""
STAYS_IN_TRAINING = (*STAYS, "src/shotstream/weights/mini")
"""What training mini does not read."""
WHEELS = {
    "annotated-types==0.8.0": 13_427,
    "diffusers==0.42.1": 6_355_908,
    "nvidia-cudnn-frontend==1.18.0": 2_159_245,
    "pydantic==2.14.3": 494_071,
    "pydantic_core==2.50.4": 2_261_727,
    "typing-inspection==0.4.5": 14_874,
    "typing_extensions==4.16.0": 45_571,
}
"""What an image with torch, transformers and typer lacks, and bytes; cuDNN's only for 8-bit attention."""
TRAINING_WHEELS = {
    **{name: size for name, size in WHEELS.items() if not name.startswith("nvidia-cudnn")},
    "skia-python==144.1": 14_744_055,
}
"""What training needs there: skia draws the stories."""
MOST_BYTES = 56 * 2**20
"""The tree and the wheels may weigh so much together."""
_PYTHON = ("--python-version", "3.12", "--implementation", "cp")
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)


def git(root: Path, *words: str, given: str | None = None) -> list[str]:
    """Run git in a checkout and return the names it lists, which zeros must end."""
    done = subprocess.run(["git", *words], cwd=root, input=given, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {words[0]}: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]


def travelling_bytes(root: Path, stays_behind: Sequence[str] = STAYS) -> int:
    """Bytes of all files that are tracked or new, apart from what stays behind."""
    stays = set(git(root, "ls-files", "-z", "--", *stays_behind))
    names = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    paths = [root / name for name in dict.fromkeys(names) if name not in stays]
    return sum(path.lstat().st_size for path in paths if path.is_symlink() or path.is_file())


def fetch_wheels(folder: Path, wheels: Iterable[str] = WHEELS) -> None:
    """Download wheels for CPython 3.12 on x86-64."""
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    words = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *_PYTHON, *platforms]
    subprocess.run([sys.executable, "-m", *words, "--dest", str(folder), *wheels], check=True)


def leave_behind(root: Path, stays: Sequence[str] = STAYS) -> None:
    """Take what stays out of the working tree.

    Raises:
        SystemExit: If any of it has changes, which would be lost.
    """
    if changed := git(root, "status", "--porcelain", "-z", "--", *stays):
        raise SystemExit(f"these have changes; commit them first: {', '.join(changed)}")
    names = git(root, "ls-files", "-z", "--", *stays)
    git(root, "update-index", "--skip-worktree", "-z", "--stdin", given="\0".join(names))
    for name in names:
        (root / name).unlink(missing_ok=True)


def bring_back(root: Path) -> None:
    """Undo `leave_behind`."""
    names = git(root, "ls-files", "-z", "--", *STAYS_IN_TRAINING)
    git(root, "update-index", "--no-skip-worktree", "-z", "--stdin", given="\0".join(names))
    git(root, "checkout-index", "--force", "-z", "--stdin", given="\0".join(names))


def pack(root: Path, fetch: Callable[[Path], None] = fetch_wheels, stays: Sequence[str] = STAYS) -> None:
    """Fetch wheels, write down the commit, and leave behind what stays."""
    wheels = root / ".whl"
    for old in wheels.glob("*.whl"):  # two versions of a package would stop the installation
        old.unlink()
    wheels.mkdir(exist_ok=True)
    fetch(wheels)
    changes = subprocess.run(
        ["git", "status", "--porcelain", "--", "src"], cwd=root, capture_output=True, text=True, check=True
    )
    words = ["git", "log", "-1", "--format=%H", "--", "src/shotstream"]
    commit = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    (wheels / "commit.txt").write_text(f"{commit}{'-dirty' if changes.stdout else ''}\n")
    leave_behind(root, stays)
    parts = {
        "tree": travelling_bytes(root, stays),
        "wheels": sum(path.stat().st_size for path in wheels.iterdir()),
    }
    total = sum(parts.values())
    for name, size in {**parts, "together": total}.items():
        print(f"{name:>9} {size:>11,} bytes {size / 2**20:7.3f} MiB")
    if total > MOST_BYTES:
        raise SystemExit(f"that is more than {MOST_BYTES / 2**20:.0f} MiB")


def main(words: Sequence[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("pack", "unpack"))
    parser.add_argument("--training", action="store_true", help="pack what training mini needs")
    given = parser.parse_args(words)
    if given.command == "unpack":
        bring_back(ROOT)
    elif given.training:
        pack(ROOT, partial(fetch_wheels, wheels=TRAINING_WHEELS), STAYS_IN_TRAINING)
    else:
        pack(ROOT)


if __name__ == "__main__":
    main()
