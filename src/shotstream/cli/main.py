"""`shotstream`: every other file of this folder is a command; here errors become one sentence.

Here, too, each command is given an output that never fails and one way to be stopped.
"""

from __future__ import annotations

import gc
import pkgutil
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from shotstream.machine.stopping import stopped_by_signals
from shotstream.machine.terminal import print_without_fail, why_lost
from shotstream.media.faults import say_wanted

gc.set_threshold(100_000)  # libraries make half a million objects that stay: looking through them takes long


EXTRAS = {
    "data": "data",
    "evaluate": "evaluate",
    "generate": "video",
    "library": "serve",
    "studio": "serve",
    "train": "train",
    "world": "world",
}
"""The extra that brings what a command imports beyond the package's own needs."""


class Commands(TyperGroup):
    """The commands, each imported when it is asked for from the module of its name (its ``app``)."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Names of all commands."""
        modules = pkgutil.iter_modules([str(Path(__file__).parent)])
        return sorted(name for _, name, folder in modules if name != "main" and not folder)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
        """The command, or None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = typer.main.get_command(import_module(f"shotstream.cli.{cmd_name}").app)
        command.name = cmd_name
        return command

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line, whatever becomes of the terminal, and whichever signal asks it to stop."""
        print_without_fail()
        with stopped_by_signals() as received:
            try:
                return super().main(*args, **settings)
            except SystemExit as end:
                if received and end.code in (1, 130):  # 1 where it came outside of any command
                    raise SystemExit(128 + received[0]) from end
                raise
            finally:
                if reason := why_lost():
                    _print_error(f"some of what was printed is lost ({reason}); the rest was done.")

    def invoke(self, ctx: typer.Context) -> Any:
        """Run a command; what a user can mend is told in one sentence, without a traceback."""
        try:
            self._refuse_empty_paths(ctx)
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _say_option(error.__cause__)
            raise
        except (ValueError, OSError, ImportError) as error:
            sentence = _sentence(error, ctx.invoked_subcommand)
            if ctx.params["debug"] or sentence is None:
                raise
            _print_error(_ended(sentence))
            raise typer.Exit(1) from error
        except KeyboardInterrupt as stop:
            _print_error("stopped.")
            raise typer.Exit(130) from stop

    def _refuse_empty_paths(self, ctx: typer.Context) -> None:
        """Refuse a path that is empty, as where a variable of a shell is: it would be the folder one is in.

        Raises:
            ValueError: If there is one.
        """
        words = [*ctx._protected_args, *ctx.args]
        command = self.get_command(ctx, words[0]) if "" in words else None
        options = {
            option
            for one in (command, *getattr(command, "commands", {}).values())
            for parameter in (one.params if one else ())
            for option in parameter.opts
            if _takes_path(parameter)
        }
        for before, word in pairwise(words):
            if not word and (before in options or not before.startswith("-")):
                what = before if before in options else f"the word after {before!r}"
                raise ValueError(
                    f"{what} is empty, where a path is expected; is a variable of the shell empty?"
                )


def _takes_path(parameter: Any) -> bool:
    """Whether a parameter of a command is a path, or several."""
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    return "Path" in str(annotation or getattr(parameter, "type", ""))


def _say_option(error: ValidationError) -> str:
    """What is wrong with the value of an option, in place of pydantic's words."""
    fault = error.errors()[0]
    wanted = say_wanted(fault["type"], fault.get("ctx") or {}, fault["msg"])
    example = {"int_parsing": ", for example 7", "float_parsing": ", for example 2.5"}.get(fault["type"], "")
    return f"{fault['input']!r} {wanted}{example}."


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _sentence(error: Exception, command: str | None) -> str | None:
    """What to tell a person of an error; None if only its traceback says enough."""
    if isinstance(error, OSError) and error.strerror and str(error).startswith("[Errno"):
        return f"{error.filename or 'a file'}: {error.strerror}; check the path and its permissions"
    if not isinstance(error, ImportError) or "pip install" in str(error):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and command in EXTRAS:
        remedy = f'pip install "shotstream[{EXTRAS[command]}]"'
        return f"the package {error.name} is missing, which {command} needs: {remedy}"
    return None


def _ended(sentence: str) -> str:
    """The sentence with a full stop, unless it ends with a command, which is to be copied as it stands."""
    if sentence.endswith((".", "!", "?", ":")) or _COMMAND.search(sentence):
        return sentence
    return f"{sentence}."


_COMMAND = re.compile(r"(?:: |`)(?:pip|python|git|shotstream|torchrun) [^`]*`?$")


def _print_error(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]shotstream: {escape(sentence)}[/red]")


def _print_version(wanted: bool) -> None:
    if wanted:
        from shotstream import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Tell a story shot by shot and watch it while it is generated."""
