"""Build the documentation as a site: python docs/build_site.py [FOLDER] (needs the extra docs).

Pages are the Markdown files of the repository, where they are. They are gathered in one folder with all files
that they link to, and mkdocs makes the site, without a warning or not at all.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "docs_pages"
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def gather(start: list[Path], target: Path) -> list[Path]:
    """Copy pages, and all that they and the pages behind them link to.

    Args:
        start: Pages, relative to the repository.
        target: Where they go; made anew.

    Returns:
        What was copied, relative to the repository.

    Raises:
        FileNotFoundError: If a link leads nowhere; the message names the page.
    """
    shutil.rmtree(target, ignore_errors=True)
    found, waiting = [], list(start)
    while waiting:
        page = waiting.pop()
        if page in found:
            continue
        found.append(page)
        (target / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, target / page)
        if page.suffix == ".md":
            waiting += linked(page)
    return sorted(found)


def linked(page: Path) -> list[Path]:
    """The files of the repository that a page links to."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    names = [name for name in LINK.findall(text) if not re.match(r"[a-z]+:", name)]
    files = [(ROOT / page.parent / name).resolve() for name in names]
    for name, file in zip(names, files, strict=True):
        if not file.is_file():
            raise FileNotFoundError(f"{page} links to {name}, which is no file; mend the link")
    return [file.relative_to(ROOT) for file in files]


def main(site: Path) -> None:
    """Gather the pages and build the site."""
    start = [Path("README.md"), *(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))]
    start += [
        Path(name) for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "studio/README.md")
    ]
    gather(start, PAGES)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    raise SystemExit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build" / "site")
