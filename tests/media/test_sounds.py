from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.media.sounds import (
    PEAKS_PER_SECOND,
    SAMPLE_RATE,
    SOUND_KINDS,
    PlacedFile,
    SoundError,
    mix_sounds,
    read_sound,
)
from tests.media.tones import tone

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def beep(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "beep"
    path.write_bytes(tone())
    return path


def mix(*placed: PlacedFile, seconds: float) -> np.ndarray:
    return np.concatenate(list(mix_sounds(placed, seconds)), 1)


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_every_kind_is_read_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    (tmp_path / "no ending").write_bytes(tone(kind))
    facts = read_sound(tmp_path / "no ending", most_seconds=60)
    assert facts.kind == kind
    assert facts.seconds == pytest.approx(1, abs=0.06)
    assert len(facts.peaks) in (PEAKS_PER_SECOND, PEAKS_PER_SECOND + 1)
    assert facts.peaks[10] == pytest.approx(127, abs=15)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no sound that can be read; take one of WAV, MP3, FLAC, OGG, M4A"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret.wav", "no sound that can be read"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "no sound that can be read"),
        (b"RIFF\x00\x00\x00\x00WAVE" + bytes(50), "save it anew"),
        (b"fLaC" + bytes(100), "save it anew"),
        (b"ID3" + bytes(500), "save it anew"),
        (b"OggS" + bytes(50), "save it anew"),
        (b"\0\0\0\x20ftypM4A " + bytes(100), "save it anew"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_sentence(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "sound.wav").write_bytes(data)
    with pytest.raises(SoundError, match=why):
        read_sound(tmp_path / "sound.wav", most_seconds=60)


def test_a_sound_that_is_too_long_is_refused_before_all_of_it_is_decoded(beep: Path) -> None:
    with pytest.raises(SoundError, match=r"longer than 0\.01 minutes; cut it shorter"):
        read_sound(beep, most_seconds=0.6)


def test_a_sound_is_heard_where_it_was_placed(beep: Path) -> None:
    mixed = mix(PlacedFile(beep, 0.5, -6.0206), seconds=2)
    assert mixed.shape == (2, 2 * SAMPLE_RATE)
    assert not mixed[:, : SAMPLE_RATE // 2].any()
    assert not mixed[:, round(1.5 * SAMPLE_RATE) :].any()
    assert np.abs(mixed).max() == pytest.approx(0.25, abs=0.01)


def test_sounds_are_added_and_cut_off_at_the_loudest_there_is(beep: Path) -> None:
    assert np.abs(mix(PlacedFile(beep), PlacedFile(beep), seconds=0.5)).max() == pytest.approx(1, abs=0.01)
    assert np.abs(mix(PlacedFile(beep, gain_db=12), seconds=0.5)).max() == 1


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.1, 2))
def test_wherever_it_begins_it_is_the_same_sound(beep: Path, offset: float, seconds: float) -> None:
    start, whole = round(offset * SAMPLE_RATE), mix(PlacedFile(beep), seconds=1)
    expected = np.zeros((2, round(seconds * SAMPLE_RATE)), np.float32)
    first, last = max(0, start), min(expected.shape[1], start + whole.shape[1])
    if first < last:
        expected[:, first:last] = whole[:, first - start : last - start]
    assert np.array_equal(mix(PlacedFile(beep, offset), seconds=seconds), expected)
