from __future__ import annotations

import json

import pytest

from shotstream.benchmark.record import Record, RecordError

pytestmark = pytest.mark.unit


def test_a_record_comes_back_from_its_file(make_record, tmp_path):
    record = make_record(loop={"synchronising": {"a": 1}})
    record.write(tmp_path / "deep" / "record.json")
    assert Record.read(tmp_path / "deep" / "record.json") == record


def test_what_is_no_record_is_refused_with_the_place(make_record, tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(RecordError, match="there is no record"):
        Record.read(path)
    make_record().write(path)
    entries = json.loads(path.read_text())
    entries["settings"]["unheard_of"] = 1
    path.write_text(json.dumps(entries))
    with pytest.raises(RecordError, match=r"settings\.unheard_of"):
        Record.read(path)


def test_labels_say_what_is_not_real(make_settings):
    assert make_settings(weights="sha256 00", text_encoder="UMT5EncoderModel").labels == []
    labels = " ".join(make_settings().labels)
    assert "random weights" in labels
    assert "not umT5" in labels
    assert "transformer only" in " ".join(make_settings(transformer_only=True).labels)


def test_cases_have_names_of_files(make_settings):
    case = make_settings(model="/models/wan", mode="fast", decoder="tiny", transformer_only=True).case
    assert case == "models-wan-32x48-cpu-float32-fast-tiny-loop"
