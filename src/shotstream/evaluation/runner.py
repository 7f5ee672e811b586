"""Measures films and writes their report, one film after another, so that it can be stopped and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shotstream.evaluation.measure import examine
from shotstream.evaluation.report import write_report
from shotstream.evaluation.results import Results
from shotstream.evaluation.sources import Assignment, HeldOut, Source, from_model
from shotstream.evaluation.tools import Tools
from shotstream.evaluation.variants import VARIANTS, Variant, build
from shotstream.loading.folders import ModelError
from shotstream.loading.hashes import hash_parameters
from shotstream.machine.provenance import hardware
from shotstream.streaming.pipeline import ShotStreamPipeline


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

    Raises:
        MediaError: If the folder cannot be written to.
        ResultsError: If the folder was begun with other settings, or cannot be read.
    """

    def __init__(self, source: Source, folder: Path, facts: dict[str, Any], tools: Tools) -> None:
        self.films = source.films
        self._settings = {**facts, **source.settings, **tools.settings}
        self._tools = tools
        self.results = Results(folder, self._settings)

    @property
    def missing(self) -> list[Assignment]:
        """The films that are not measured yet."""
        return [film for film in self.films if self.results.find(film.key) is None]

    def measure(self) -> Iterator[Assignment]:
        """Measure the missing films. Each film is yielded before it is made, and kept once it is measured."""
        for film in self.missing:
            yield film
            made = film.make()
            found = examine(made, self._tools.extractors, self._tools.judge)
            self.results.add(film.key, film.name, made, found)

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
            hardware=hardware(self._tools.device),
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
