"""What an eye saw against what the judge says: counting, the published labels, the table made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import judge_agreement
from PIL import Image

from shotstream.evaluation.agreement import (
    LabelledFrame,
    agree,
    agreement_table,
    label_shots,
    read_labels,
    wilson,
)
from shotstream.evaluation.judging import judge_facts, locate_judge
from shotstream.evaluation.suites import held_out
from shotstream.evaluation.variant_tables import insert
from shotstream.world.judge import CLEAN, QUESTIONS, SPOILT, UNCLEAR

pytestmark = pytest.mark.unit

QUESTION = {"place": ("meadow", "beach", UNCLEAR), "figures": (CLEAN, SPOILT)}


def test_what_the_eye_cannot_tell_is_counted_apart():
    seen = [{"place": "beach"}, {"place": "meadow"}, {"place": UNCLEAR}, {"place": UNCLEAR}, {}]
    read = [{"place": name} for name in ("beach", "beach", UNCLEAR, "beach", "beach")]
    found = agree(seen, read, {"place": QUESTION["place"]})["place"]
    assert (found.right, found.clear, found.both_unclear, found.unclear) == (1, 2, 1, 2)
    assert found.share == 0.5
    with pytest.raises(ValueError, match="5 were seen and 4 read"):
        agree(seen, read[1:], QUESTION)


def test_an_interval_holds_the_share_and_is_never_empty():
    low, high = wilson(75, 75)
    assert (round(low, 3), high) == (0.951, 1.0)
    assert wilson(0, 0) == (0.0, 1.0)
    for right in range(21):
        low, high = wilson(right, 20)
        assert 0 <= low <= right / 20 <= high <= 1
        assert low < high


def test_a_shot_is_clean_where_all_frames_are():
    frames = [
        LabelledFrame(1, shot, frame, {"place": place, "figures": figures})
        for shot, frame, place, figures in (
            (0, 4, "beach", CLEAN),
            (0, 12, "beach", SPOILT),
            (1, 4, "beach", CLEAN),
            (1, 12, "meadow", CLEAN),
        )
    ]
    shots = [label.answers for label in label_shots(frames)]
    assert shots == [{"place": "beach", "figures": SPOILT}, {"place": UNCLEAR, "figures": CLEAN}]


def test_the_labels_are_whole():
    labels = read_labels(judge_agreement.LABELS)
    told = held_out(judge_agreement.STORIES, judge_agreement.SHOTS, first_seed=judge_agreement.FIRST_SEED)
    assert [label[:3] for label in labels] == [
        (task.story.seed, shot, frame)
        for task in told
        for shot in range(judge_agreement.SHOTS)
        for frame in judge_agreement.FRAMES
    ]
    for label in labels:
        assert set(label.answers) == set(QUESTIONS)
        assert all(answer in QUESTIONS[name] for name, answer in label.answers.items())


def test_the_record_is_of_the_shipped_judge_and_the_page_has_its_table():
    record = json.loads(judge_agreement.RECORD.read_text())
    assert record["judge"] == judge_facts(locate_judge())["weights_sha256"]
    labels, page = read_labels(judge_agreement.LABELS), judge_agreement.PAGE.read_text()
    table = agreement_table(*judge_agreement.compare(labels, judge_agreement.unpack(record)))
    assert insert(page, table) == page


def test_the_page_compares_the_judge_with_the_one_before():
    labels, page = read_labels(judge_agreement.LABELS), judge_agreement.PAGE.read_text()
    readings = [
        judge_agreement.unpack(json.loads(file.read_text()))
        for file in (judge_agreement.FORMER, judge_agreement.RECORD)
    ]
    assert judge_agreement.side_by_side(labels, *readings) in page


def test_readings_are_packed_without_loss():
    read = {kind: [{"place": "beach", "time": "day"}] for kind in ("shots", "frames")}
    assert judge_agreement.unpack(json.loads(json.dumps(judge_agreement.pack(read)))) == read


def test_other_shots_than_the_labelled_ones_are_refused(tmp_path: Path):
    sheet = np.asarray(Image.open(judge_agreement.SHEET))
    stories, shots, each = judge_agreement.STORIES, judge_agreement.SHOTS, len(judge_agreement.FRAMES)
    cells = sheet.reshape(stories, 128, shots, each, 192, 3).transpose(0, 2, 3, 1, 4, 5)
    told = np.zeros((stories, shots, 33, 128, 192, 3), np.uint8)
    told[:, :, list(judge_agreement.FRAMES)] = cells
    judge_agreement.check_told(told, sheet)
    told[3, 1, judge_agreement.FRAMES[2]] = told[4, 1, judge_agreement.FRAMES[2]]
    with pytest.raises(ValueError, match="story 2003 as it was told is not the one that was labelled"):
        judge_agreement.check_told(told, sheet)
