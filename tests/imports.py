"""What the files of the package import."""

from __future__ import annotations

import ast
from pathlib import Path

import shotstream

SOURCE = Path(shotstream.__file__).parent


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """Return every module that a file imports, in full, and the names it takes from it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ["shotstream", *path.relative_to(SOURCE).parts[:-1]]
            start = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            found.append((module, [alias.name for alias in node.names]))
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
