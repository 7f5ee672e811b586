"""Choices made by timing, kept on disk: the next process chooses alike, and computes the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

from shotstream import __version__
from shotstream.machine.cache_folder import find_cache_folder
from shotstream.machine.device import Choice

_PACKAGES = ("torch", "diffusers", "triton", "nvidia-cudnn-frontend", "flash-attn")
"""Packages whose versions decide what runs, and how fast."""


class MeasuredChoices:
    """A file for each choice, in ``choices/`` of the cache folder.

    A choice belongs to the device, to the versions of this package and of those that compute, and to what the
    caller says it depends on. If any of these changes, it is measured anew. Of two processes that measure at
    the same time, both take the choice that was kept first. A file that cannot be read or written counts as
    absent: then a restart may choose otherwise, and differ by rounding.

    Args:
        folder: Where the files are; made when it is first written to. None keeps nothing.
        device: What is chosen for.
    """

    def __init__(self, folder: Path | None, device: torch.device) -> None:
        self._folder, self._device = folder, device

    @classmethod
    def of_this_machine(cls, device: torch.device) -> MeasuredChoices:
        """Those of the usual cache folder."""
        cache = find_cache_folder()
        return cls(cache and cache / "choices", device)

    def choose(
        self, what: str, facts: Mapping[str, object], measure: Callable[[], Choice[str]]
    ) -> Choice[str]:
        """Take the choice that was measured before, or measure it and keep it.

        Args:
            what: What is chosen, such as ``attention``.
            facts: All it depends on beside the machine, ready for JSON.
            measure: Makes the choice. What it raises is raised, and nothing is kept.
        """
        return self.known(what, facts) or self.keep(what, facts, measure())

    def known(self, what: str, facts: Mapping[str, object]) -> Choice[str] | None:
        """The choice that was kept; None if there is none."""
        if self._folder is None:
            return None
        try:
            kept = json.loads(self._file(what, facts).read_text(encoding="utf-8"))
            return Choice(kept["value"], f"measured before: {kept['reason']}")
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, what: str, facts: Mapping[str, object], choice: Choice[str]) -> Choice[str]:
        """Keep a choice, unless another process kept one first; return the one that is kept."""
        if self._folder is None:
            return choice
        file = self._file(what, facts)
        content = {"what": what, "value": choice.value, "reason": choice.reason, **self._facts(facts)}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, encoding="utf-8") as written:
                json.dump(content, written, indent=2, default=str)
                written.flush()
                if self.known(what, facts) is None:
                    file.unlink(missing_ok=True)  # it is damaged, if it is there
                os.link(written.name, file)
                return choice
        return self.known(what, facts) or choice

    def _file(self, what: str, facts: Mapping[str, object]) -> Path:
        assert self._folder
        key = json.dumps([what, self._facts(facts)], sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _facts(self, facts: Mapping[str, object]) -> dict[str, object]:
        return {"machine": _machine(self._device), "for": dict(facts)}


def keep_compiled_code() -> None:
    """Have torch keep what it compiles in ``compiled/`` of the cache folder, unless a person chose another.

    Its compiler chooses by timing, too, how kernels sum up, and keeps its choices there. Its own place is a
    temporary folder: once that is emptied, it would compile again and might round otherwise.
    """
    cache = find_cache_folder()
    if cache is None or "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    with suppress(OSError):  # then torch's own place serves
        (cache / "compiled").mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "compiled")


def _machine(device: torch.device) -> dict[str, str]:
    """What computes: the device, and the versions of what runs on it."""
    versions = {"shotstream": __version__, "cuda": str(torch.version.cuda)}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    if device.type != "cuda":
        return {"device": device.type, **versions}
    cudnn = str(torch.backends.cudnn.version())
    return {"device": torch.cuda.get_device_name(device), "cudnn": cudnn, **versions}
