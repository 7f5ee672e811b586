"""`shotstream library`: copies of a library of stories, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from shotstream.cli.shared.console import console

if TYPE_CHECKING:
    from shotstream.serving.storage.integrity import LibraryFault

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Copy, check and tidy a library of stories."
)

Library = Annotated[Path, typer.Option(metavar="DIR", help="The library.")]
Database = Annotated[
    str | None, typer.Option(metavar="URL", help="SQLAlchemy URL; by default SQLite in the library.")
]
LIBRARY = Path("library")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="The copy; not there yet, or empty.")],
    library: Library = LIBRARY,
) -> None:
    """Copy a library, while stories are told or not; on the same disk files are linked."""
    from shotstream.serving.storage.backup import back_up
    from shotstream.serving.storage.integrity import open_to_read

    with open_to_read(library) as reader, console.status("") as status:
        made = back_up(reader, folder, lambda story: status.update(f"copying story {story}"))
    linked = f", {made.linked} of them as hard links" if made.linked else ""
    console.print(f"{made.stories} stories, {made.files} files{linked}, are in {escape(str(folder))}/.")
    if made.missing:
        console.print(
            f"{len(made.missing)} chunks are missing in the library itself, such as "
            f"{escape(str(made.missing[0]))}: see `shotstream library check`."
        )


@app.command()
def check(
    library: Library = LIBRARY,
    database: Database = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take in stories and chunks that the database does not know.")
    ] = False,
) -> None:
    """Look through a library, its database and every file, and say what is wrong and what to do.

    Ends with 1 if anything is. Nothing is changed without --adopt.
    """
    from shotstream.serving.storage.integrity import check_library, open_to_read

    with open_to_read(library, database) as reader, console.status("") as status:
        found = check_library(reader, lambda story: status.update(f"checking story {story}"))
        count = len(reader.stories()) + len(reader.stories(deleted=True))
    if adopt:
        found = _adopt(library, database, found)
    for finding in found:
        console.print(escape(str(finding)))
    if found:
        console.print(f"{len(found)} things are wrong with {escape(str(library))}/.")
        raise typer.Exit(1)
    console.print(f"{count} stories in {escape(str(library))}/; nothing is wrong with them.")


@app.command()
def pictures(
    library: Library = LIBRARY,
    database: Database = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove a picture that no story uses.")
    ] = None,
) -> None:
    """List the pictures that were uploaded, and whether a story uses them; or remove one."""
    from shotstream.serving.storage.integrity import open_to_read
    from shotstream.serving.storage.store import Store

    if remove is not None:
        with Store(library, database) as store:
            try:
                store.remove_picture(remove)
            except LookupError as error:
                raise ValueError(f"{error.args[0]}; `shotstream library pictures` lists them") from error
        console.print(f"Removed {escape(remove)}.")
        return
    with open_to_read(library, database) as reader:
        for name, used in reader.pictures().items():
            console.print(f"{name} {'used' if used else 'not used by any story'}")


def _adopt(library: Path, database: str | None, found: list[LibraryFault]) -> list[LibraryFault]:
    """Take in what can be; return what is wrong still. A branch waits for its parent."""
    from shotstream.serving.storage.integrity import check_library
    from shotstream.serving.storage.store import Store
    from shotstream.serving.storage.stored import StoreError

    kinds = ("unknown folder", "older database")
    waiting = [finding.story for finding in found if finding.kind in kinds and finding.story]
    with Store(library, database) as store:
        refused: dict[str, str] = {}
        while waiting and len(refused) < len(waiting):
            refused = {}
            for story in waiting:
                try:
                    console.print(f"Took in {store.adopt(story)} entries of story {story}.")
                except StoreError as error:
                    refused[story] = str(error)
            if len(refused) < len(waiting):
                waiting, refused = list(refused), {}
        for sentence in refused.values():
            console.print(escape(sentence))
        return check_library(store)
