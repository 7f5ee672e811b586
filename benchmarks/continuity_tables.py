"""What choosing takes and choosing memory do for continuity: the same held-out stories, told in several ways.

    python benchmarks/continuity_tables.py -o out/continuity --stories 24
    python benchmarks/continuity_tables.py -o out/continuity --tables   # print what is there

Each story is told and measured once per way and kept as a line of JSON, so a run that was stopped goes on.
Takes are chosen by the shipped judge, so what that judge then reads favours the choice. `--second-judge
FOLDER` has another judge read the same films; its figures decide. The former judge, of the first drawn world,
is in this repository's history:

    git show 415384611d00:src/shotstream/weights/judge/config.json > FOLDER/config.json
    git show 415384611d00:src/shotstream/weights/judge/diffusion_pytorch_model.safetensors > FOLDER/...
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from shotstream.evaluation.adherence import mark_film, shares
from shotstream.evaluation.continuity import ContinuityMeter, measure_story, over_the_story
from shotstream.evaluation.continuity_tools import find_meter
from shotstream.evaluation.judged_film import Film, StreamStory, in_order, tell
from shotstream.evaluation.judging import load_judge, read_shots
from shotstream.evaluation.metrics import mean_with_interval
from shotstream.evaluation.suites import Task, held_out
from shotstream.story import Story
from shotstream.streaming.best_take import BestTakes, TakeRule
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.pipeline import ShotStreamPipeline

SHOWN: Mapping[str, str] = {
    "continuity": "continuity, by the meter",
    "prompt_adherence": "what captions tell",
    "prompt_adherence.character": "- kind and colour",
    "prompt_adherence.accessory": "- accessory",
    "prompt_adherence.place": "- place",
    "prompt_adherence.action": "- action",
    "attribute_consistency": "what no caption tells",
    "attribute_consistency.accessory_colour": "- accessory's colour",
    "attribute_consistency.pattern": "- pattern",
    "attribute_consistency.landmark": "- landmark",
    "attribute_consistency.side": "- its side",
    "second.prompt_adherence.character": "second judge: kind and colour",
    "second.prompt_adherence.accessory": "second judge: accessory",
    "second.attribute_consistency": "second judge: what no caption tells",
    "second.attribute_consistency.accessory_colour": "second judge: - accessory's colour",
    "second.attribute_consistency.pattern": "second judge: - pattern",
    "second.attribute_consistency.landmark": "second judge: - landmark",
    "second.attribute_consistency.side": "second judge: - its side",
}


def best_of(takes: int) -> Callable[[ShotStreamPipeline], StreamStory]:
    """Make so many takes of every shot."""

    def make(pipeline: ShotStreamPipeline) -> StreamStory:
        meter = find_meter(pipeline)

        def stream(pipeline: ShotStreamPipeline, story: Story) -> Iterator[Chunk]:
            best = BestTakes(pipeline.open(story.setting, story.seed), meter, TakeRule(takes))
            for shot in story.shots:
                yield from best.shoot(shot.prompt)

        return stream

    return make


def by_rule(name: str) -> Callable[[ShotStreamPipeline], StreamStory]:
    """Remember by another rule."""
    return lambda pipeline: lambda pipeline, story: pipeline.stream(story, memory_rule=name)


WAYS: dict[str, Callable[[ShotStreamPipeline], StreamStory]] = {
    "one-take": lambda pipeline: in_order,
    "best-of-3": best_of(3),
    "words": by_rule("words"),
}


def main() -> None:
    """Measure, or print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("-o", "--output", type=Path, required=True, help="folder of the figures")
    words.add_argument("--stories", type=int, default=24)
    words.add_argument("--first", type=int, default=1000, help="seed of the first story")
    words.add_argument("--shots", type=int, default=5)
    words.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    words.add_argument("--model", default="mini")
    words.add_argument("--second-judge", type=Path)
    words.add_argument("--tables", action="store_true", help="print the tables of what is there")
    asked = words.parse_args()
    if not asked.tables:
        measure(asked)
    print(tables(asked.output, asked.ways))


def measure(asked: argparse.Namespace) -> None:
    """Tell and measure what is missing."""
    asked.output.mkdir(parents=True, exist_ok=True)
    pipeline = ShotStreamPipeline.from_pretrained(asked.model)
    meter = find_meter(pipeline)
    second = load_judge(asked.second_judge) if asked.second_judge else None
    frames = pipeline.timing.frames(pipeline.transformer.config["window_chunks"])
    tasks = held_out(asked.stories, asked.shots, first_seed=asked.first, frames=frames)
    for way in asked.ways:
        telling, file = WAYS[way](pipeline), asked.output / f"{way}.jsonl"
        known = read(file)
        for task in tasks:
            if task.name in known:
                continue
            started, attributes = time.perf_counter(), task.attributes
            assert attributes is not None
            film = tell(pipeline, task.story, attributes, telling)
            values = {"seconds": time.perf_counter() - started}
            values |= figures(task, film, meter)
            if second is not None:
                marks = mark_film(attributes, read_shots(second, film.shots), second.questions)
                values |= {f"second.{name}": value for name, value in shares(marks).items()}
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"story": task.name, **values}) + "\n")
            print(way, task.name, f"{values['continuity']:.3f}", flush=True)


def figures(task: Task, film: Film, meter: ContinuityMeter) -> dict[str, float]:
    """Continuity, and what the shipped judge reads."""
    shots = measure_story(meter, film.shots, film.setting, film.prompts, film.chunk_starts)
    assert task.world is not None
    assert meter.judge is not None
    marks = mark_film(task.world.attributes(), read_shots(meter.judge, film.shots), meter.judge.questions)
    return {"continuity": over_the_story(shots).score, **shares(marks)}


def read(file: Path) -> dict[str, dict[str, float]]:
    """Story -> figure -> value."""
    if not file.is_file():
        return {}
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {entry.pop("story"): entry for entry in entries}


def tables(folder: Path, ways: list[str]) -> str:
    """Means of every way with 95 % intervals, and of the differences to the first way, story by story."""
    found = {way: read(folder / f"{way}.jsonl") for way in ways}
    found = {way: stories for way, stories in found.items() if stories}
    shared = sorted(set.intersection(*(set(stories) for stories in found.values())))
    first, *others = found
    head = ["", first, *(name for way in others for name in (way, f"{way} minus {first}"))]
    rows = [head, ["---"] * len(head)]
    for name, title in SHOWN.items():
        told = [story for story in shared if all(name in found[way][story] for way in found)]
        if len(told) < 2:
            continue
        cells = [title, cell([found[first][story][name] for story in told])]
        for way in others:
            values = [found[way][story][name] for story in told]
            cells.append(cell(values))
            cells.append(
                cell([value - found[first][story][name] for value, story in zip(values, told, strict=True)])
            )
        rows.append(cells)
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{len(shared)} stories.\n\n{lines}"


def cell(values: list[float]) -> str:
    """A mean and its 95 % interval."""
    interval = mean_with_interval(values)
    digits = 3 if abs(interval.mean) < 10 else 1
    return f"{interval.mean:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
