"""How often the judge sees what an eye saw: its answers about 300 labelled frames of the shipped mini.

    python benchmarks/judge_agreement.py -o out/agreement     # tell the 25 stories, read them, compare
    python benchmarks/judge_agreement.py -o out/agreement --judge FOLDER --half even    # another judge
    python benchmarks/judge_agreement.py -o out/agreement --record    # the record and table of docs/judge.md

The stories are told once (four minutes on two cores) and kept in the output folder. They must be those that
were labelled: another model, or one with other weights, is refused. docs/judge.md has the rule of the labels.
Two judges are chosen between by the stories with even seeds. Those with odd seeds tell how good the chosen
one is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from shotstream.evaluation.agreement import (
    ACTION,
    Agreement,
    LabelledFrame,
    agree,
    agreement_table,
    label_shots,
    read_labels,
)
from shotstream.evaluation.judged_film import tell
from shotstream.evaluation.judging import judge_facts, load_judge, locate_judge, read_shots
from shotstream.evaluation.suites import held_out
from shotstream.evaluation.variant_tables import insert
from shotstream.machine.provenance import commit, hardware, now
from shotstream.media.files import write_text
from shotstream.streaming.pipeline import ShotStreamPipeline

RESULTS = Path(__file__).parents[1] / "docs" / "results"
LABELS, SHEET, RECORD = (
    RESULTS / name for name in ("labels.jsonl", "labelled_frames.webp", "judge_agreement.json")
)
FORMER = RESULTS / "former_judge_agreement.json"
"""What the judge read that was shipped before."""
PAGE = RESULTS.parent / "judge.md"
FIRST_SEED, STORIES, SHOTS = 2000, 25, 3
FRAMES = (4, 12, 20, 28)
"""Of every shot, those that were labelled."""
MOST_DIFFERENCE = 8.0
"""Mean difference of a pixel, of 255, between a frame and its lossy copy; other frames differ by more."""


def told_shots(folder: Path) -> np.ndarray:
    """The labelled shots, uint8 ``[stories, shots, T, H, W, 3]``: from the folder, else told now and kept.

    Raises:
        ValueError: If they are not those that were labelled.
    """
    file = folder / "shots.npy"
    if not file.is_file():
        pipeline = ShotStreamPipeline.from_pretrained("mini", dtype=torch.float32)
        frames = pipeline.timing.frames(pipeline.transformer.config["window_chunks"])
        tasks = held_out(STORIES, SHOTS, first_seed=FIRST_SEED, frames=frames)
        films = [np.stack(tell(pipeline, task.story, task.attributes).shots) for task in tasks]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(file, np.stack(films))
    shots = np.load(file)
    if SHEET.is_file():
        check_told(shots, np.asarray(Image.open(SHEET)))
    return shots


def make_sheet(shots: np.ndarray) -> np.ndarray:
    """The labelled frames as one picture: a row for every story, its shots' frames from left to right."""
    frames = shots[:, :, list(FRAMES)]  # [stories, shots, 4, H, W, 3]
    stories, count, each, height, width, _ = frames.shape
    rows = frames.transpose(0, 3, 1, 2, 4, 5)
    return rows.reshape(stories * height, count * each * width, 3)


def check_told(shots: np.ndarray, sheet: np.ndarray) -> None:
    """Refuse shots whose frames are not those of the sheet.

    Raises:
        ValueError: If one differs by more than a lossy copy does.
    """
    told, (height, width) = make_sheet(shots), shots.shape[3:5]
    apart = np.abs(told.astype(np.int16) - sheet)
    cells = apart.reshape(len(shots), height, -1, width, 3).mean(axis=(1, 3, 4))  # [stories, frames]
    if cells.max() > MOST_DIFFERENCE:
        story = FIRST_SEED + int(cells.max(axis=1).argmax())
        raise ValueError(
            f"story {story} as it was told is not the one that was labelled (a pixel is off by "
            f"{cells.max():.0f} of 255); the labels are of another mini: check its commit out, or label anew."
        )


