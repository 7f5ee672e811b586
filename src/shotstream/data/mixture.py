"""What batches of next shots are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Mixture(BaseModel):
    """How often batches have which context, and what they teach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Literal["shot", "still"] = "shot"
    """Whether whole shots are made, or single frames of them."""
    remembered: float = Field(default=0.75, ge=0, le=1)
    """How often a batch remembers earlier shots; else it has no context."""
    portraits: float = Field(default=0.0, ge=0, le=1)
    """How often a batch that would remember has portraits of its cast as context, as references that a
    person brought; half of these remember earlier shots too."""
