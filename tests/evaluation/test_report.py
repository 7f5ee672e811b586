"""The folder of results, and the page: that it stands alone and lets nothing through unescaped."""

import json

import numpy as np
import pytest

from shotstream.evaluation.adherence import Mark
from shotstream.evaluation.extractors import Extractors
from shotstream.evaluation.judged_film import Film
from shotstream.evaluation.measure import Examination
from shotstream.evaluation.report import write_report
from shotstream.evaluation.results import Results, ResultsError
from tests.evaluation.report_page import check_page

pytestmark = pytest.mark.unit

SETTINGS = {"shotstream": "0", "commit": None, "model": "<b>mini</b>", "features": {"subject": "judge"}}


@pytest.fixture
def film():
    return Film([np.full((3, 16, 400, 3), 90, np.uint8)], 8, ["a <script> & more"], setting="<i>", seed=3)


FOUND = Examination(
    {"transition_control": 0.5, "inter_shot_subject": -0.25},
    [
        [
            Mark("attribute_consistency", "pattern", "first", "spots", "belly", False),
            Mark("prompt_adherence", "place", "", "snow", "snow", True),
        ]
    ],
)


def report(results, records):
    return write_report(
        results.folder,
        records,
        settings=SETTINGS,
        hardware="a machine",
        asked_for=3,
        extractors=Extractors(),
        judge={"weights_sha256": "0", "accuracy": {"place": 0.9}},
    )


def test_the_page_stands_alone(film, tmp_path):
    results = Results(tmp_path, SETTINGS)
    report(results, [results.add("k" * 64, "one", film, FOUND)])
    text = (tmp_path / "report.html").read_text()
    seen = check_page(text)
    assert sum(tag == "img" for tag, _ in seen) == 1
    assert sum(attrs.get("class") == "wrong" for _, attrs in seen) == 1
    assert "a &lt;script&gt; &amp; more" in text
    assert "&lt;b&gt;mini&lt;/b&gt;" in text
    assert "first kept pattern" in text
    assert "Stopped early: 2 more were asked for." in text
    assert "<td>not asked for; --features judge or clip gives it</td>" in text


def test_metrics_json_has_it_all(film, tmp_path):
    results = Results(tmp_path, SETTINGS)
    record = results.add("k" * 64, "one", film, FOUND)
    report(results, [record])
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["stories"] == [record]
    assert told["seeds"] == [3]
    assert (told["finished"], told["asked_for"]) == (1, 3)
    assert told["summary"]["transition_control"] == {"mean": 0.5, "low": None, "high": None, "n": 1}
    assert told["settings"] == SETTINGS
    assert {"date", "hardware", "commit", "shotstream", "weights_sha256", "judge", "absent"} <= told.keys()


def test_results_are_found_again(film, tmp_path):
    record = Results(tmp_path, SETTINGS).add("k" * 64, "one", film, FOUND)
    again = Results(tmp_path, SETTINGS)
    assert again.find("k" * 64) == json.loads(json.dumps(record))
    assert again.find("l" * 64) is None


def test_an_unfinished_line_is_forgotten(film, tmp_path):
    Results(tmp_path, SETTINGS).add("k" * 64, "one", film, FOUND)
    lines = tmp_path / "stories.jsonl"
    whole = lines.read_text()
    lines.write_text(whole + '{"key": "lll')
    results = Results(tmp_path, SETTINGS)
    assert lines.read_text() == whole
    results.add("m" * 64, "two", film, FOUND)
    assert Results(tmp_path, SETTINGS).find("m" * 64)["name"] == "two"
    lines.write_text("{\n" + whole)
    with pytest.raises(ResultsError, match="is damaged"):
        Results(tmp_path, SETTINGS)


def test_other_settings_are_refused(tmp_path):
    Results(tmp_path, SETTINGS)
    with pytest.raises(ResultsError, match=r"other settings \(commit: None there, 'abc' now\)"):
        Results(tmp_path, SETTINGS | {"commit": "abc"})
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(ResultsError, match="damaged"):
        Results(tmp_path, SETTINGS)
