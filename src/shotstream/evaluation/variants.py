"""The model, its teacher, and what is left of it when a part is taken away (the paper's tables 1 and 2).

Every variant tells the same stories from the same seeds, through the code that serves users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from shotstream.evaluation.judged_film import StreamStory, in_order
from shotstream.evaluation.sources import HeldOut
from shotstream.evaluation.targets import ENDING
from shotstream.loading.folders import ModelError, align_weights, check_configs, check_weights, shorten
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.story import Story
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import Selection
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.whole_shot import WholeShotPipeline


@dataclass(frozen=True)
class Variant:
    """One row of a table."""

    name: str
    title: str
    telling: StreamStory = in_order
    stage: str = ""
    """Training stage whose transformer replaces the model's own; empty: none does."""
    whole_shots: bool = False
    """Whether it is a bidirectional model, which makes a shot in one piece."""
    changes: Sequence[tuple[str, Any]] = ()
    """Changed entries of the transformer's config."""
    long: bool = False
    """Whether it tells fewer stories, of 20 shots each."""

    def suite(self, asked: HeldOut) -> HeldOut:
        """Which stories it tells, where these were asked for."""
        return asked._replace(stories=max(2, asked.stories // 4), shots=ENDING.stop) if self.long else asked


# ---- ways to tell ----


def without_memory(pipeline: ShotStreamPipeline, story: Story) -> Iterator[Chunk]:
    """Make every shot as if it were the first of a story of its own."""
    for number, shot in enumerate(story.shots):
        alone = story.model_copy(update={"shots": [shot], "seed": story.seed + number * 1_000_003})
        for chunk in pipeline.stream(alone):
            yield replace(chunk, shot=number)


def one_caption(pipeline: ShotStreamPipeline, story: Story) -> Iterator[Chunk]:
    """Let remembered frames attend to the caption of the shot that is made, not to their own."""
    session = pipeline.open(story.setting, story.seed)
    for shot in story.shots:
        for frame in session.context.frames:
            frame.prompt = None
        lora = story.lora_of(shot)
        yield from session.shoot(shot.prompt, shot.seconds, chunks=shot.chunks, seed=shot.seed, lora=lora)


def remembering(select: Selection) -> StreamStory:
    """Choose remembered frames by another rule."""
    return lambda pipeline, story: pipeline.stream(story, select=select)


def first_frames(shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Remember the first shot only, spread evenly over it (paper: "first-frame context")."""
    return _spread(0, shot_frames, budget)


def recent_frames(shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Remember the newest shot only, spread evenly over it."""
    return _spread(len(shot_frames) - 1, shot_frames, budget)


def _spread(shot: int, shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Spread the budget over one shot; a shot of fewer frames gives them all, no shots give none."""
    frames = shot_frames[shot] if shot_frames else 0
    count = min(budget, frames)
    return [(shot, round(place * (frames - 1) / max(count - 1, 1))) for place in range(count)]


# ---- the rows ----

STUDENT = Variant("student", "Student")
TEACHER = Variant("teacher", "Teacher (bidirectional, 50 steps, guidance)", stage="teacher", whole_shots=True)
TABLE = (
    STUDENT,
    TEACHER,
    Variant("causal-init", "Causal initialisation only", stage="causal-init"),
    Variant("no-memory", "Student without memory", without_memory),
    Variant("one-caption", "Student, one caption for all frames", one_caption),
)
"""Table 1 at small scale."""
ABLATIONS = (
    Variant("no-indicator", "No discontinuity indicator", changes=(("shot_theta", None),)),
    Variant("stage-3-only", "Stage 3 only", stage="intra-shot"),
    Variant("stage-4-only", "Stage 4 only", stage="inter-shot-only"),
    Variant("first-frames", "Memory of the first shot only", remembering(first_frames)),
    Variant("recent-frames", "Memory of the newest shot only", remembering(recent_frames)),
)
"""What the paper takes away, one at a time."""
LONG = Variant("long", "Student, stories of 20 shots", long=True)
VARIANTS = (*TABLE, *ABLATIONS, LONG)
"""All of them, in the order in which they are measured."""


_SETTINGS = ("fps", "height", "width", "caption_template", "memory_rule", "prompt_form")


def build(variant: Variant, model: ShotStreamPipeline, weights: Path) -> ShotStreamPipeline:
    """Put a variant together.

    Args:
        variant: Which.
        model: The student; its other parts serve all variants.
        weights: Folder of the transformers of other stages: a run folder, or folders named like the stages.

    Raises:
        ModelError: If the transformer of its stage is not there, or cannot be used.
    """
    if not variant.stage and not variant.changes:
        return model
    own, changes = model.transformer, dict(variant.changes)
    kind: type[ShotStreamPipeline] = ShotStreamPipeline
    if variant.whole_shots:
        kind, frames = WholeShotPipeline, own.config["chunk_frames"] * own.config["window_chunks"]
        changes |= {"chunk_frames": frames, "window_chunks": 1}
    if variant.stage:
        transformer = _load(_find(weights, variant.stage), own.dtype, changes).to(own.device)
    else:
        transformer = deepcopy(own)
        transformer.register_to_config(**changes)
    settings = {name: model.config[name] for name in _SETTINGS}
    parts = {**model.components, "transformer": transformer.eval()}
    return kind(**parts, **settings)


def _load(folder: Path, dtype: torch.dtype, changes: dict[str, Any]) -> Any:
    check_configs(folder)
    try:
        transformer = CausalWanTransformer3DModel.from_pretrained(
            folder, use_safetensors=True, torch_dtype=dtype, **changes
        )
    except Exception as error:  # diffusers, safetensors and torch each raise their own
        raise ModelError(f"{folder} cannot be loaded: {shorten(error)}; train or fetch it again") from error
    parts = {folder.name: transformer}
    check_weights(str(folder.parent), parts)
    align_weights(parts)
    return transformer


def _find(weights: Path, stage: str) -> Path:
    for folder in (weights / stage / "export" / "transformer", weights / stage):
        if (folder / "config.json").is_file():
            return folder
    raise ModelError(
        f"{weights} has no transformer of stage {stage}; train it as docs/results.md says, or name the "
        "folder of a run that has it"
    )
