"""How well a shot goes on with its story: one score, and its reasons as sentences.

    meter = ContinuityMeter(judge)
    looks = [meter.look(frames, chunk_starts) for frames, chunk_starts in shots]
    meter.compare(looks[2], looks[:2], setting, prompts[:3])

Parts of the score: who and what was kept (by the judge, of stories of the drawn world), likeness to the
earlier shots (by features, of any story), a cut where the shot begins and no other, no flicker where its
chunks begin, no drift from its beginning to its end. What cannot be measured is said, and leaves the score to
the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shotstream.evaluation.continuity_words import sentence_about, sentence_about_change
from shotstream.evaluation.kept_facts import Fact, changed_inside, drawn_story, facts_of, mean_kept
from shotstream.evaluation.shot_look import ShotLook, find_cuts, look_at
from shotstream.world.judge import Judge

if TYPE_CHECKING:
    from shotstream.evaluation.features import FeatureExtractor

WEIGHTS: Mapping[str, float] = {"kept": 6.0, "likeness": 6.0, "cut": 1.0, "flicker": 1.0, "drift": 2.0}
"""Part of the score -> its weight among those that were measured."""
JUMP = 2.5
"""Change at a chunk's border, against that inside chunks, from which on it is counted as flicker.

Five shots of a held-out story told by mini had 1.5 to 2.0; no border is to be seen in them."""
TONE = 0.08
"""Change of brightness or saturation inside a shot, 0 to 1, from which on it is counted as drift."""
LIKE, UNLIKE = 0.8, 0.3
"""Cosines to the earlier shots that count as 1 and as 0."""


class Continuity(NamedTuple):
    """How well a shot goes on with the story before it."""

    score: float
    """0 to 1."""
    reasons: tuple[str, ...]
    """What takes from the score, as sentences, the weightiest first."""
    parts: Mapping[str, float]
    """Name (a key of `WEIGHTS`) -> score of what was measured, 0 to 1."""
    not_measured: tuple[str, ...]
    """What was not measured, and why, as sentences."""
    facts: tuple[Fact, ...] = ()
    """Who and what was looked for, in a story of the drawn world."""

    def as_json(self) -> dict[str, Any]:
        """Score, reasons and parts as plain data, rounded to three places."""
        return {
            "score": round(self.score, 3),
            "reasons": list(self.reasons),
            "parts": {name: round(value, 3) for name, value in self.parts.items()},
            "not_measured": list(self.not_measured),
        }


@dataclass(frozen=True, eq=False)
class ContinuityMeter:
    """Measures continuity; it remembers nothing.

    Args:
        judge: Reads stories of the drawn world; None for other models.
        extractor: Makes features of pictures; None without.
        why_none: Why there is neither, as a sentence.
    """

    judge: Judge | None = None
    extractor: FeatureExtractor | None = None
    why_none: str = "no judge and no features are at hand"

    def look(self, frames: np.ndarray, chunk_starts: Sequence[int] = (0,)) -> ShotLook:
        """See `look_at`."""
        return look_at(frames, chunk_starts, self.judge, self.extractor)

    def compare(
        self, look: ShotLook, before: Sequence[ShotLook | None], setting: str, prompts: Sequence[str]
    ) -> Continuity:
        """Say how well a shot goes on with the story before it.

        Args:
            look: At the shot.
            before: Looks at the earlier shots, in order; None for one that nobody has looked at.
            setting: Who and where.
            prompts: Of the earlier shots and of this one, as many as there are looks.

        Raises:
            ValueError: If there are more or fewer prompts than looks.
        """
        if len(prompts) != len(before) + 1:
            raise ValueError(
                f"{len(before) + 1} shots were looked at and {len(prompts)} prompts given; give every shot's."
            )
        found = _Findings()
        story = None if look.reading is None else drawn_story(setting, prompts)
        if story is not None:
            _find_kept(found, story, [*before, look])
        elif look.features is not None:
            _find_likeness(found, look, before)
        else:
            why = self.why_none
            if look.reading is not None:
                why = "the setting names no character with a colour, a place and a time of day"
            found.not_measured.append(f"Who and what was kept was not measured: {why}.")
        _find_cuts(found, look, before)
        if look.jump is not None:
            found.note("flicker", min(1.0, JUMP / max(look.jump, JUMP)), _about_jump(look))
        _find_drift(found, look, story)
        return found.result()


def measure_story(
    meter: ContinuityMeter,
    shots: Sequence[np.ndarray],
    setting: str,
    prompts: Sequence[str],
    chunk_starts: Sequence[Sequence[int]] | None = None,
) -> list[Continuity]:
    """Measure every shot of a story against the shots before it.

    Args:
        meter: The meter.
        shots: Their frames, uint8 ``[T, H, W, 3]`` each.
        setting: Who and where.
        prompts: Of every shot.
        chunk_starts: Of every shot, the frames with which its chunks begin; None where nobody knows.
    """
    starts = chunk_starts or [(0,)] * len(shots)
    looks = [meter.look(shot, begins) for shot, begins in zip(shots, starts, strict=True)]
    return [
        meter.compare(look, looks[:number], setting, prompts[: number + 1])
        for number, look in enumerate(looks)
    ]


def over_the_story(shots: Sequence[Continuity]) -> Continuity:
    """Sum up the shots of a story: mean scores, and every reason with the number of its shot."""
    names = [name for name in WEIGHTS if any(name in shot.parts for shot in shots)]
    return Continuity(
        score=float(np.mean([shot.score for shot in shots])),
        reasons=tuple(f"Shot {n}: {reason}" for n, shot in enumerate(shots, 1) for reason in shot.reasons),
        parts={
            name: float(np.mean([shot.parts[name] for shot in shots if name in shot.parts])) for name in names
        },
        not_measured=tuple(dict.fromkeys(reason for shot in shots for reason in shot.not_measured)),
    )


@dataclass
class _Findings:
    """What was found out about a shot so far."""

    parts: dict[str, float] = field(default_factory=dict)
    reasons: list[tuple[float, str]] = field(default_factory=list)
    """(What it takes, sentence)."""
    not_measured: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def note(self, part: str, score: float, reason: str) -> None:
        """Take in a part, with what is said if it is not whole."""
        self.parts[part] = score
        if score < 1:
            self.reasons.append((WEIGHTS[part] * (1 - score), reason))

    def note_facts(self, part: str, facts: Sequence[Fact], sentences: Sequence[str]) -> None:
        """Take in a part that is made of facts, with a sentence for each."""
        score = mean_kept(facts)
        if score is None:
            return
        self.parts[part] = score
        total = sum(fact.weight for fact in facts)
        for fact, sentence in zip(facts, sentences, strict=True):
            if fact.is_lost and sentence:
                self.reasons.append((WEIGHTS[part] * fact.weight * (1 - fact.kept) / total, sentence))

    def result(self) -> Continuity:
        weight = sum(WEIGHTS[name] for name in self.parts)
        score = sum(WEIGHTS[name] * value for name, value in self.parts.items()) / weight if weight else 1.0
        reasons = [reason for _, reason in sorted(self.reasons, key=lambda entry: -entry[0])]
        return Continuity(
            score, tuple(dict.fromkeys(reasons)), self.parts, tuple(self.not_measured), tuple(self.facts)
        )


def _find_kept(found: _Findings, story: Mapping[str, Any], looks: Sequence[ShotLook | None]) -> None:
    readings = [(look and look.reading) or {} for look in looks]
    found.facts = facts_of(story, readings)
    found.note_facts("kept", found.facts, [sentence_about(fact, found.facts) for fact in found.facts])


def _find_likeness(found: _Findings, look: ShotLook, before: Sequence[ShotLook | None]) -> None:
    """Compare with the earlier shot that it is most alike: a story may go to and fro."""
    known = [shot.features for shot in before if shot is not None and shot.features is not None]
    if not known or look.features is None:
        return
    cosine = max(float((features @ look.features.T).mean()) for features in known)
    score = min(1.0, max(0.0, (cosine - UNLIKE) / (LIKE - UNLIKE)))
    found.note("likeness", score, f"The pictures are unlike all earlier shots (cosine {cosine:.2f} at most).")


def _find_cuts(found: _Findings, look: ShotLook, before: Sequence[ShotLook | None]) -> None:
    if look.cuts is None:
        found.not_measured.append(
            'Cuts were not looked for: that needs PySceneDetect, pip install "shotstream[evaluation]".'
        )
        return
    score, reasons = 1.0, []
    if before and before[-1] is not None:
        closing = before[-1].closing
        there = find_cuts(np.concatenate([closing, look.opening]))
        if len(closing) > 2 and len(look.opening) > 2 and len(closing) not in (there or ()):
            score, reasons = 0.5, [f"No cut is to be seen between shot {len(before)} and this one."]
    if look.cuts:
        score -= 0.5
        reasons.append(f"The picture cuts inside the shot, at frame {look.cuts[0]}, where nobody asked.")
    found.note("cut", score, " ".join(reasons))


def _find_drift(found: _Findings, look: ShotLook, story: Mapping[str, Any] | None) -> None:
    (light, saturation), (end_light, end_saturation) = look.tones
    changes = {
        "brighter" if end_light > light else "darker": abs(end_light - light),
        "more colourful" if end_saturation > saturation else "paler": abs(end_saturation - saturation),
    }
    worst = max(changes, key=changes.__getitem__)
    tone = TONE / max(changes[worst], TONE)
    found.note("drift", tone, f"The picture becomes {worst} from the beginning of the shot to its end.")
    if story is not None and look.beginning is not None and look.end is not None:
        facts = changed_inside(story, look.beginning, look.end)
        found.note_facts("drift", facts, [sentence_about_change(fact) for fact in facts])
        found.parts["drift"] = min(found.parts["drift"], tone)


def _about_jump(look: ShotLook) -> str:
    chunk = (look.jump_chunk or 0) + 1
    return f"The picture jumps where chunk {chunk} begins ({look.jump:.1f} times as much as within)."
