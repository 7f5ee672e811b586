"""The commands of the package, with their options."""

from __future__ import annotations

import typer

from shotstream.cli.main import app


def commands() -> dict[str, set[str]]:
    """Every command, "data prepare" too, with its options."""
    root, found = typer.main.get_command(app), {}
    context = typer.Context(root)
    for name in root.list_commands(context):  # type: ignore[attr-defined]
        command = root.get_command(context, name)  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        for path, each in {name: command, **{f"{name} {own}": inner[own] for own in inner}}.items():
            found[path] = {
                opt for each_one in each.params for opt in (*each_one.opts, *each_one.secondary_opts)
            }
    return found


COMMANDS = commands()
