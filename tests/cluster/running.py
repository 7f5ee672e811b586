"""Commands are run, and what they leave in a folder is read."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from shotstream.cli.main import app


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
