"""Published models on the hub: where they are, under which licence, and how they are fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from shotstream.loading.folders import ModelError, shorten
from shotstream.loading.wan import PartPaths

_COMMIT = re.compile("[0-9a-f]{40}")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class HubPart:
    """Files of one repository on the hub, at one revision."""

    title: str
    repository: str
    revision: str
    """A commit, or a branch where no commit is known; `describe_source` tells the commit that was fetched."""
    licence: str
    files: Sequence[str]


WAN = HubPart(
    "Wan 2.1 T2V 1.3B: autoencoder, text encoder",
    "Wan-AI/Wan2.1-T2V-1.3B",
    "37ec512624d61f7aa208f7ea8140a131f93afc9a",
    "Apache-2.0",
    (
        "Wan2.1_VAE.pth",
        "models_t5_umt5-xxl-enc-bf16.pth",
        "google/umt5-xxl/special_tokens_map.json",
        "google/umt5-xxl/spiece.model",
        "google/umt5-xxl/tokenizer.json",
        "google/umt5-xxl/tokenizer_config.json",
    ),
)
"""Its transformer is not needed: ShotStream's weights stand in its place."""
SHOTSTREAM = HubPart(
    "ShotStream: the causal student", "KlingTeam/ShotStream", "main", "Apache-2.0", ("shotstream_merged.pt",)
)
TINY_DECODER = HubPart(
    "TAEW 2.1: tiny decoder",
    "Kijai/WanVideo_comfy",
    "main",
    "MIT (its author's; this repository states none)",
    ("taew2_1.safetensors",),
)

PUBLISHED: Mapping[str, tuple[HubPart, ...]] = {"wan-1.3b": (WAN, SHOTSTREAM)}
"""Models by name, and the parts that each is put together from."""


@dataclass(frozen=True)
class PartStatus:
    """How much of a part is here."""

    part: HubPart
    commit: str | None
    """The revision as a commit; None if the hub was not asked and nothing of it is here."""
    sizes: Mapping[str, int]
    """Bytes of each file as far as known."""
    missing: frozenset[str]
    """Files that are not here."""

    @property
    def missing_bytes(self) -> int:
        """Bytes still to be fetched."""
        return sum(self.sizes.get(name, 0) for name in self.missing)


def check_status(part: HubPart) -> PartStatus:
    """Check how much of a part is here and how much must be fetched.

    The hub is not asked where a commit is here as a whole, or where HF_HUB_OFFLINE is set.

    Raises:
        ModelError: If files are missing and the hub cannot be asked.
    """
    here = _status_here(part)
    offline = bool(constants.HF_HUB_OFFLINE)
    if not here.missing and (offline or _COMMIT.fullmatch(part.revision)):
        return here
    try:
        found = huggingface_hub.snapshot_download(
            part.repository, revision=part.revision, allow_patterns=list(part.files), dry_run=True
        )
    except Exception as error:  # the hub's client and what is below it each raise their own
        if not here.missing:
            return here
        raise ModelError(_explain(part, here.missing, error)) from error
    assert isinstance(found, list)  # as asked by dry_run
    absent = [name for name in part.files if name not in {file.filename for file in found}]
    if absent:
        raise ModelError(
            f"{part.repository} at {part.revision} has no {', '.join(absent)}; give another --revision, or "
            "fetch the files elsewhere and use shotstream convert"
        )
    return PartStatus(
        part,
        found[0].commit_hash,
        {file.filename: file.file_size or 0 for file in found},
        frozenset(file.filename for file in found if file.will_download),
    )


def fetch(status: PartStatus) -> Path:
    """Fetch what is missing of a part.

    A broken connection is taken up again where it broke. Of an interrupted call whole files are kept (the
    hub's client keeps no pieces). One file after the other: of several at once that client would finish all
    before it let itself be interrupted.

    Returns:
        Its folder in the hub's cache.

    Raises:
        ModelError: If that fails.
    """
    part, revision = status.part, status.commit or status.part.revision
    try:
        for name in sorted(status.missing):
            huggingface_hub.hf_hub_download(part.repository, name, revision=revision)
    except Exception as error:  # as above, and what a disk can say
        raise ModelError(_explain(part, status.missing, error)) from error
    first = part.files[0]
    return _snapshot(_cached(replace(part, revision=revision))[first], first)


def describe_source(status: PartStatus) -> dict[str, object]:
    """Describe where a fetched part comes from, for the folder of the model that is made from it.

    Hashes are those under which the hub keeps large files; small files have none.
    """
    part = status.part
    files = _cached(replace(part, revision=status.commit or part.revision))
    blobs = {name: path.resolve().name for name, path in files.items()}
    return {
        "part": part.title,
        "repository": part.repository,
        "revision": status.commit,
        "licence": part.licence,
        "sha256": {name: blob if _SHA256.fullmatch(blob) else None for name, blob in blobs.items()},
    }


def locate_parts(
    wan: Path, shotstream: Path, tiny_decoder: Path | None = None
) -> tuple[PartPaths, Path | None]:
    """Name what `assemble` needs in the folders that `WAN`, `SHOTSTREAM` and `TINY_DECODER` were fetched to.

    Returns:
        The parts, and the file of the tiny decoder if there is one.
    """
    vae, text_encoder = (wan / name for name in WAN.files[:2])
    parts = PartPaths(shotstream / SHOTSTREAM.files[0], vae, text_encoder, wan / "google/umt5-xxl")
    return parts, tiny_decoder and tiny_decoder / TINY_DECODER.files[0]


def _status_here(part: HubPart) -> PartStatus:
    files = _cached(part)
    folders = {_snapshot(path, name) for name, path in files.items()}
    return PartStatus(
        part,
        folders.pop().name if folders else None,
        {name: path.stat().st_size for name, path in files.items()},
        frozenset(part.files) - frozenset(files),
    )


def _cached(part: HubPart) -> dict[str, Path]:
    """Where the hub's cache has files of a part."""
    found = {
        name: huggingface_hub.try_to_load_from_cache(
            part.repository, name, cache_dir=constants.HF_HUB_CACHE, revision=part.revision
        )
        for name in part.files
    }
    return {name: Path(path) for name, path in found.items() if isinstance(path, str)}


def _snapshot(path: Path, name: str) -> Path:
    """The folder of one commit in the hub's cache, in which `path` is file `name`."""
    return path.parents[len(Path(name).parts) - 1]


def _explain(part: HubPart, missing: frozenset[str], error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    names = ", ".join(sorted(missing))
    elsewhere = "or fetch them elsewhere and use shotstream convert"
    if isinstance(cause, OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        return f"{names} of {part.repository} is not here, and HF_HUB_OFFLINE is set; unset it, {elsewhere}"
    if isinstance(cause, HfHubHTTPError):
        return (
            f"the hub does not give {names} of {part.repository} ({shorten(cause)}); try later, {elsewhere}"
        )
    return (
        f"{names} of {part.repository} could not be fetched ({shorten(cause)}); whole files are kept: "
        f"run the same command again, {elsewhere}"
    )
