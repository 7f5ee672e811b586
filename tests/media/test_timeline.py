from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.media.timeline import (
    TimelineShot,
    TimelineSound,
    edit_decision_list,
    edit_rate,
    final_cut_xml,
    subtitles,
    timeline,
)

pytestmark = pytest.mark.unit

FOX = TimelineShot(((0, "A fox runs."), (12, "It stops.")), 33, 7, 0, "shots/01.mp4")
OWL = TimelineShot(((0, "An owl looks on."),), 21, 2**53, 2, "shots/02.mp4")


def read(text: str):
    return pytest.importorskip("opentimelineio").adapters.read_from_string(text, "otio_json")


def frames(time_range) -> tuple[float, float, float]:
    return time_range.start_time.value, time_range.duration.value, time_range.duration.rate


def test_a_timeline_has_a_clip_per_shot():
    film = read(timeline("Night", 12, [FOX, OWL]))
    assert (film.name, [track.kind for track in film.tracks]) == ("Night", ["Video"])
    clips = list(film.find_clips())
    assert [clip.media_reference.target_url for clip in clips] == ["shots/01.mp4", "shots/02.mp4"]
    assert [frames(clip.source_range) for clip in clips] == [(0, 66, 24), (0, 42, 24)]
    assert [frames(clip.media_reference.available_range) for clip in clips] == [(0, 33, 12), (0, 21, 12)]
    assert [frames(clip.range_in_parent()) for clip in clips] == [(0, 66, 24), (66, 42, 24)]
    assert film.duration().to_seconds() == 54 / 12


def test_a_trimmed_shot_is_a_part_of_its_file():
    fox = replace(FOX, in_frame=6, out_frame=17)
    film = read(timeline("Night", 12, [fox, OWL]))
    clips = list(film.find_clips())
    assert [frames(clip.source_range) for clip in clips] == [(12, 24, 24), (0, 42, 24)]
    assert frames(clips[0].media_reference.available_range) == (0, 33, 12)
    assert frames(clips[0].markers[0].marked_range) == (24, 1, 24), "frame 12 of the file"
    assert "00:00:00,500 --> 00:00:01,000\nIt stops." in subtitles(12, [fox])
    assert subtitles(12, [replace(fox, in_frame=13), OWL]).startswith(
        "1\n00:00:00,000 --> 00:00:00,417\nIt stops."
    )
    assert "00:00:00:12 00:00:01:12 00:00:00:00 00:00:01:00" in edit_decision_list("Night", 12, [fox])


@pytest.mark.parametrize(
    ("fps", "rate"),
    [(12, 24), (8, 24), (24, 24), (15, 30), (10, 30), (25, 25), (16, 48), (50, 50), (7.5, 30)],
)
def test_a_timeline_has_a_rate_that_editors_know(fps, rate):
    assert edit_rate(fps) == rate
    film = read(timeline("Night", fps, [FOX, OWL]))
    assert [clip.source_range.duration.value for clip in film.find_clips()] == [
        33 * rate / fps,
        21 * rate / fps,
    ]


@pytest.mark.parametrize("fps", [24000 / 1001, 18, 7, 29.97])
def test_at_other_rates_cuts_are_where_they_are_shown(fps):
    """To the frame of the timeline, and no clip is longer than its file."""
    shots = [TimelineShot(((0, "a"),), 33, 0, 0, f"{number}.mp4") for number in range(8)]
    film = read(timeline("Night", fps, shots))
    for number, clip in enumerate(film.find_clips()):
        assert clip.range_in_parent().start_time.to_seconds() == pytest.approx(
            33 * number / fps, abs=number / 24
        )
        assert clip.source_range.duration.to_seconds() <= 33 / fps + 1e-9


def opened(text: str, adapter: str):
    """What an editing program sees; the adapter reads what it wrote."""
    pytest.importorskip({"cmx_3600": "otio_cmx3600_adapter", "fcp_xml": "otio_fcp_adapter"}[adapter])
    return pytest.importorskip("opentimelineio").adapters.read_from_string(text, adapter)