def read_all(folder: Path, shots: np.ndarray, labels: list[LabelledFrame]) -> dict[str, list[dict[str, str]]]:
    """What a judge reads of every labelled shot, and of every labelled frame by itself."""
    judge = load_judge(folder)
    of = {(label.story, label.shot): shots[label.story - FIRST_SEED, label.shot] for label in labels}
    return {
        "shots": read_shots(judge, list(of.values())),
        "frames": read_shots(judge, [of[label.story, label.shot][label.frame, None] for label in labels]),
    }


def compare(
    labels: list[LabelledFrame], read: dict[str, list[dict[str, str]]], half: str = "all"
) -> tuple[dict[str, Agreement], dict[str, Agreement]]:
    """Agreement of whole shots and of single frames, of all stories or of those with even or odd seeds."""
    found = []
    for seen, answers in ((label_shots(labels), read["shots"]), (labels, read["frames"])):
        pairs = [
            (label.answers, answer)
            for label, answer in zip(seen, answers, strict=True)
            if half == "all" or (half == "even") == (label.story % 2 == 0)
        ]
        eye, judge = [eye for eye, _ in pairs], [judge for _, judge in pairs]
        if seen is labels:
            eye = [{name: answer for name, answer in one.items() if name != ACTION} for one in eye]
        found.append(agree(eye, judge, {name: () for name in judge[0]}))
    return found[0], found[1]


def side_by_side(labels: list[LabelledFrame], *readings: dict[str, list[dict[str, str]]]) -> str:
    """Right answers of several judges about whole shots, as a table in Markdown."""
    halves = ("even", "odd", "all")
    found = {half: [compare(labels, read, half)[0] for read in readings] for half in halves}
    rows = ["| question | even stories | odd stories | all |", "| --- | --- | --- | --- |"]
    for name in found["all"][0]:
        cells = [
            f"{', '.join(str(judge[name].right) for judge in found[half])} of {found[half][0][name].clear}"
            for half in halves
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def pack(read: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    """Readings without the questions' names in every line."""
    questions = list(read["shots"][0])
    lines = {kind: [[one[name] for name in questions] for one in answers] for kind, answers in read.items()}
    return {"questions": questions, **lines}


def unpack(packed: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Readings as `read_all` gives them, from those of a record."""
    questions = packed["questions"]
    return {
        kind: [dict(zip(questions, line, strict=True)) for line in packed[kind]]
        for kind in ("shots", "frames")
    }


def write_record(folder: Path, read: dict[str, list[dict[str, str]]]) -> None:
    """Write what was read beside its provenance, a list in a line."""
    head = {
        "date": now(),
        "commit": commit(),
        "hardware": hardware("cpu"),
        "judge": judge_facts(folder)["weights_sha256"],
    }
    text = json.dumps({**head, **pack(read)}, indent=1)
    lines = [line.strip() for line in text.splitlines()]
    write_text(RECORD, "".join(lines).replace("],", "],\n") + "\n")


def main() -> None:
    """Tell, read, compare."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("-o", "--output", type=Path, required=True, help="folder of the told shots")
    words.add_argument("--judge", type=Path, help="folder of a judge, instead of the shipped one")
    words.add_argument("--half", choices=("all", "even", "odd"), default="all", help="which stories, by seed")
    words.add_argument("--record", action="store_true", help="write the record and the table")
    asked = words.parse_args()
    shots, labels, folder = told_shots(asked.output), read_labels(LABELS), locate_judge(asked.judge)
    read = read_all(folder, shots, labels)
    table = agreement_table(*compare(labels, read, asked.half))
    print(table)
    if asked.record:
        if not SHEET.is_file():
            Image.fromarray(make_sheet(shots)).save(SHEET, quality=80, method=6)
        write_record(folder, read)
        write_text(PAGE, insert(PAGE.read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
