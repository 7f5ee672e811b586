"""The option --ray of commands whose work a Ray cluster can do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from shotstream.machine.cluster import Cluster, join_cluster

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Do it on a Ray cluster whose machines see the same folders: auto, HOST:PORT, ray://HOST:PORT, "
        "or local for this machine alone.",
    ),
]


def join_if_asked(address: str | None, device: str) -> AbstractContextManager[Cluster | None]:
    """Join the cluster that a command was given; without one, its block gets None."""
    return nullcontext() if address is None else join_cluster(address, device)
