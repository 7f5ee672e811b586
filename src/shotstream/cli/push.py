"""`shotstream push`: a model's folder goes to the hub, with its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from shotstream.cli.shared.console import console

if TYPE_CHECKING:
    from shotstream.loading.publish import Upload

app = typer.Typer(add_completion=False)


@app.command()
def push(
    model: Annotated[str, typer.Argument(metavar="FOLDER", help="A model's folder, or mini.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Where to: owner/name on the hub.")],
    licence: Annotated[
        str | None, typer.Option(metavar="NAME", help="As the hub calls it; else what the folder says.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is for its owner alone.")
    ] = False,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Upload model",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show files and card; send nothing.")] = False,
) -> None:
    """Send a model to the hub: its weights, its card, and what other scripts open it with."""
    from shotstream.loading.publish import plan_upload, send

    with console.status("reading the model"):
        upload = plan_upload(model, repository, licence)
    show(upload)
    if dry_run:
        console.print(upload.files["README.md"], markup=False)
        console.print("Nothing was sent.")
        return
    with console.status(f"sending it to {escape(repository)}"):
        place = send(upload, private=private, message=message)
    console.print(f"Sent: {place}", markup=False)


def show(upload: Upload) -> None:
    """Print what is sent, and what is not."""
    table = Table("file", "size", "")
    for name, content in upload.files.items():
        table.add_row(
            name, decimal(upload.size(name)), "made for the hub" if isinstance(content, str) else ""
        )
    console.print(table)
    if upload.left_out:
        console.print(f"Left out, as no part of the model: {', '.join(upload.left_out)}", markup=False)
