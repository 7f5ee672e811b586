"""What a person gets who only installs the package: the wheel outside the checkout with one extra or none."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
CODE = "from shotstream.cli.main import app; app()"
BLOCK = '''
"""Hides packages that were not asked for, as if they were not installed."""
import importlib.machinery
import sys

MODULES, DISTRIBUTIONS = {modules!r}, {distributions!r}


class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MODULES else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *context):
        return (one for one in super().find_distributions(*context) if one.name not in DISTRIBUTIONS)


sys.meta_path[:] = [Finder if one is importlib.machinery.PathFinder else one for one in sys.meta_path]
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A clean copy of what the package is built from."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        path, hidden = ROOT / name, shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(path, folder / name, ignore=hidden) if path.is_dir() else shutil.copy(path, folder)
    return folder


def build_wheel(source: Path, folder: Path) -> Path:
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def test_the_source_distribution_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    (tmp_path / "wheel").mkdir()
    again = build_wheel(archive, tmp_path / "wheel")
    named = [zipfile.ZipFile(path).namelist() for path in (wheel, again)]
    assert sorted(named[0]) == sorted(named[1])
    assert {"shotstream/stories/first_story.yaml", "shotstream/recipes/mini.yaml"} <= set(named[0])
    assert "shotstream/serving/web/static/index.html" in named[0]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Callable[..., list[str]]:
    """Unpack the wheel, and give the command that runs Python with it and what an extra brings."""

    def install(extra: str | None = None) -> list[str]:
        site = tmp_path_factory.mktemp("site")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        (site / "sitecustomize.py").write_text(BLOCK.format(**hidden(site, extra)))
        return ["env", f"PYTHONPATH={site}", "COLUMNS=200", sys.executable]

    return install


def hidden(site: Path, extra: str | None) -> dict[str, set[str]]:
    """Modules and distributions of this environment which the package does not ask for."""
    (own,) = metadata.distributions(name="shotstream", path=[str(site)])
    wanted, queue = set(), [(line, {"extra": extra or ""}) for line in own.requires or []]
    while queue:
        line, environment = queue.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        extras = requirement.extras or {""}
        if name == "shotstream":
            queue += [(line, {"extra": one}) for line in own.requires or [] for one in extras]
            continue
        key = (name, *sorted(extras))
        if key in wanted:
            continue
        wanted.add(key)
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        queue += [(line, {"extra": one}) for line in requires for one in extras]
    names = {name for name, *_ in wanted} | {"shotstream", "pip", "setuptools"}
    owners = metadata.packages_distributions().items()
    return {
        "modules": {module for module, of in owners if not names & {canonicalize_name(one) for one in of}},
        "distributions": {
            one.name for one in metadata.distributions() if canonicalize_name(one.name) not in names
        },
    }


def run(python: list[str], *words: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*python, *words], cwd=where, capture_output=True, text=True, timeout=300)


@pytest.fixture
def story(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "src/shotstream/stories/first_story.yaml", tmp_path)
    tmp_path.joinpath("film.mp4").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("page", "more", "said"),
    [
        ("README.md", "", ["(9, 128, 192, 3)", "(12, 128, 192, 3)"]),
        ("src/shotstream/weights/mini/README.md", "print(frames.shape)", ["(1, 66, 128, 192, 3)"]),
    ],
)
def test_the_package_alone_runs_what_its_pages_show(installed, tmp_path: Path, page, more, said) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert code
    done = run(installed(), "-c", f"{code[1]}\n{more}", where=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in said if line not in done.stdout] == []


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("generate", "first_story.yaml"), "video"),
        (("studio",), "serve"),
        (("world", "preview"), "world"),
        (("evaluate", "-o", "measured", "--stories", "1"), "evaluate"),
        (("data", "prepare", "film.mp4", "-o", "shards"), "data"),
        (("train", "autoencoder", "mini", "world.drawn_stories=1"), "world"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else words,
)
def test_what_is_missing_is_said_in_a_sentence(installed, story: Path, words, extra: str) -> None:
    done = run(installed(), "-c", CODE, *words, where=story)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f'pip install "shotstream[{extra}]"' in done.stderr


def test_doctor_names_the_extras(installed, tmp_path: Path) -> None:
    done = run(installed(), "-c", CODE, "doctor", where=tmp_path)
    assert done.returncode == 0, done.stderr
    for extra in ("video", "serve", "wan"):
        assert f'pip install "shotstream[{extra}]"' in done.stdout


def test_with_video_films_are_written(installed, story: Path) -> None:
    done = run(installed("video"), "-c", CODE, "generate", "first_story", "--shots", "1-2", where=story)
    assert done.returncode == 0, done.stderr
    assert (story / "out" / "first_story" / "story.mp4").stat().st_size > 1000


def test_with_serve_the_studio_opens(installed, tmp_path: Path) -> None:
    words = ["-u", "-c", CODE, "studio", "--port", "0", "--library", "library"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    studio = subprocess.Popen([*installed("serve"), *words], cwd=tmp_path, text=True, **pipes)
    assert studio.stdout
    said = []
    for line in studio.stdout:
        said.append(line)
        if "Studio: http://" in line:
            break
    studio.send_signal(signal.SIGINT)
    rest, _ = studio.communicate(timeout=60)
    assert "Studio: http://" in "".join(said), "".join(said)
    assert re.search(r"Closed\.|stopped\.", rest), rest
