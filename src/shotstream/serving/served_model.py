"""The model that a studio runs: what it opens, what it is called, what words it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotstream.prompts.adapter import PromptAdapter
from shotstream.prompts.chat_endpoint import ChatEndpoint
from shotstream.serving.storage.stored import MadeWith
from shotstream.streaming.best_take import FindMeter
from shotstream.streaming.memory_rules import MEMORY_MARK, SPREAD
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.session import StorySession
from shotstream.world import vocabulary
from shotstream.world.sampler import sample_story

_ANY_PROMPTS = ("wide shot", "medium shot", "close-up", "the camera pans slowly", "the camera moves closer")
_SETTINGS, _SETTINGS_TRIED = 6, 200
_HIDES_EARS = frozenset({"crown"})
"""Of a bear or a rabbit, which can then hardly be told: no such setting is offered."""
_ACTIONS_OFFERED = ("stands", "walks", "waves", "jumps", "dances", "sleeps", "sits")
"""Told in framings one after the other: nobody sits in a close-up, where that is not to be seen."""


@dataclass(frozen=True)
class ServedModel:
    """A pipeline, and how the studio uses it.

    Args:
        pipeline: Ready to tell.
        name: What people call it, such as ``mini`` or a folder's name, and what changes its numbers.
        weights: Hash of its weights; stories go on with the same ones only.
        decoder: ``full``, or ``tiny`` to see frames sooner.
        find_meter: Finds what its takes are measured with; None measures none.
        endpoint: Adapts prompts to it; None leaves that to rules.
    """

    pipeline: ShotStreamPipeline
    name: str
    weights: str
    decoder: str = "full"
    find_meter: FindMeter | None = None
    endpoint: ChatEndpoint | None = None

    @property
    def adapter(self) -> PromptAdapter:
        """Who brings prompts into the form that it was trained with."""
        return PromptAdapter(self.pipeline.form, self.endpoint)

    def open(self, setting: str, seed: int, rewind_chunks: int = 0) -> StorySession:
        """Open a session; `rewind_chunks` as for `StorySession`."""
        return self.pipeline.open(setting, seed, decoder=self.decoder, rewind_chunks=rewind_chunks)

    def chunks_ahead(self, lookahead_seconds: float) -> int:
        """Most chunks that are made and not shown, where no more are begun with so many seconds of them."""
        return self.pipeline.timing.chunks(lookahead_seconds) + 1

    @property
    def made_with(self) -> MadeWith:
        """What its stories are marked with."""
        height, width = self.pipeline.picture_size(None, None)
        decoder = "" if self.decoder == "full" else f" {self.decoder}"
        scales = {use.name: use.scale for use in self.pipeline.active_adapters}
        every = self.pipeline.adapters.choose(self.loras)
        loras = "".join(f" {use.name} {use.sha256[:12]} x{scales.get(use.name, 0):g}" for use in every)
        rule = self.pipeline.config["memory_rule"]
        memory = "" if rule == SPREAD else f" {MEMORY_MARK}{rule}"
        name = f"{self.name}{memory} {self.weights[:12]}{loras}{decoder}"
        return MadeWith(name, height, width, float(self.pipeline.timing.fps))

    @property
    def loras(self) -> list[str]:
        """Names of the LoRAs that shots can be made with."""
        return self.pipeline.adapters.names

    @property
    def chunk_seconds(self) -> float:
        """How long a chunk is that is not the first of its shot."""
        timing = self.pipeline.timing
        return (timing.frames(2) - timing.frames(1)) / timing.fps

    def warm_up(self) -> None:
        """Make a chunk for nobody, so that what is compiled or measured first is done."""
        session = self.open("", 0)
        session.cut(self.examples()[0][0], chunks=1)
        session.next_chunk()
        session.close()

    @property
    def words(self) -> Sequence[str] | None:
        """Every word it knows; None if it can read any."""
        return self.pipeline.known_words()

    @property
    def names(self) -> Sequence[str]:
        """Words for who a story can be about; none where the model reads any word."""
        known = set(self.words or ())
        return [name for names in vocabulary.KINDS.values() for name in names if name in known]

    def hero(self, setting: str) -> str | None:
        """Who a setting is about, as a prompt says it: ``the robot``; None if nobody known is named.

        The first of several: the model draws it most surely.
        """
        names = set(self.names)
        named = (word for word in vocabulary.split_words(setting) if word in names)
        name = next(named, None)
        return f"the {name}" if name else None

    def examples(self, setting: str = "") -> tuple[Sequence[str], Sequence[str]]:
        """(phrases for prompts, settings) worth trying: of the story world only what the model knows.

        Where the setting names a hero, the phrases are whole prompts about it: in a shot that names nobody,
        somebody else may be drawn. A model that was trained before the world grew knows a part of it.
        """
        settings = (sample_story(seed).setting for seed in range(_SETTINGS_TRIED))
        settings = [told for told in settings if self._knows(told) and _shows_ears(told)][:_SETTINGS]
        if not settings:
            return _ANY_PROMPTS, ()
        if hero := self.hero(setting):
            return [told for told in _prompts_about(hero) if self._knows(told)], settings
        framed = (*vocabulary.FRAMINGS.values(), *vocabulary.CAMERAS.values())
        acted = (wordings[0] for wordings in vocabulary.ACTIONS.values())
        phrases = [wordings[0] for wordings in (*framed, *acted) if wordings[0]]
        return [told for told in phrases if self._knows(told)], settings

    def _knows(self, told: str) -> bool:
        return set(self.words or ()).issuperset(vocabulary.split_words(told))


def _shows_ears(setting: str) -> bool:
    return _HIDES_EARS.isdisjoint(vocabulary.split_words(setting))


def _prompts_about(hero: str) -> list[str]:
    """A prompt for every action, in all framings one after the other."""
    framings = [wordings[0] for wordings in vocabulary.FRAMINGS.values()]
    return [
        f"{framings[number % len(framings)].capitalize()}. {hero.capitalize()} {wordings[0][0]}."
        for number, wordings in enumerate(vocabulary.ACTIONS[action] for action in _ACTIONS_OFFERED)
    ]
