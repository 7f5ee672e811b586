"""A story file as shots in a row: what needs a person's hand while they are made is left out and named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shotstream.story import ReferencePicture, Shot, Story


def in_a_row(script: Story) -> tuple[Story, list[str]]:
    """Leave out of a story what cannot be said before its shots are made.

    Returns:
        The story, and notes of what was left out, each a sentence.
    """
    shots, notes = [], []
    held = script.references
    for number, shot in enumerate(script.shots, start=1):
        references = None if shot.references is None else _with(held, shot.references)
        notes += _left_out(number, shot, held)
        held = held if references is None else references
        plain = {"redirects": [], "pins": None, "remembers": None, "number": None, "places": []}
        shots.append(shot.model_copy(update=plain | {"references": references}))
    otherwise = [
        str(number) for number, shot in enumerate(script.shots, start=1) if shot.remembers is not None
    ]
    if otherwise:
        which = f"Shot {otherwise[0]} was" if len(otherwise) == 1 else f"Shots {_listed(otherwise)} were"
        notes.append(
            f"{which} made from takes that are not in the film, or before shots were moved. Made anew from "
            "the film, this looks different."
        )
    return script.model_copy(update={"shots": shots, "outtakes": []}), notes


def _left_out(number: int, shot: Shot, held: list[ReferencePicture]) -> Iterator[str]:
    if shot.redirects:
        words = "; ".join(f"“{redirect.prompt}”" for redirect in shot.redirects)
        yield f"Shot {number} went on with other words: {words}. Redirect it while it runs."
    if shot.pins:
        yield f"Shot {number} had pinned frames of earlier shots. Pin them before it is made."
    if shot.references is not None and any(picture not in shot.references for picture in held):
        without = f"Shot {number} was made without a picture of the shots before it"
        yield f"{without}. Let that go before it is made."


def _with(held: list[ReferencePicture], more: list[ReferencePicture]) -> list[ReferencePicture]:
    return [*held, *(picture for picture in more if picture not in held)]


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
