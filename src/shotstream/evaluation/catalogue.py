"""Every figure of a report, in its order: what it is called, what it says, what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """What a person should know of a figure."""

    title: str
    meaning: str
    role: str = ""
    """Of the features that it is computed from (`Extractors.by_role`); empty if from none."""
    needs: str = ""
    """What else a film must have for it."""
    share: bool = True
    """Whether 0 to 1 is its range (cosines may go below)."""


_WITHIN = "frames against the first and the previous one"
_ACROSS = "first, middle and last frames of shots against each other"
_MOVING = "a shot of two frames"
_WORLD = "a story of the story world, and its judge"
_LATER = f"{_WORLD}, and something seen a second time"
_DRAWN = "a story of the story world as it is now"
_CLOCK = "a film that was generated here, or a story.json that tells its speed"
_AGAIN = "a model's held-out stories, and --retakes"
_KEPT = "as in the first shot of that {}, by the judge; no caption says it"

METRICS: Mapping[str, Metric] = {
    "intra_shot_subject": Metric("Intra-shot subject consistency", _WITHIN, "subject", _MOVING),
    "intra_shot_background": Metric("Intra-shot background consistency", _WITHIN, "background", _MOVING),
    "inter_shot_semantic": Metric("Inter-shot semantic consistency", _ACROSS, "semantic", "two shots"),
    "inter_shot_subject": Metric("Inter-shot subject consistency", _ACROSS, "subject", "two shots"),
    "inter_shot_background": Metric("Inter-shot background consistency", _ACROSS, "background", "two shots"),
    "transition_control": Metric(
        "Transition control", "cuts found where they were asked for, and only there"
    ),
    "text_alignment": Metric("Text alignment", "shots against their prompts", "text", "prompts"),
    "aesthetic": Metric("Aesthetic", "LAION's predictor over 10, frames of a shot, then shots", "aesthetic"),
    "dynamic_degree": Metric("Dynamic degree", "share of shots in which much moves", needs=_MOVING),
    "saturation": Metric("Saturation", "mean of HSV's S over pixels; falls when pictures wash out"),
    "sharpness": Metric(
        "Sharpness", "differences of neighbouring pixels, against the drawn story", needs=_DRAWN, share=False
    ),
    "chunk_jump": Metric(
        "Jump between chunks",
        "change of pictures there, against that inside chunks; 1 is best",
        needs="shots of several chunks that were generated here",
        share=False,
    ),
    "clean_figures": Metric("Clean figures", "whole and sharp, per shot, by the judge", needs=_WORLD),
    "prompt_adherence": Metric(
        "Prompt adherence",
        "right, of all that captions say: what follows up to the thing in the hand",
        needs=_WORLD,
    ),
    "prompt_adherence.headcount": Metric("Characters in the shot", "as many as asked", needs=_WORLD),
    "prompt_adherence.character": Metric(
        "Kind and colour", "both right, per visible character", needs=_WORLD
    ),
    "prompt_adherence.accessory": Metric("Accessory", "right, per visible character", needs=_WORLD),
    "prompt_adherence.place": Metric("Place", "right, per shot", needs=_WORLD),
    "prompt_adherence.time": Metric("Time of day", "right, per shot", needs=_WORLD),
    "prompt_adherence.weather": Metric("Weather", "right, per shot", needs=_WORLD),
    "prompt_adherence.framing": Metric("Framing", "right, per shot", needs=_WORLD),
    "prompt_adherence.action": Metric("Action", "right, per shot", needs=_WORLD),
    "prompt_adherence.feeling": Metric("Feeling", "right, per shot", needs=_WORLD),
    "prompt_adherence.prop": Metric("Thing in the hand", "right, per shot", needs=_WORLD),
    "attribute_consistency": Metric(
        "Attribute consistency", "kept, of what no caption says: all that follows", needs=_LATER
    ),
    "attribute_consistency.accessory_colour": Metric(
        "Colour of the accessory", _KEPT.format("character"), needs=_LATER
    ),
    "attribute_consistency.pattern": Metric("Pattern", _KEPT.format("character"), needs=_LATER),
    "attribute_consistency.landmark": Metric("Landmark", _KEPT.format("place"), needs=_LATER),
    "attribute_consistency.side": Metric("Side of the landmark", _KEPT.format("place"), needs=_LATER),
    "retake_difference": Metric(
        "Difference between retakes",
        "of pixels, in levels of 255: 0 where another take is the same film",
        needs=_AGAIN,
        share=False,
    ),
    "retake_adherence": Metric(
        "Prompt adherence of a retake", "right, of all that the first caption says", needs=_AGAIN
    ),
    "reference_obedience": Metric(
        "Obedience to references",
        "colour of what is worn and pattern, as portraits of the cast show them; no caption says them",
        needs=_AGAIN,
    ),
    "frames_per_second": Metric(
        "Frames per second", "generating, decoding included", needs=_CLOCK, share=False
    ),
    "first_frame_seconds": Metric(
        "First frame (seconds)",
        "from the start until frames can be shown; the first film warms up",
        needs=_CLOCK,
        share=False,
    ),
}
