"""Copies of a stage's checkpoints and of what it exported, at an address that other machines see too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shotstream.machine.remote_folder import RemoteDamage, RemoteError, RemoteFolder, plain_address
from shotstream.media.files import make_folder, write_errors

EXPORT = "export"
"""What a finished stage's copy is called; its settings are in it."""
BESIDE = ("settings.yaml", "metrics.jsonl")
"""Files of the run folder that go with a checkpoint."""


class CheckpointCopies:
    """Copies of one stage: ``checkpoint-STEP/`` of the two newest checkpoints, and ``export/``.

    Args:
        address: Of the run's copies, see `RemoteFolder`.
        run: The stage's run folder on this machine.
    """

    def __init__(self, address: str, run: Path) -> None:
        self.run = run
        self.remote = RemoteFolder(f"{plain_address(address)}/{run.name}")

    def save(self, step: int, checkpoint: Path) -> None:
        """Copy a checkpoint, a file or a folder; of the others the one before it stays.

        Raises:
            RemoteError: If it cannot be copied; the copy of the one before is whole then.
        """
        self.remote.put(f"checkpoint-{step:06d}", _files_in(checkpoint) | self._beside(BESIDE))
        former = [other for other in self._steps() if other < step]
        for other in set(self._steps()) - {step, *former[-1:]}:
            self.remote.remove(f"checkpoint-{other:06d}")

    def newest(self) -> int:
        """The step of the newest copy; 0 if there is none."""
        return max(self._steps(), default=0)

    def fetch_newer(self, known: int, say: Callable[[str], None]) -> None:
        """Bring the newest copy into the run folder if it is of a later step than what is known there.

        Args:
            known: Step of the newest checkpoint of the run folder, 0 if it has none.
            say: Is told what a person should know.

        Raises:
            RemoteError: If the address cannot be read; or if the copies are damaged, and there is no other
                checkpoint.
        """
        damaged: list[str] = []
        for step in reversed([step for step in self._steps() if step > known]):
            name = f"checkpoint-{step:06d}"
            try:
                with self._room() as fetched:
                    self.remote.fetch(name, fetched)
                    self._take_in(fetched, name)
            except RemoteDamage as error:
                damaged.append(str(error).rstrip("."))
                continue
            say(
                "".join(f"{sentence}. " for sentence in damaged) + f"Goes on from {self.remote.shown}/{name}."
            )
            return
        if damaged and not known:
            raise RemoteError(
                f"{'; '.join(damaged)}. There is no other copy: remove {self.remote.shown} to begin the "
                "stage again."
            )
        if damaged:
            say(f"{'; '.join(damaged)}. Goes on from the checkpoint in {self.run}.")

    def save_export(self, step: int, checkpoint: Path) -> None:
        """Copy what a finished stage has exported, and its last checkpoint if that is missing.

        Raises:
            RemoteError: If it cannot be copied; the same command copies it once more.
        """
        try:
            if self.newest() != step:
                self.save(step, checkpoint)
            exported = {
                f"{EXPORT}/{path.relative_to(self.run / EXPORT).as_posix()}": path
                for path in sorted((self.run / EXPORT).rglob("*"))
                if path.is_file()
            }
            self.remote.put(EXPORT, exported | self._beside(("settings.yaml",)))
        except RemoteError as error:
            raise RemoteError(
                f"The stage is finished in {self.run}, but not copied: {error} The same command copies it."
            ) from error

    def fetch_export(self) -> str | None:
        """Bring what the stage has exported into its run folder, unless it is there.

        Returns:
            The settings that it was made with, as YAML; None if nothing was brought.

        Raises:
            RemoteError: If the address cannot be read, or the copy is damaged.
        """
        if (self.run / EXPORT).exists() or self.remote.manifest(EXPORT) is None:
            return None
        with self._room() as fetched:
            self.remote.fetch(EXPORT, fetched)
            settings = (fetched / "settings.yaml").read_text(encoding="utf-8")
            with write_errors(self.run):
                if not (self.run / "settings.yaml").exists():
                    (fetched / "settings.yaml").replace(self.run / "settings.yaml")
                (fetched / EXPORT).replace(self.run / EXPORT)
        return settings

    @contextmanager
    def _room(self) -> Iterator[Path]:
        """Give an empty folder on the disk of the run folder, for the time of the block."""
        fetched = self.run / ".fetched.part"
        shutil.rmtree(fetched, ignore_errors=True)
        with write_errors(self.run):
            make_folder(fetched)
        try:
            yield fetched
        finally:
            shutil.rmtree(fetched, ignore_errors=True)

    def _steps(self) -> list[int]:
        names = [name.removeprefix("checkpoint-") for name in self.remote.names()]
        return sorted(int(name) for name in names if name.isdecimal())

    def _beside(self, names: tuple[str, ...]) -> dict[str, Path]:
        return {name: self.run / name for name in names if (self.run / name).is_file()}

    def _take_in(self, fetched: Path, name: str) -> None:
        """Put what was fetched into its place; the checkpoint last, as it says how far the run is."""
        with write_errors(self.run):
            for beside in BESIDE:
                if (fetched / beside).exists():
                    (fetched / beside).replace(self.run / beside)
            whole = self.run / "checkpoint.pt"
            if (fetched / "checkpoint.pt").exists():
                if whole.exists():
                    whole.replace(self.run / "checkpoint-before.pt")
                (fetched / "checkpoint.pt").replace(whole)
            else:
                shutil.rmtree(self.run / name, ignore_errors=True)
                fetched.replace(self.run / name)


def _files_in(checkpoint: Path) -> dict[str, Path]:
    """The files of a checkpoint, by their names in its copy."""
    files = sorted(checkpoint.iterdir()) if checkpoint.is_dir() else [checkpoint]
    return {file.name: file for file in files}
