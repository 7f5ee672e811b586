"""The documentation: the site is built without a warning and its links are alive; the notebook runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import jupytext
import pytest
import yaml

import shotstream

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "paper_on_mini.py"


class Page(HTMLParser):
    """What a page of the site links to, and what can be linked to on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {name for name in (given.get("id"), given.get("name")) if name}
        link = given.get("href") or given.get("src")
        if link and tag in ("a", "img", "script", "link") and not re.match(r"[a-z]+:|//", link):
            self.links.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, str(ROOT / "docs" / "build_site.py"), str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # of the theme, about itself
    built = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", ""), "it is built without a word"
    return folder


def test_every_link_of_the_site_is_alive(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 20
    dead, alive = [], 0
    for path, page in pages.items():
        for link in page.links:
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            missing = not target.is_file() or (anchor and target in pages and anchor not in pages[target].ids)
            alive += not missing
            if missing:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []
    assert alive > 500


def test_the_reference_has_what_programs_use(site: Path) -> None:
    ids = Page(site / "docs" / "reference" / "index.html").ids
    homes = {f"{home}.{name}" for name, home in shotstream._EXPORTS.items()}
    assert {"shotstream.client.synchronous.Client", "shotstream.streaming.session.StorySession"} <= ids
    assert homes & ids >= {
        home for home in homes if home.endswith(("Pipeline", "Session", ".Story", ".Shot"))
    }


def test_a_dead_link_of_a_page_is_an_error(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import build_site
    finally:
        sys.path.pop(0)
    page = tmp_path / "page.md"
    page.write_text("[there](nowhere.md)")
    build_site.ROOT, before = tmp_path, build_site.ROOT
    try:
        with pytest.raises(FileNotFoundError, match=r"page\.md links to nowhere\.md"):
            build_site.gather([Path("page.md")], tmp_path / "gathered")
    finally:
        build_site.ROOT = before


def test_the_notebook_is_its_script() -> None:
    notebook, script = (jupytext.read(SCRIPT.with_suffix(suffix)) for suffix in (".ipynb", ".py"))
    cells = [[(cell.cell_type, cell.source) for cell in book.cells] for book in (notebook, script)]
    assert cells[0] == cells[1], "make notebook"
    assert len(cells[0]) > 15


def test_the_notebook_runs(tmp_path: Path) -> None:
    short = {"SHOTSTREAM_SHORT": "1", "SHOTSTREAM_OUT": str(tmp_path), "MPLBACKEND": "Agg"}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, env=os.environ | short
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    pictures = {path.stem for path in tmp_path.glob("*.png") if path.stat().st_size > 2000}
    assert pictures == {"context_frames", "rope_shift", "mask", "memory", "stages"}


def test_the_readme_says_what_it_is_in_three_sentences() -> None:
    first = (ROOT / "README.md").read_text().split("\n\n")[1]
    assert len(re.findall(r"\.(?:\s|$)", first)) == 3


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["title"], cited["version"]) == ("ShotStream", shotstream.__version__)
    assert cited["references"][0]["url"] == "https://arxiv.org/abs/2603.25746"
    assert f"## {shotstream.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_forms_for_issues_can_be_read() -> None:
    forms = [
        yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")
    ]
    assert len(forms) == 2
    for form in forms:
        assert {"name", "description", "body"} <= form.keys()
        assert all({"type", "id", "attributes"} <= field.keys() for field in form["body"])
