"""All sentences of the package that a person can meet, read from its source.

`python -m tests.messages` prints them, to be read aloud.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "shotstream"
SAYS = {"warn", "warning", "error", "echo", "print", "say"}
"""Names of functions that say something: of warnings, logs, consoles."""
DECLARES = {"Option", "Argument", "Typer"}
"""Names of what typer takes help texts in."""


@dataclass(frozen=True)
class Message:
    """One sentence, or several that are said together."""

    place: str
    """File and line."""
    kind: str
    """What says it: the exception's name, "help", or the function."""
    text: str
    """With ``{...}`` for what is filled in."""


def messages() -> Iterator[Message]:
    """List them, file by file."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                kind = ast.unparse(node.exc.func).rpartition(".")[2]
                values = [*node.exc.args, *(keyword.value for keyword in node.exc.keywords)]
                texts = [text_of(part) for part in values]
                yield Message(f"{name}:{node.lineno}", kind, " ".join(filter(None, texts)))
            elif isinstance(node, ast.Call):
                kind = ast.unparse(node.func).rpartition(".")[2]
                helps = [keyword.value for keyword in node.keywords if keyword.arg == "help"]
                if kind in SAYS:
                    texts = [text_of(part) for part in node.args]
                    yield Message(f"{name}:{node.lineno}", kind, " ".join(filter(None, texts)))
                elif kind in DECLARES and helps:
                    yield Message(f"{name}:{node.lineno}", "help", text_of(helps[0]))
        if path.parent.name == "cli":
            yield from _commands(path, name)


def _commands(path: Path, name: str) -> Iterator[Message]:
    """What commands say of themselves: their docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
        if isinstance(node, ast.FunctionDef) and any(one.startswith("app.") for one in decorators):
            yield Message(f"{name}:{node.lineno}", "help", ast.get_docstring(node) or "")


def text_of(node: ast.expr) -> str:
    """The words of an expression, ``{...}`` for each value in it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{...}" for part in node.values]
        return "".join(str(part) for part in parts)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body)} / {text_of(node.orelse)}"
    return "{...}"


if __name__ == "__main__":
    for message in messages():
        if message.text.strip("{.} /"):
            print(f"{message.place} ({message.kind}): {message.text}")
