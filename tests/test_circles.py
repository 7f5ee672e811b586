"""No circle between files (ARCHITECTURE.md, layers): imports for type checking only count too."""

from __future__ import annotations

import pytest

from tests.imports import FILES, SOURCE, imports

pytestmark = pytest.mark.law

Graph = dict[str, set[str]]


def module_name(path) -> str:
    return ".".join(["shotstream", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


def import_graph() -> Graph:
    """Return every file's name and the files of the package that it imports, anywhere in it."""
    known = {module_name(path) for path in FILES}
    graph: Graph = {}
    for path in FILES:
        named = set()
        for module, names in imports(path):
            named |= {module, *(f"{module}.{name}" for name in names)}
        graph[module_name(path)] = (named & known) - {module_name(path)}
    return graph


def find_circle(graph: Graph) -> list[str] | None:
    """Return files of which each imports the next one and the last one the first; None if there are none."""
    done: set[str] = set()

    def walk(file: str, trail: list[str]) -> list[str] | None:
        if file in trail:
            return trail[trail.index(file) :]
        if file in done:
            return None
        circles = (walk(imported, [*trail, file]) for imported in sorted(graph[file]))
        circle = next((circle for circle in circles if circle), None)
        done.add(file)
        return circle

    return next((circle for file in sorted(graph) if (circle := walk(file, []))), None)


def test_no_file_imports_itself_through_others():
    circle = find_circle(import_graph())
    assert circle is None, " imports ".join([*(circle or []), (circle or [""])[0]])


def test_the_search_finds_a_circle():
    assert find_circle({"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
