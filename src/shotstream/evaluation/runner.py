"""Measures films and writes their report, one film after another, so that it can be stopped and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shotstream.evaluation.judged_film import Film
from shotstream.evaluation.measure import examine
from shotstream.evaluation.report import write_report
from shotstream.evaluation.results import Record, Results, make_record
from shotstream.evaluation.sources import Assignment, HeldOut, Source, from_model
from shotstream.evaluation.tools import Tools
from shotstream.evaluation.variants import VARIANTS, Variant, build
from shotstream.loading.folders import ModelError
from shotstream.loading.hashes import hash_parameters
from shotstream.machine.cluster import Workers
from shotstream.machine.provenance import hardware
from shotstream.streaming.pipeline import ShotStreamPipeline


def examined(film: Assignment, tools: Tools, folder: Path) -> Record:
    """Make a film and measure it; its stills are in the folder of the results then."""
    made = film.make()
    return make_record(folder, film.key, film.name, made, examine(made, tools.extractors, tools.judge))


class Plan(NamedTuple):
    """What a process elsewhere knows of the films that it is to measure."""

    source: Source
    """Its films cannot be made here."""
    facts: dict[str, Any]
    """What is written down about the model."""
    hardware: str
    """What computes."""


class Examiner:
    """Makes and measures films in a process of its own.

    Args:
        open_source: Gives the films, and what is written down about the model.
        open_tools: Loads what they are measured with.
        folder: Of the results.
    """

    def __init__(
        self, open_source: Callable[[], tuple[Source, dict]], open_tools: Callable[[], Tools], folder: Path
    ) -> None:
        (self._source, self._facts), self._folder = open_source(), folder
        self._tools = open_tools()
        self._films = {film.key: film for film in self._source.films}

    def __call__(self, key: str | None) -> Plan | Record:
        """Measure the film of a key; with None, say what there is to measure."""
        if key is not None:
            return examined(self._films[key], self._tools, self._folder)
        films = [film._replace(make=made_elsewhere) for film in self._source.films]
        return Plan(self._source._replace(films=films), self._facts, hardware(self._tools.device))


def made_elsewhere() -> Film:
    """Stand for what makes a film in another process."""
    raise AssertionError("a film of another process is made there")


class Evaluation:
    """The films of one source, measured into one folder.

    >>> evaluation = Evaluation(source, Path("out/mini"), facts, tools)  # doctest: +SKIP
    >>> for film in evaluation.measure():  # doctest: +SKIP
    ...     print(film.name)
    >>> report = evaluation.write_report()  # doctest: +SKIP

    Args:
        source: The films.
        folder: Folder of the results. A folder that was begun with the same settings goes on.
        facts: What is written down about the model.
        tools: What the films are measured with.
        elsewhere: Processes that make and measure them, each an `Examiner`; without them it is done here.

    Raises:
        MediaError: If the folder cannot be written to.
        ResultsError: If the folder was begun with other settings, or cannot be read.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        facts: dict[str, Any],
        tools: Tools,
        elsewhere: Workers[str | None, Any] | None = None,
    ) -> None:
        self.films, self._elsewhere = source.films, elsewhere
        self._settings = {**facts, **source.settings, **tools.settings}
        self._tools = tools
        self.results = Results(folder, self._settings)

    @property
    def missing(self) -> list[Assignment]:
        """The films that are not measured yet."""
        return [film for film in self.films if self.results.find(film.key) is None]

    def measure(self) -> Iterator[Assignment]:
        """Measure the missing films.

        Yields:
            Each film before it is made, or once it is measured elsewhere. It is kept once it is measured.
        """
        if self._elsewhere is not None:
            yield from self._measure_there(self._elsewhere)
            return
        for film in self.missing:
            yield film
            self.results.keep(examined(film, self._tools, self.results.folder))

    def _measure_there(self, processes: Workers[str | None, Any]) -> Iterator[Assignment]:
        """Keep films in their order; where it is ended early, those after a gap too."""
        missing, waiting = self.missing, {}
        due = 0
        try:
            for number, record in processes.map(film.key for film in missing):
                waiting[number] = record
                while due in waiting:
                    self.results.keep(waiting.pop(due))
                    due += 1
                yield missing[number]
        finally:
            for number in sorted(waiting):
                self.results.keep(waiting[number])

    def write_report(self) -> dict[str, Any] | None:
        """Write metrics.json and report.html of the measured films, and return the report.

        Returns:
            The report; None where no film is measured yet.
        """
        records = [record for film in self.films if (record := self.results.find(film.key)) is not None]
        if not records:
            return None
        return write_report(
            self.results.folder,
            records,
            settings=self._settings,
            hardware=self._tools.hardware or hardware(self._tools.device),
            asked_for=len(self.films),
            extractors=self._tools.extractors,
            judge=self._tools.judge_facts,
        )


def evaluate_variants(
    pipeline: ShotStreamPipeline,
    asked: HeldOut,
    weights: Path,
    folder: Path,
    facts: dict[str, Any],
    tools: Tools,
) -> Iterator[tuple[Variant, Evaluation | ModelError]]:
    """Prepare the evaluation of a model and of each of its variants on the same stories.

    Args:
        pipeline: The model.
        asked: The stories.
        weights: Folder of the transformers of other training stages.
        folder: Parent of the variants' folders.
        facts: What is written down about the model.
        tools: What the films are measured with.

    Yields:
        A variant, and its evaluation or the reason why it cannot be built.
    """
    for variant in VARIANTS:
        try:
            built = build(variant, pipeline, weights)
        except ModelError as error:
            yield variant, error
            continue
        of_variant = {
            "variant": variant.name,
            "transformer_sha256": hash_parameters(built.transformer),
        }
        source = from_model(built, variant.suite(asked), variant.telling)
        yield variant, Evaluation(source, folder / variant.name, facts | of_variant, tools)
