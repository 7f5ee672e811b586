"""A run folder: settings, metrics, checkpoints, samples. All of a training run's state is in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from shotstream.data.shards import whole_lines
from shotstream.loading.file_kinds import CheckpointError, check_weight_file
from shotstream.machine.remote_folder import RemoteError
from shotstream.media.files import atomic_path, make_folder, write_errors, write_text
from shotstream.training.checkpoint_copies import CheckpointCopies
from shotstream.training.distributed import SINGLE_PROCESS, ProcessGroup, unwritten
from shotstream.training.learner import Learner


class RunFolder:
    """`settings.yaml`, `metrics.jsonl`, `tensorboard/`, `samples/`, and checkpoints, whole or absent.

    The checkpoint of one process is the file `checkpoint.pt`; of several, a folder `checkpoint-STEP/` with
    the shards of each. A kill at any moment leaves the old one or the new one. The checkpoint before the
    newest stays (`checkpoint-before.pt`, or the folder with the lower step): a run whose newest checkpoint
    cannot be read goes on from that.

    Args:
        path: The folder; made if it is missing.
        settings: The stage's settings. They are written down when the run goes on, not before.
        world: The processes that train together.
        copies: Where its checkpoints are kept as well; a run that has lost its folder goes on from there.
    """

    def __init__(
        self,
        path: Path,
        settings: BaseModel,
        world: ProcessGroup = SINGLE_PROCESS,
        copies: CheckpointCopies | None = None,
    ):
        self.path, self.world, self.copies, self._board = path, world, copies, None
        self._settings = settings.model_dump(mode="json")
        self._defaults = flatten(type(settings)().model_dump(mode="json"))
        if world.writes:
            with write_errors(path):
                make_folder(path / "samples")
            self._board = self._open_board()
        world.wait()

    @property
    def changes(self) -> list[str]:
        """Settings that differ from those the run was begun with, as "name: before -> now".

        Settings that did not exist then had their defaults.
        """
        written = self._written_settings()
        if not isinstance(written, Mapping):
            return []
        before, now = self._defaults | flatten(written), flatten(self._settings)
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return [f"{name}: {before.get(name)} -> {now.get(name)}" for name in names]

    def _written_settings(self) -> Any:
        """What settings.yaml has: None if there is none; "damaged" if it cannot be read."""
        path = self.path / "settings.yaml"
        if not path.is_file():
            return None
        try:
            written = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            written = "damaged"
        return written if isinstance(written, Mapping) else {} if written is None else "damaged"

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

    def save(self, step: int, learners: Mapping[str, Learner], say: Callable[[str], None] = print) -> None:
        """Replace the checkpoint, and copy it.

        Args:
            step: How many steps are done.
            learners: What learns, by role.
            say: Is told if it could not be copied: the next one will be, and training goes on.

        Raises:
            MediaError: If it cannot be written; the one before it stays.
        """
        if self.world.size > 1:
            self._save_shards(step, learners)
        else:
            self._save_file(step, learners)
        if self.copies and self.world.writes:
            try:
                self.copies.save(step, self._checkpoint(step))
            except RemoteError as error:
                say(f"The checkpoint of step {step} is whole in {self.path}, but not copied: {error}")
        self.world.wait()

    def copy_export(self, step: int) -> None:
        """Copy what the finished stage has exported.

        Raises:
            RemoteError: If it cannot be copied.
        """
        if self.copies and self.world.writes:
            self.copies.save_export(step, self._checkpoint(step))

    def _checkpoint(self, step: int) -> Path:
        return self._file if self.world.size == 1 else self.path / f"checkpoint-{step:06d}"

    def _save_file(self, step: int, learners: Mapping[str, Learner]) -> None:
        state = {"step": step, "learners": {name: learner.state_dict() for name, learner in learners.items()}}
        with atomic_path(self._file) as part:  # the one before goes aside only when the new one is whole
            try:
                torch.save(state, part)
            except RuntimeError as error:  # how torch says that it cannot write
                raise unwritten(self._file, error) from error
            if self._file.exists():
                self._file.replace(self._before)

    def _save_shards(self, step: int, learners: Mapping[str, Learner]) -> None:
        part, former = self.path / ".checkpoint.part", self._folders()
        if self.world.writes:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        self.world.wait()
        self.world.save(part, {name: learner.tensors() for name, learner in learners.items()})
        if self.world.writes:
            part.replace(self._checkpoint(step))
            for folder in former[:-1]:
                shutil.rmtree(folder, ignore_errors=True)

    def resume(self, learners: Mapping[str, Learner], say: Callable[[str], None] = print) -> int:
        """Bring learners to the last checkpoint that can be read.

        Metrics of steps that will be run again are dropped. The settings are written down, and what changed
        since the run was begun is told.

        Args:
            learners: What learns, by role.
            say: Is told in sentences what a person should know.

        Returns:
            Step of the checkpoint, 0 at the start of a run.

        Raises:
            RemoteError: If its copies cannot be read.
            ValueError: If the run was begun by one process and is now to go on with several, or the reverse;
                or if no checkpoint of it fits the settings, or can be read. The settings stay as they were.
        """
        if self.copies and self.world.writes:
            self.copies.fetch_newer(self._known_step(), say)
        self.world.wait()
        folders, several = self._folders(), self.world.size > 1
        if self._file.is_dir():
            raise ValueError(f"{self._file} is a folder, where the run has its checkpoint; move it away.")
        if self._file.exists() if several else folders:
            begun, now = ("one process", "one") if several else ("several processes", "several (torchrun)")
            raise ValueError(
                f"The run {self.path} was begun by {begun}; go on with {now}, or rename the recipe."
            )
        found = folders[::-1] if several else [one for one in (self._file, self._before) if one.exists()]
        step = self._load_newest(found, learners, say) if found else 0
        if self.world.writes:
            if self._written_settings() == "damaged":
                say(
                    f"{self.path / 'settings.yaml'} cannot be read, so what has changed since the run was "
                    "begun is not known; it is written anew."
                )
            if found and self.changes:
                say(f"Changed since {self.path} was begun: {'; '.join(self.changes)}.")
            text = yaml.safe_dump(self._settings, sort_keys=False)
            write_text(self.path / "settings.yaml", text)
            self._forget_after(step)
        return step

    def _load_newest(
        self, found: Sequence[Path], learners: Mapping[str, Learner], say: Callable[[str], None]
    ) -> int:
        """Load the first of `found`, newest first, that can be read; return its step."""
        reasons = []
        for path in found:
            try:
                step = self._load(path, learners)
            except Exception as error:  # torch, zip and pickle each raise their own
                if self._fits_not(path, learners):
                    raise ValueError(self._misfit()) from error
                reasons.append(f"{path.name} {_say_unreadable(path)}")
                continue
            if reasons and self.world.writes:
                say(f"{'; '.join(reasons)}; the run goes on from the checkpoint before, at step {step}.")
            return step
        raise ValueError(
            f"No checkpoint of {self.path} can be read: {'; '.join(reasons)}. Put one back from a copy, or "
            "delete the folder to begin the stage again."
        )

    def _load(self, path: Path, learners: Mapping[str, Learner]) -> int:
        if path.is_dir():
            self.world.load(path, {name: learner.tensors() for name, learner in learners.items()})
            return _step_of(path)
        if not _is_checkpoint(state := torch.load(path, map_location="cpu", weights_only=True)):
            raise ValueError("it is no checkpoint of a run")
        for name, learner in learners.items():
            learner.load_state_dict(state["learners"][name])
        return state["step"]

    def _known_step(self) -> int:
        """Step of the newest checkpoint of the folder that can be read; 0 if there is none."""
        known = [_step_of(folder) for folder in self._folders()]
        for path in (self._file, self._before):
            with suppress(Exception):  # torch, zip and pickle each raise their own
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                known += [state["step"]] if _is_checkpoint(state) else []
        return max(known, default=0)

    def _fits_not(self, path: Path, learners: Mapping[str, Learner]) -> bool:
        """Whether a checkpoint can be read, and is of other networks or optimisers than these."""
        if path.is_dir():
            return bool(self.changes)
        try:
            return _is_checkpoint(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
        except Exception:  # it cannot be read
            return False

    def _misfit(self) -> str:
        changed = f": {'; '.join(self.changes)}" if self.changes else ""
        return (
            f"The checkpoint of {self.path} does not fit the recipe any more{changed}. Networks and "
            "optimisers cannot change within a run: set these back, or give the recipe another name."
        )

    @property
    def _file(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def _before(self) -> Path:
        return self.path / "checkpoint-before.pt"

    def _folders(self) -> list[Path]:
        return sorted(self.path.glob("checkpoint-[0-9]*"), key=_step_of)

    def _forget_after(self, step: int) -> None:
        path = self.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in whole_lines(path) if (at := _step_in(line)) is not None and at <= step]
            write_text(path, "".join(line + "\n" for line in kept))


def _is_checkpoint(state: object) -> bool:
    """Whether a file of torch's holds what `RunFolder.save` writes."""
    return isinstance(state, Mapping) and {"step", "learners"} <= state.keys()


def _say_unreadable(path: Path) -> str:
    """Say what a checkpoint is that cannot be read."""
    try:
        check_weight_file(path) if path.is_file() else None
    except CheckpointError as error:
        return str(error).removeprefix(f"{path} ").partition(";")[0]
    return "is damaged, or is no checkpoint"


def _step_in(line: str) -> float | None:
    """The step of a line of metrics.jsonl; None if the line is damaged."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return None


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested settings as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
