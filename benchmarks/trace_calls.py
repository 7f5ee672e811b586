"""Counts the files and functions of this package that a story, or one more chunk, goes through.

    python benchmarks/trace_calls.py [-o FILE]

A reader who follows a prompt to its frames opens these files and reads these functions. Networks count with
their `forward`; code of other packages does not count. A tiny model with random weights on the CPU takes the
same path as a large one. The depth is the deepest nesting of this package's own functions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

import shotstream
from shotstream import Story
from shotstream.benchmark.random_models import make_random_pipeline

SOURCE = str(Path(shotstream.__file__).parent)


class Trace(NamedTuple):
    """What was gone through."""

    files: list[str]
    functions: int
    depth: int


def trace(work: Callable[[], object]) -> Trace:
    """Run `work` on this thread, and count what it goes through in this package."""
    codes: set[CodeType] = set()
    depth = deepest = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal depth, deepest
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(SOURCE):
            return
        if event == "return":
            depth -= 1
            return
        depth += 1
        deepest = max(deepest, depth)
        codes.add(frame.f_code)

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    files = sorted({str(Path(code.co_filename).relative_to(SOURCE)) for code in codes})
    return Trace(files, len({code for code in codes if not code.co_name.startswith("<")}), deepest)


def measure() -> dict[str, Trace]:
    """Trace a story of two shots, and the third chunk of a shot."""
    pipeline = make_random_pipeline("tiny", torch.device("cpu"), torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    story = Story.model_validate({"setting": "a fox", "shots": [{"prompt": "runs"}, {"prompt": "sleeps"}]})
    for _ in pipeline.stream(story):  # what happens only once in a process is no part of the path
        pass
    told = trace(lambda: list(pipeline.stream(story)))
    session = pipeline.open("a fox")
    session.cut("runs", chunks=4)
    for _ in range(2):
        session.next_chunk()
    return {"story": told, "chunk": trace(session.next_chunk)}


def main() -> None:
    """Print the counts, and write them with the names of the files if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="a JSON file of the counts and the files")
    output = parser.parse_args().output
    traces = measure()
    for name, found in traces.items():
        print(f"{name}: {len(found.files)} files, {found.functions} functions, depth {found.depth}")
    if output:
        text = json.dumps({name: found._asdict() for name, found in traces.items()}, indent=2)
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
