from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotstream.media.story_zip import MOST_FILES, StoryZip, ZipError

pytestmark = pytest.mark.unit

STORY = b"setting: a fox\nshots: [it runs]\n"


def write_zip(path: Path, files: Mapping[str | zipfile.ZipInfo, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("folder", ["", "fox-story/"])
def test_files_are_read_by_the_names_that_the_story_has_for_them(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}story.yaml": STORY, f"{folder}pictures/fox.png": b"fox", "__MACOSX/story.yaml": b""}
    with StoryZip(write_zip(tmp_path / "story.zip", files)) as archive:
        assert archive.story_name == "story.yaml"
        assert archive.read("story.yaml", 100) == STORY
        assert archive.read("pictures/fox.png", 3) == b"fox"
        assert "pictures/fox.png" in archive
        assert "../fox.png" not in archive
        with pytest.raises(ZipError, match=r"the zip has no '/etc/passwd', which its story names; export"):
            archive.read("/etc/passwd", 100)


class Unsaid(zipfile.ZipInfo):
    """An entry whose name is UTF-8 and does not say so, as macOS writes it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(), self.flag_bits


@pytest.mark.parametrize("folder", ["", "Füchse/"])
@pytest.mark.parametrize("written", ["NFC", "NFD", "unsaid NFC", "unsaid NFD"])
@pytest.mark.parametrize("called", ["NFC", "NFD"])
def test_accents_are_the_same_however_they_are_written(
    tmp_path: Path, folder: str, written: str, called: str
) -> None:
    names = [normalize(written[-3:], f"{folder}{name}") for name in ("story.yaml", "Bär/é.png", "日本.wav")]
    kind = Unsaid if written.startswith("unsaid") else zipfile.ZipInfo
    files = dict(zip(map(kind, names), [STORY, b"bear", b"rain"], strict=True))
    path = write_zip(tmp_path / "story.zip", files)
    with StoryZip(path) as archive:
        assert archive.read(normalize(called, "Bär/é.png"), 9) == b"bear"
        assert archive.read("日本.wav", 9) == b"rain"
        assert normalize(called, "Bär/é.png") in archive


def test_a_name_that_is_no_utf_8_is_read_as_ever(tmp_path: Path) -> None:
    class Old(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:
            return self.filename.encode("cp437"), self.flag_bits

    files = {"story.yaml": STORY, Old("é.png"): b"bear"}
    with StoryZip(write_zip(tmp_path / "story.zip", files)) as archive:
        assert archive.read("é.png", 9) == b"bear"


def test_two_spellings_of_a_name_are_one(tmp_path: Path) -> None:
    files = {normalize(form, "é.png"): b"bear" for form in ("NFC", "NFD")}
    with pytest.raises(ZipError, match=r"the zip has 'é.png' twice"):
        StoryZip(write_zip(tmp_path / "story.zip", {"story.yaml": STORY, **files}))


def test_no_more_is_unpacked_than_may_be(tmp_path: Path) -> None:
    """Ten megabytes of zeros are ten kilobytes in a zip, which may say that they are ten bytes."""
    path = tmp_path / "story.zip"
    write_zip(path, {"story.yaml": bytes(10 * 2**20)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    with (
        StoryZip(path) as archive,
        pytest.raises(ZipError, match=r"'story.yaml' in the zip has more than 1024 KiB"),
    ):
        archive.read("story.yaml", 2**20)
    data = path.read_bytes()
    size = struct.pack("<L", 10 * 2**20)
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<L", 10)))
    with StoryZip(path) as archive, pytest.raises(ZipError, match=r"'story.yaml' in the zip is damaged"):
        archive.read("story.yaml", 2**20)


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16
    return entry


def locked(path: Path) -> Path:
    write_zip(path, {"story.yaml": STORY})
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"story.yaml": b"", "../fox.png": b""}, r"'\.\./fox\.png' in the zip leads outside of it; export"),
        ({"story.yaml": b"", "/etc/fox": b""}, "leads outside"),
        ({"story.yaml": b"", "C:fox": b""}, "leads outside"),
        ({"story.yaml": b"", link("fox.png"): b"/etc/passwd"}, "leads outside"),
        ({"fox.yaml": b""}, "the zip has no story.yaml; export the story anew as story.zip"),
        (
            {"a/story.yaml": b"", "b/story.json": b""},
            "more than one story: 'a/story.yaml' and 'b/story.json'",
        ),
        ({f"{number}.png": b"" for number in range(MOST_FILES + 1)}, "has more than 1000 files; leave out"),
    ],
)
def test_what_is_no_story_is_refused(tmp_path: Path, files: dict, sentence: str) -> None:
    with pytest.raises(ZipError, match=sentence):
        StoryZip(write_zip(tmp_path / "story.zip", files))


def test_a_locked_a_double_a_cut_off_and_no_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "story.zip"
    with pytest.raises(ZipError, match=r"'story.yaml' in the zip is locked with a password; zip it without"):
        StoryZip(locked(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("story.yaml", STORY)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("story.yaml", STORY)
    with pytest.raises(ZipError, match=r"has 'story.yaml' twice"):
        StoryZip(path)
    write_zip(path, {"story.yaml": STORY})
    for data in (path.read_bytes()[:-4], b"", b"PK", STORY * 4):
        path.write_bytes(data)
        with pytest.raises(ZipError, match="cut off; export the story anew"):
            StoryZip(path)


@given(st.data())
def test_a_damaged_zip_is_a_mistake_and_nothing_else(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("zip") / "story.zip"
    write_zip(path, {"story.yaml": STORY * 20, "fox.png": b"fox"}, compression=zipfile.ZIP_DEFLATED)
    broken = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(broken)
    try:
        with StoryZip(path) as archive:
            for name in ("story.yaml", "fox.png"):
                archive.read(name, 10_000)
    except ZipError:
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_usual_packing_is_unpacked(tmp_path: Path, method: int) -> None:
    """What LZMA takes to unpack is in the file: gigabytes, where somebody wants that."""
    path = write_zip(tmp_path / "story.zip", {"story.yaml": STORY}, compression=method)
    with pytest.raises(ZipError, match=r"'story.yaml' in the zip is packed in an unusual way; zip it as"):
        StoryZip(path)
