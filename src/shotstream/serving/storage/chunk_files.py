"""The file of a chunk: its latents, and beside them what its story's journal had said by then.

So a story's folder alone is enough to take the story in again, see `shotstream.serving.storage.adopt`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

_NOTE = "shotstream"


class ChunkNote(BaseModel):
    """What a chunk's file says beside the latents. It never changes: the same chunk gives the same bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    story: dict[str, Any]
    """Facts of the story that stay: id, setting, seed, what made it, and its parent."""
    position: int
    """The chunk's place in the journal."""
    chunk: dict[str, Any]
    """See `shotstream.serving.storage.rows.chunk_facts`."""
    commands: list[dict[str, Any]]
    """The commands between the chunk before and this one: position, body, receipt."""


def pack(latents: torch.Tensor, note: ChunkNote) -> bytes:
    """Make the file of a chunk.

    Args:
        latents: float32 ``[1, F, C, h, w]``.
        note: What is said beside them.

    Raises:
        ValueError: If the latents are of another kind.
    """
    if latents.dtype != torch.float32 or latents.ndim != 5 or latents.shape[0] != 1:
        raise ValueError(
            f"latents of {latents.dtype} and shape {tuple(latents.shape)} are no chunk; "
            "give float32 [1, F, C, h, w]"
        )
    return save({"latents": latents.contiguous()}, metadata={_NOTE: note.model_dump_json()})


def read_note(path: Path) -> ChunkNote | None:
    """Read what a chunk's file says beside its latents; None if it is damaged or is too old for it."""
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get(_NOTE)
            latents = file.get_tensor("latents")
        note = ChunkNote.model_validate(json.loads(said)) if said else None
    except (OSError, SafetensorError, ValidationError, ValueError):
        return None
    return note if latents.ndim == 5 else None
