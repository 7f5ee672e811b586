"""Scripts as people write them, of what was told: plain text, Markdown and Fountain."""

from __future__ import annotations

from collections.abc import Sequence


def write_text_script(prompts: Sequence[str]) -> str:
    """Write plain text: a paragraph for each shot. Title and setting have no place in it."""
    return "\n\n".join(prompts) + "\n"


def write_markdown(title: str, setting: str, prompts: Sequence[str]) -> str:
    """Write Markdown: the title as first heading, the setting as the next one, a paragraph for each shot."""
    headings = ([f"# {title}"] if title else []) + ([f"## {setting}"] if setting else [])
    return "\n\n".join([*headings, *prompts]) + "\n"


def write_fountain(title: str, setting: str, prompts: Sequence[str]) -> str:
    """Write Fountain: a title page, the setting as the one scene heading, every shot as action.

    Headings and action are marked as such (``.`` and ``!``), so that none is taken for anything else.
    """
    opening = ([f"Title: {title}"] if title else []) + ([f".{setting}"] if setting else [])
    return "\n\n".join([*opening, *(f"!{prompt}" for prompt in prompts)]) + "\n"
