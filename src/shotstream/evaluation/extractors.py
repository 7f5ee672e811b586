"""Which features which metric is computed from.

All look at whole pictures. The paper cuts subject and background out by a detector and a segmenter first;
here one feature may serve several roles, and a report says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from shotstream.evaluation.judging import JudgeFeatures
from shotstream.world.judge import Judge

if TYPE_CHECKING:
    from shotstream.evaluation.features import FeatureExtractor

ROLES: Mapping[str, tuple[str, ...]] = {
    "judge": ("subject", "background", "semantic"),
    "dino": ("subject",),
    "clip": ("background", "semantic", "text"),
    "laion": ("aesthetic",),
}
"""Name on the command line -> what it is used for."""


@dataclass(frozen=True)
class Extractors:
    """Features by what they are used for; a role without any leaves its metrics out."""

    by_role: Mapping[str, FeatureExtractor] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """What was asked for and cannot be had (a name of `ROLES`) -> why, in a sentence."""

    @property
    def names(self) -> dict[str, str]:
        """Role -> name of the extractor, which names its weights."""
        return {role: extractor.name for role, extractor in self.by_role.items()}

    def captions(self, prompts: Sequence[str]) -> Tensor:
        """Features [S, D] of S prompts, in the space of the pictures' in the role "text"."""
        extractor: Any = self.by_role["text"]
        return extractor.encode_text(prompts)

    def why_none(self, role: str) -> str:
        """Say why no extractor plays `role`."""
        able = [name for name, roles in ROLES.items() if role in roles]
        reasons = [self.refused[name] for name in able if name in self.refused]
        return reasons[0] if reasons else f"not asked for; --features {' or '.join(able)} gives it"


def parse_features(text: str) -> list[str]:
    """Read a list such as "dino,clip" or "dino=FOLDER"; "none" is an empty one.

    Raises:
        ValueError: If a name is unknown.
    """
    names = [] if text.strip() == "none" else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name.partition("=")[0] not in ROLES]
    if unknown:
        raise ValueError(
            f"--features has {unknown[0]!r}, which is unknown; give none, or some of {', '.join(ROLES)} "
            "with commas between."
        )
    if any(name.startswith("judge=") for name in names):
        raise ValueError("--features has a folder for judge; give that as --judge FOLDER.")
    return names


def choose_extractors(
    names: Sequence[str],
    judge: Judge | None,
    device: torch.device | str = "cpu",
    aesthetic_head: Path | None = None,
) -> Extractors:
    """Load what features come from, and try each once.

    A later one takes the roles of an earlier one; if it cannot be had, they stay empty: nothing stands in.

    Args:
        names: Of `ROLES`; ``NAME=MODEL`` for other weights than usual, a folder or a name on the hub.
        judge: Needed for "judge".
        device: Where the others run.
        aesthetic_head: Needed for "laion", see `AestheticScores`.

    Returns:
        Those that work; of the others the reason why not.

    Raises:
        ImportError: If a package is missing, with the line that installs it.
    """
    by_role: dict[str, FeatureExtractor] = {}
    refused: dict[str, str] = {}
    for asked in names:
        name, _, model = asked.partition("=")
        if name == "judge":
            assert judge is not None
            extractor: FeatureExtractor | None = JudgeFeatures(judge)
        else:
            extractor, reason = _published(name, model, device, aesthetic_head)
            if extractor is None:
                refused[name] = reason
                by_role = {role: kept for role, kept in by_role.items() if role not in ROLES[name]}
                continue
        by_role |= dict.fromkeys(ROLES[name], extractor)
    return Extractors(by_role, refused)


def _published(
    name: str, model: str, device: torch.device | str, aesthetic_head: Path | None
) -> tuple[FeatureExtractor | None, str]:
    """A published model, or why it cannot be had."""
    from shotstream.evaluation.features import (
        AestheticScores,
        ClipFeatures,
        DinoFeatures,
        MissingExtractorError,
    )

    options: dict[str, Any] = {"device": device} | ({"model": model} if model else {})
    if name == "laion":
        if aesthetic_head is None:
            return None, "needs LAION's linear head: --aesthetic-head sa_0_4_vit_l_14_linear.pth"
        extractor: FeatureExtractor = AestheticScores(aesthetic_head, **options)
    else:
        extractor = DinoFeatures(**options) if name == "dino" else ClipFeatures(**options)
    try:
        extractor(np.zeros((1, 32, 32, 3), np.uint8))
    except MissingExtractorError as error:
        return None, str(error)
    return extractor, ""
