"""A run folder: settings, metrics, checkpoints, samples. All of a training run's state is in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from shotstream.data.shards import whole_lines
from shotstream.media.files import MediaError, atomic_path, write_text
from shotstream.training.distributed import SINGLE_PROCESS, ProcessGroup
from shotstream.training.learner import Learner


class RunFolder:
    """`settings.yaml`, `metrics.jsonl`, `tensorboard/`, `samples/`, and a checkpoint, whole or absent.

    The checkpoint of one process is the file `checkpoint.pt`; of several, a folder `checkpoint-STEP/` with
    the shards of each. A kill at any moment leaves the old one or the new one.
    """

    def __init__(self, path: Path, settings: BaseModel, world: ProcessGroup = SINGLE_PROCESS):
        self.path, self.world, self._board = path, world, None
        if world.writes:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
            write_text(path / "settings.yaml", text)
            self._board = self._open_board()
        world.wait()

    def _open_board(self) -> Any:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.path / "tensorboard"))

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._board is not None:
            self._board.close()

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Append figures to metrics.jsonl and, where it is installed, to TensorBoard."""
        if not self.world.writes:
            return
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in figures.items()}}) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def save(self, step: int, learners: Mapping[str, Learner]) -> None:
        """Replace the checkpoint.

        Raises:
            MediaError: If it cannot be written; the one before it stays.
        """
        if self.world.size > 1:
            self._save_shards(step, learners)
            return
        state = {"step": step, "learners": {name: learner.state_dict() for name, learner in learners.items()}}
        with atomic_path(self._file) as part:
            try:
                torch.save(state, part)
            except RuntimeError as error:  # how torch says that it cannot write
                raise MediaError(
                    f"Could not write {self._file}: {error}. Is the disk full? The checkpoint before it is "
                    "whole; the same command goes on from there."
                ) from error

    def _save_shards(self, step: int, learners: Mapping[str, Learner]) -> None:
        part, former = self.path / ".checkpoint.part", self._folders()
        if self.world.writes:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        self.world.wait()
        self.world.save(part, {name: learner.tensors() for name, learner in learners.items()})
        if self.world.writes:
            part.replace(self.path / f"checkpoint-{step:06d}")
            for folder in former:
                shutil.rmtree(folder, ignore_errors=True)
        self.world.wait()

    def resume(self, learners: Mapping[str, Learner]) -> int:
        """Bring learners to the last checkpoint and return its step, 0 at the start of a run.

        Metrics of steps that will be run again are dropped.

        Raises:
            ValueError: If the run was begun by one process and is now to go on with several, or the reverse.
        """
        folders, several = self._folders(), self.world.size > 1
        if self._file.exists() if several else folders:
            begun, now = ("one process", "one") if several else ("several processes", "several (torchrun)")
            raise ValueError(
                f"The run {self.path} was begun by {begun}; go on with {now}, or rename the recipe."
            )
        if several and folders:
            step = _step_of(folders[-1])
            self.world.load(folders[-1], {name: learner.tensors() for name, learner in learners.items()})
        elif self._file.exists():
            state = torch.load(self._file, map_location="cpu", weights_only=True)
            step = state["step"]
            for name, learner in learners.items():
                learner.load_state_dict(state["learners"][name])
        else:
            step = 0
        if self.world.writes:
            self._forget_after(step)
        return step

    @property
    def _file(self) -> Path:
        return self.path / "checkpoint.pt"

    def _folders(self) -> list[Path]:
        return sorted(self.path.glob("checkpoint-*"), key=_step_of)

    def _forget_after(self, step: int) -> None:
        path = self.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in whole_lines(path) if json.loads(line)["step"] <= step]
            write_text(path, "".join(line + "\n" for line in kept))


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))
