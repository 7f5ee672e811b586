"""Where published models are, under which licence, and how they get here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from shotstream.streaming.loading import ModelError, shorten


@dataclass(frozen=True)
class Part:
    """Files of one repository on the hub, at one revision."""

    title: str
    repository: str
    revision: str
    licence: str
    files: Sequence[str]


@dataclass(frozen=True)
class Published:
    """A model that several repositories make up."""

    wan: Part
    shotstream: Part
    checkpoint: str
    """File in `shotstream`."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that must be fetched."""
        return self.wan, self.shotstream


PUBLISHED = {
    "wan-1.3b": Published(
        wan=Part(
            "Wan 2.1 T2V 1.3B: autoencoder, text encoder",
            "Wan-AI/Wan2.1-T2V-1.3B",
            "37ec512624d61f7aa208f7ea8140a131f93afc9a",
            "Apache-2.0",
            ("Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth", "google/umt5-xxl/*"),
        ),
        shotstream=Part(
            "ShotStream: the causal student", "KlingTeam/ShotStream", "main", "Apache-2.0", ("shotstream_merged.pt",)
        ),
        checkpoint="shotstream_merged.pt",
    )
}


def missing_bytes(part: Part) -> int:
    """How much of a part is still to be fetched.

    Raises:
        ModelError: If the hub cannot be reached and the part is not here.
    """
    found = _ask(part, dry_run=True)
    return sum(file.file_size for file in found if file.will_download) if isinstance(found, list) else 0


def fetch(part: Part) -> Path:
    """Fetch a part, or find it where an earlier call left it; goes on where one was interrupted.

    Raises:
        ModelError: If the hub cannot be reached and the part is not here.
    """
    return Path(str(_ask(part)))


def check_disk(folder: Path, wanted: int) -> None:
    """Complain if there is no room.

    Raises:
        ModelError: With what is missing.
    """
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < wanted:
        raise ModelError(
            f"{wanted / 2**30:.1f} GiB are needed in {folder}, and {free / 2**30:.1f} are free; free some space, "
            "or choose another folder (-o; for downloads HF_HOME)"
        )


def _ask(part: Part, dry_run: bool = False):
    try:
        return huggingface_hub.snapshot_download(
            part.repository, revision=part.revision, allow_patterns=list(part.files), dry_run=dry_run
        )
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{part.repository} is not here and the hub cannot be reached; connect (and unset HF_HUB_OFFLINE), or "
            "fetch it elsewhere and use shotstream convert"
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"the hub refuses {part.repository}: {shorten(error)}") from error
