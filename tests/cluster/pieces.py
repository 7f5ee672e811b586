"""What workers of tests do; a file of its own, so that they import little."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from shotstream.media.files import MediaError


def squares():
    """Give what squares a number."""
    return lambda number: number * number


def refusing():
    """Give what cannot do the piece 2."""

    def do(number):
        if number == 2:
            raise MediaError("Could not write two: the disk is full.")
        return number

    return do


def dying(folder: Path, times: int = 1):
    """Give what notes every piece that it begins, and is killed at the piece 3 so many times."""
    return partial(_begin, folder, times)


def _begin(folder: Path, times: int, number: int) -> int:
    with (folder / "begun").open("a") as file:
        file.write(f"{number}\n")
    if number == 3 and (folder / "begun").read_text().split().count("3") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def train_a_teacher(rank: int, port: int, recipe: str, folder: Path) -> None:
    """Be one of two processes, as torchrun starts them, that train a teacher."""
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    train_stage(recipe, folder, "teacher")


def train_stage(recipe: str, folder: Path, stage: str) -> None:
    """Train a stage as the command does, in as many processes as have been started."""
    from shotstream.cli.train import _run
    from shotstream.training.settings import Recipe

    _run(Recipe.model_validate_json(recipe), (stage,), folder, "cpu")


def open_tiny():
    """Load the model of replicas: the tiny one, the same in every process."""
    from shotstream.serving.served_model import ServedModel
    from tests.conftest import tiny_pipeline

    return ServedModel(tiny_pipeline(), "tiny", "0" * 64)
