"""The model that a studio runs: what it opens, what it is called, what words it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotstream.serving.storage.stored import MadeWith
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.session import StorySession
from shotstream.world import vocabulary
from shotstream.world.sampler import sample_story

_ANY_PROMPTS = ("wide shot", "medium shot", "close-up", "the camera pans slowly", "the camera moves closer")
_SETTINGS, _SETTINGS_TRIED = 6, 200


@dataclass(frozen=True)
class ServedModel:
    """A pipeline, and how the studio uses it.

    Args:
        pipeline: Ready to tell.
        name: What people call it, such as ``mini`` or a folder's name, and what changes its numbers.
        weights: Hash of its weights; stories go on with the same ones only.
        decoder: ``full``, or ``tiny`` to see frames sooner.
    """

    pipeline: ShotStreamPipeline
    name: str
    weights: str
    decoder: str = "full"

    def open(self, setting: str, seed: int) -> StorySession:
        """Open a session."""
        return self.pipeline.open(setting, seed, decoder=self.decoder)

    @property
    def made_with(self) -> MadeWith:
        """What its stories are marked with."""
        height, width = self.pipeline.picture_size(None, None)
        decoder = "" if self.decoder == "full" else f" {self.decoder}"
        uses = self.pipeline.active_adapters
        loras = "".join(f" {use.name} {use.sha256[:12]} x{use.scale:g}" for use in uses)
        name = f"{self.name} {self.weights[:12]}{loras}{decoder}"
        return MadeWith(name, height, width, float(self.pipeline.timing.fps))

    @property
    def chunk_seconds(self) -> float:
        """How long a chunk is that is not the first of its shot."""
        timing = self.pipeline.timing
        return (timing.frames(2) - timing.frames(1)) / timing.fps

    def warm_up(self) -> None:
        """Make a chunk for nobody, so that what is compiled or measured first is done."""
        session = self.open("", 0)
        session.cut(self.examples[0][0], chunks=1)
        session.next_chunk()
        session.close()

    @property
    def words(self) -> Sequence[str] | None:
        """Every word it knows; None if it can read any."""
        return self.pipeline.known_words()

    @property
    def examples(self) -> tuple[Sequence[str], Sequence[str]]:
        """(phrases for prompts, settings) worth trying: of the story world only what the model knows.

        A model that was trained before the world grew knows a part of it.
        """
        known = set(self.words or ())
        settings = (sample_story(seed).setting for seed in range(_SETTINGS_TRIED))
        settings = [told for told in settings if known.issuperset(vocabulary.split_words(told))][:_SETTINGS]
        if not settings:
            return _ANY_PROMPTS, ()
        framed = (*vocabulary.FRAMINGS.values(), *vocabulary.CAMERAS.values())
        acted = (wordings[0] for wordings in vocabulary.ACTIONS.values())
        phrases = [wordings[0] for wordings in (*framed, *acted) if wordings[0]]
        return [told for told in phrases if known.issuperset(vocabulary.split_words(told))], settings