TITLES = ["Night", "Ночь → 夜", 'a & b <c> "d"', ""]


@pytest.mark.parametrize("title", TITLES)
def test_an_edit_decision_list_is_opened_again(title):
    pytest.importorskip("otio_cmx3600_adapter")
    text = edit_decision_list(title, 12, [FOX, OWL])
    assert text.isascii()
    film = opened(text, "cmx_3600")
    clips = list(film.find_clips())
    assert [frames(clip.source_range) for clip in clips] == [(0, 66, 24), (0, 42, 24)]
    assert [clip.range_in_parent().start_time.value for clip in clips] == [0, 66]
    assert [clip.name for clip in clips] == ["Shot 1", "Shot 2"]
    assert [clip.media_reference.target_url for clip in clips] == ["shots/01.mp4", "shots/02.mp4"]
    assert [mark.marked_range.start_time.value for mark in clips[0].markers] == [24]


def test_an_edit_decision_list_numbers_no_more_than_999():
    pytest.importorskip("otio_cmx3600_adapter")
    shots = [TimelineShot(((0, "a"),), 9, 0, 0, f"{number:03d}.mp4") for number in range(1000)]
    assert len(list(opened(edit_decision_list("Night", 12, shots[:999]), "cmx_3600").find_clips())) == 999
    with pytest.raises(ValueError, match=r"999 events at most, and the film has 1000 shots; take"):
        edit_decision_list("Night", 12, shots)


@pytest.mark.parametrize("title", TITLES)
def test_xml_of_final_cut_is_opened_again(title):
    pytest.importorskip("otio_fcp_adapter")
    film = opened(final_cut_xml(title, 12, [FOX, OWL]), "fcp_xml")
    clips = list(film.find_clips())
    assert [frames(clip.source_range) for clip in clips] == [(0, 66, 24), (0, 42, 24)]
    assert [clip.range_in_parent().start_time.value for clip in clips] == [0, 66]
    assert [clip.media_reference.target_url for clip in clips] == ["shots/01.mp4", "shots/02.mp4"]
    assert [mark.name for mark in clips[0].markers] == ["It stops."]


def test_a_missing_adapter_is_said(monkeypatch):
    otio = pytest.importorskip("opentimelineio")
    monkeypatch.setattr(otio.adapters, "available_adapter_names", lambda: ["otio_json"])
    for write in (edit_decision_list, final_cut_xml):
        with pytest.raises(ImportError, match=r'pip install "shotstream\[serve\]"'):
            write("Night", 12, [FOX])


def test_a_timeline_says_what_was_asked_for():
    film = json.loads(timeline("Night", 12, [FOX, OWL]))
    fox, owl = (clip["metadata"]["shotstream"] for clip in film["tracks"]["children"][0]["children"])
    assert fox == {
        "prompt": "A fox runs.",
        "prompts": [{"frame": 0, "text": "A fox runs."}, {"frame": 12, "text": "It stops."}],
        "seed": 7,
        "take": 0,
        "fps": 12,
    }
    assert owl["seed"] == 2**53


def test_redirects_are_marked():
    clips = list(read(timeline("Night", 12, [FOX, OWL])).find_clips())
    assert [[(mark.name, frames(mark.marked_range)) for mark in clip.markers] for clip in clips] == [
        [("It stops.", (24, 1, 24))],
        [],
    ]


def test_a_redirect_that_came_too_late_tells_nothing():
    late = TimelineShot(((0, "A fox."), (9, "An owl.")), 9, 0, 0, "a.mp4")
    (clip,) = read(timeline("Night", 12, [late])).find_clips()
    assert list(clip.markers) == []
    assert "owl" not in subtitles(12, [late])


def test_subtitles_tell_the_prompts():
    assert subtitles(12, [FOX, OWL]) == (
        "1\n00:00:00,000 --> 00:00:01,000\nA fox runs.\n\n"
        "2\n00:00:01,000 --> 00:00:02,750\nIt stops.\n\n"
        "3\n00:00:02,750 --> 00:00:04,500\nAn owl looks on.\n"
    )


