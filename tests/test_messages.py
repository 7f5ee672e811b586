"""Every sentence that a person can meet is listed, is said in one place, and names only what exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import typer

from shotstream.cli.main import EXTRAS, app

from .commands import COMMANDS
from .messages import Message, messages

pytestmark = pytest.mark.law

ROOT = Path(__file__).parents[1]
LISTED = [message for message in messages() if message.text.strip("{.} /")]
OUR_OWN = {"AssertionError", "AttributeError", "RuntimeError"}
"""Errors that are nobody's but ours; all others become a sentence for a person."""


def said(message: Message) -> str:
    return f"{message.place}: {message.text}"


def test_the_list_holds_what_it_should() -> None:
    assert len(LISTED) > 600
    texts = {message.text for message in LISTED}
    assert "Fraction by which NEW may be slower." in texts  # a help text
    assert "the story has no shot yet; shoot one first" not in texts  # said through a name, in one place
    assert any(text.startswith("there is no weight file {...}; check the path") for text in texts)


def test_every_error_says_something() -> None:
    errors = [m for m in messages() if m.kind.endswith(("Error", "Refusal", "HTTPException", "BadParameter"))]
    silent = [m.place for m in errors if m.kind not in OUR_OWN and not m.text.strip()]
    assert len(errors) > 400
    assert silent == []


def test_nothing_is_said_in_two_places() -> None:
    """Options that several commands have are said alike; everything else has one place."""
    places = defaultdict(list)
    for message in LISTED:
        words = re.sub(r"\{\.\.\.\}|%s", " ", message.text).lower().split()
        if message.kind != "help" and len(words) > 3:
            places[" ".join(words)].append(message.place)
    assert {text: where for text, where in places.items() if len(where) > 1} == {}


def test_options_of_one_name_are_said_alike() -> None:
    """What an option takes does not depend on the command."""
    root = typer.main.get_command(app)
    context, texts = typer.Context(root), defaultdict(set)
    for name in ("bench", "doctor", "evaluate", "generate", "studio", "train"):
        for option in root.get_command(context, name).params:  # type: ignore[attr-defined]
            if option.opts[0] in ("--device", "--dtype", "--kv-cache", "--text", "--database"):
                texts[option.opts[0]].add(option.help)
    assert {option: said for option, said in texts.items() if len(said) > 1} == {}


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for message in LISTED for extra in re.findall(r"shotstream\[([\w,]+)\]", message.text)}
    assert len(named) > 5
    assert {part for extra in named for part in extra.split(",")} | set(EXTRAS.values()) <= set(extras)


def test_commands_and_options_that_are_named_exist() -> None:
    options = set().union(*COMMANDS.values())
    wrong = []
    for message in LISTED:
        for command in re.findall(r"shotstream ([a-z]+(?: [a-z]+)?)", message.text):
            if command not in COMMANDS and command.split()[0] not in COMMANDS:
                wrong.append(said(message))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", message.text):
            if option not in options and option not in OTHERS:
                wrong.append(f"{option} in {said(message)}")
    assert wrong == []


OTHERS = {"--nproc-per-node", "--no-python"}
"""Options of torchrun."""


def test_sentences_end_once() -> None:
    wrong = [
        said(m) for m in LISTED if re.search(r"[,;:]$|(?<!\.)\.\.$|[!?]{2}", m.text) and m.kind != "help"
    ]
    assert wrong == []


SAFE = re.compile(
    r"escape\(|len\(|(made|folder)\.(stories|files|last|first)|(count|linked|budget|advice|before|line|left)$"
)
"""What is escaped already, counts, and names of such."""


def test_the_terminal_library_reads_no_markup_in_what_people_named() -> None:
    """A folder called [red] is printed by its name."""
    wrong = []
    for path in (ROOT / "src" / "shotstream" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("console.print"):
                continue
            if any(keyword.arg == "markup" for keyword in node.keywords):
                continue
            filled = [
                part for text in node.args for part in ast.walk(text) if isinstance(part, ast.FormattedValue)
            ]
            for part in filled:
                value = ast.unparse(part.value)
                if not (part.format_spec or SAFE.match(value) or value in KNOWN.get(path.name, ())):
                    wrong.append(f"{path.name}:{node.lineno} {value}")
    assert wrong == []


KNOWN = {
    "evaluate.py": ("name", "kept", "where", "folder"),
    "generate.py": ("again", "them"),
    "library.py": ("name", "'used' if used else 'not used by any story'", "store.adopt(story)", "story"),
}
"""Words of ours, names that the library gives, and what is escaped where it is made."""
