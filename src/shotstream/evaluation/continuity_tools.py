"""Which meter of continuity suits a model: the judge for the drawn world, DINOv2 for others if it is here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shotstream.evaluation.continuity import ContinuityMeter
from shotstream.evaluation.judging import load_judge, locate_judge
from shotstream.streaming.model import StoryModel
from shotstream.world.vocabulary import words


def find_meter(model: StoryModel, judge_folder: Path | None = None) -> ContinuityMeter:
    """Find what continuity of a model's stories is measured with; it computes on the CPU and fetches nothing.

    Args:
        model: A model whose every word is of the drawn world is measured by the judge.
        judge_folder: The judge's, if not the one shipped.

    Raises:
        ModelError: If the judge is damaged.
    """
    known = model.known_words()
    if known is not None and set(words()).issuperset(known):
        return ContinuityMeter(judge=load_judge(locate_judge(judge_folder)))
    from shotstream.evaluation.features import DinoFeatures, MissingExtractorError

    extractor = DinoFeatures(local_files_only=True)
    try:
        extractor(np.zeros((1, 32, 32, 3), np.uint8))
    except (MissingExtractorError, ImportError) as error:
        return ContinuityMeter(why_none=str(error))
    return ContinuityMeter(extractor=extractor)
