from __future__ import annotations

import pytest

from shotstream.benchmark.compare import compare, find_baseline
from shotstream.benchmark.record import RecordError

pytestmark = pytest.mark.unit


def worse(rows) -> set[str]:
    return {row.name for row in rows if row.worse}


def test_slower_than_allowed_is_worse_and_faster_is_not(make_record):
    old, slower = make_record(1.0), make_record(1.2)
    names = worse(compare(old, slower))
    assert {"frames_per_second", "chunk_p50_seconds", "first_frame_warm_seconds"} <= names
    assert "peak_memory_bytes" not in names
    assert worse(compare(slower, old)) == set()
    assert worse(compare(old, slower, allowed=0.3)) == set()


def test_counts_must_not_grow_at_all(make_record):
    old, new = make_record(loop={}), make_record(loop={"synchronising": {"item at x.py:1": 1}})
    assert worse(compare(old, new)) == {"synchronising"}
    assert worse(compare(new, old)) == set()


def test_counts_hold_on_any_machine_but_not_for_any_torch(make_record):
    old, new = make_record(1.0, loop={}), make_record(9.0, loop={})
    new.machine.hardware, new.machine.torch = "another machine", "2.13.0"
    assert worse(compare(old, new, counts_only=True)) == set()
    new.machine.torch = "2.14.0"
    with pytest.raises(RecordError, match="torch"):
        compare(old, new, counts_only=True)


@pytest.mark.parametrize("change", [{"height": 64}, {"mode": "fast"}, {"transformer_only": True}])
def test_other_settings_are_refused_unless_forced(make_record, change):
    old, new = make_record(), make_record(**change)
    with pytest.raises(RecordError, match=f"differ in {next(iter(change))}.*--force"):
        compare(old, new)
    assert compare(old, new, force=True)


def test_another_machine_is_refused(make_record):
    old, new = make_record(), make_record()
    new.machine.hardware = "another machine"
    with pytest.raises(RecordError, match="another machine"):
        compare(old, new)


def test_records_without_counts_are_refused(make_record):
    with pytest.raises(RecordError, match="--watch"):
        compare(make_record(loop={}), make_record(), counts_only=True)


def test_a_case_without_baseline_is_an_alarm(make_record, tmp_path):
    record = make_record()
    with pytest.raises(RecordError, match="has no baseline"):
        find_baseline(tmp_path, record.settings.case)
    record.write(tmp_path / f"{record.settings.case}.json")
    assert find_baseline(tmp_path, record.settings.case) == record