def test_hours_are_counted():
    long = TimelineShot(((0, "A river."),), 16 * 3725, 0, 0, "a.mp4")
    assert "00:00:00,000 --> 01:02:05,000" in subtitles(16, [long])


def test_a_film_without_words_has_no_subtitles():
    assert subtitles(12, []) == ""
    assert subtitles(12, [TimelineShot(((0, " \n\t\0 "),), 9, 0, 0, "a.mp4")]) == ""


def test_long_prompts_are_wrapped():
    prompt = "A red fox with a green scarf walks slowly along the frozen river at dusk."
    text = subtitles(12, [TimelineShot(((0, prompt),), 9, 0, 0, "a.mp4")])
    assert text.splitlines()[2:] == [
        "A red fox with a green scarf walks slowly",
        "along the frozen river at dusk.",
    ]


CAPTION = re.compile(r"(\d+)\n(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})\n((?:.+\n)+)")


def parsed(text: str) -> list[tuple[int, int, int, list[str]]]:
    """(number, start and end in milliseconds, lines) of every caption, read as players do."""
    captions = []
    for block in re.split(r"\n\n", text.removesuffix("\n")) if text else []:
        found = CAPTION.fullmatch(block + "\n")
        assert found, f"a player cannot read {block!r}"
        number, *clock = (int(part) for part in found.groups()[:9])
        start, end = (
            ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths
            for hours, minutes, seconds, thousandths in (clock[:4], clock[4:])
        )
        captions.append((number, start, end, found[10].splitlines()))
    return captions


LETTERS = "abc 1:,.<>{}-\\é雪🦊\n\r\t\0\x0b\x85\u2028\ufeff"
PROMPTS = st.text(LETTERS, max_size=120) | st.sampled_from(
    ["a\n\nb", "--> 00:00:01,000", "-\0->", "1\n\n2\n", "x" * 99]
)


@st.composite
def told_shots(draw) -> TimelineShot:
    length = draw(st.integers(1, 300))
    redirects = draw(st.lists(st.integers(0, length + 5), max_size=4).map(sorted))
    prompts = tuple((first, draw(PROMPTS)) for first in [0, *redirects])
    return TimelineShot(prompts, length, 0, 0, "a.mp4")


@given(st.lists(told_shots(), max_size=5), st.sampled_from([8, 12, 16, 7.5, 24000 / 1001, 1000]))
def test_subtitles_can_be_read_whatever_the_prompts(shots, fps):
    captions = parsed(subtitles(fps, shots))
    assert [number for number, *_ in captions] == list(range(1, len(captions) + 1))
    assert all(start < end for _, start, end, _ in captions)
    assert all(before[2] <= after[1] for before, after in pairwise(captions))
    assert all(end <= round(sum(shot.frames for shot in shots) / fps * 1000) for _, _, end, _ in captions)
    for *_, lines in captions:
        assert all(0 < len(line) <= 42 and "-->" not in line for line in lines)


def test_every_sound_has_a_track_from_where_it_begins_to_the_end_of_the_film():
    rain, music = TimelineSound("rain.wav", 2.0, 1.5, -6.0), TimelineSound("music.mp3", 60.0, -3.0)
    late = TimelineSound("late.wav", 2.0, 9.0)
    film = read(timeline("Night", 12, [FOX, OWL], [rain, music, late]))
    assert [(track.kind, track.name) for track in film.tracks[1:]] == [("Audio", "rain"), ("Audio", "music")]
    (heard, played) = [next(iter(track.find_clips())) for track in film.tracks[1:]]
    assert frames(heard.range_in_parent()) == (36, 48, 24)
    assert frames(played.source_range) == (72, 108, 24)
    assert heard.metadata["shotstream"]["gain_db"] == -6.0
    assert film.duration().to_seconds() == 54 / 12
    xml = final_cut_xml("Night", 12, [FOX, OWL], [rain])
    assert "<audio>" in xml
    assert "rain.wav" in xml
