"""A run folder: settings, metrics, checkpoints, samples. All of a training run's state is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from shotstream.data.shards import whole_lines
from shotstream.media.files import MediaError, atomic_path, write_text


class RunFolder:
    """`settings.yaml`, `metrics.jsonl`, `tensorboard/`, `checkpoint.pt` (whole or absent), `samples/`."""

    def __init__(self, path: Path, settings: BaseModel):
        self.path = path
        (path / "samples").mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
        write_text(path / "settings.yaml", text)
        self._board = self._open_board()

    def _open_board(self) -> Any:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.path / "tensorboard"))

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Append figures to metrics.jsonl and, where it is installed, to TensorBoard."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in figures.items()}}) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        path = self.path / "checkpoint.pt"
        with atomic_path(path) as part:
            try:
                torch.save(state, part)
            except RuntimeError as error:  # how torch says that it cannot write
                raise MediaError(
                    f"Could not write {path}: {error}. Is the disk full? The checkpoint before it is whole; "
                    "the same command goes on from there."
                ) from error

    def load(self) -> dict[str, Any] | None:
        """Return the last checkpoint, or None at the start of a run."""
        path = self.path / "checkpoint.pt"
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None

    def forget_after(self, step: int) -> None:
        """Drop metrics of steps that will be run again."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in whole_lines(path) if json.loads(line)["step"] <= step]
            write_text(path, "".join(line + "\n" for line in kept))
