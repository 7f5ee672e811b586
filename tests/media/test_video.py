from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shotstream.media.files import MediaError
from shotstream.media.pictures import write_png
from shotstream.media.video import VideoWriter, read_video, write_video

av = pytest.importorskip("av")
PIL = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.unit

COLOURS = [(255, 0, 0), (0, 200, 0), (20, 40, 250), (200, 200, 40)]


def bars(frames: int = 5, height: int = 32, width: int = 64) -> np.ndarray:
    """Four upright bars of clear colours."""
    picture = np.repeat(np.array(COLOURS, dtype=np.uint8), width // 4, axis=0)
    return np.broadcast_to(picture, (frames, height, width, 3))


def test_a_written_video_is_read_back(tmp_path):
    write_video(tmp_path / "a.mp4", bars(), fps=7.5)
    frames, fps = read_video(tmp_path / "a.mp4")
    assert (frames.dtype, frames.shape, fps) == (np.uint8, (5, 32, 64, 3), 7.5)
    middles = frames[:, 16, 8::16].astype(int)  # [T, bars, 3]
    assert np.abs(middles - np.array(COLOURS)).max() < 12


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be read as a video"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"nowhere\.mp4 cannot be read as a video"):
        read_video(tmp_path / "nowhere.mp4")


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, 128, 128, 3), dtype=np.uint8)


def read(path: Path) -> tuple[list[np.ndarray], float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return frames, float(stream.average_rate)


def test_frames_rate_size_and_colours_survive(tmp_path):
    write_video(tmp_path / "a.mp4", bars(), fps=12, height=64)
    frames, fps = read(tmp_path / "a.mp4")
    assert (len(frames), fps, frames[0].shape) == (5, 12, (64, 128, 3))
    for index, colour in enumerate(COLOURS):
        assert np.abs(frames[0][32, 16 + 32 * index].astype(int) - colour).max() <= 4


def test_odd_sizes_are_padded(tmp_path):
    write_video(tmp_path / "a.mp4", bars()[:, :31, :63], fps=12)
    assert read(tmp_path / "a.mp4")[0][0].shape == (32, 64, 3)


def test_pieces_make_the_same_film_as_the_whole(tmp_path):
    with VideoWriter(tmp_path / "pieces.mp4", 12) as video:
        for start in range(0, 12, 5):
            video.write(noise(12)[start : start + 5])
    write_video(tmp_path / "whole.mp4", noise(12), 12)
    assert (tmp_path / "pieces.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_the_same_frames_give_the_same_bytes(tmp_path):
    """Noise that moves and fades: with x264's `mbtree`, on a processor with AVX2, runs differed."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).repeat(8, 0).repeat(8, 1)
    frames = [np.roll(noise, 2 * n, 1) * (60 + n) // 100 for n in range(33)]
    for number in range(8):
        write_video(tmp_path / f"{number}.mp4", [frame.astype(np.uint8) for frame in frames], fps=12)
    assert len({(tmp_path / f"{number}.mp4").read_bytes() for number in range(8)}) == 1


def test_nothing_under_the_final_name_until_the_end(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 12) as video:
        video.write(bars())
        assert not path.exists()
    assert video.frames_written == 5
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_inside_the_block_removes_the_partial_file(tmp_path):
    def interrupted():
        yield from bars()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", interrupted(), 12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "No frames"),
        ([np.zeros((8, 8, 3))], "uint8.*float64"),
        ([np.zeros((8, 8), np.uint8)], r"\[8, 8\]"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)], "one frame size"),
    ],
)
def test_wrong_frames_leave_nothing(tmp_path, frames, sentence):
    with pytest.raises(ValueError, match=sentence):
        write_video(tmp_path / "a.mp4", frames, 12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("fps", "height"), [(0, 32), (float("nan"), 32), (12, 0), (12, 33)])
def test_wrong_settings(tmp_path, fps, height):
    with pytest.raises(ValueError, match=r"fps|pixels high"):
        write_video(tmp_path / "a.mp4", bars(), fps, height)


@pytest.mark.parametrize("height", [16, 50, 96])
def test_any_size_keeps_the_shape_and_is_sharper_than_bicubic(tmp_path, height):
    frame = np.full((32, 64, 3), 20, np.uint8)
    frame[:, 32:] = 235  # an edge
    write_video(tmp_path / "a.mp4", [frame] * 3, 12, height)
    (film, *_), _ = read(tmp_path / "a.mp4")
    assert film.shape == (height, 2 * height, 3)
    row = film[height // 2, :, 0].astype(int)
    assert abs(row[2] - 20) <= 4
    assert abs(row[-3] - 235) <= 4
    if height == 96:
        wide = PIL.fromarray(frame[:, :, 0])
        soft, sharp = (
            np.asarray(wide.resize((192, 96), kind)).astype(int)[48, 88:104]
            for kind in (PIL.Resampling.BICUBIC, PIL.Resampling.LANCZOS)
        )
        assert np.abs(row[88:104] - sharp).sum() < np.abs(row[88:104] - soft).sum()


def test_an_interruption_inside_a_frame_is_noticed(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with VideoWriter(tmp_path / "a.mp4", 12) as video:
        video.write(bars())
        assert video.intact
        monkeypatch.setattr(video._pictures, "make", stopped)
        with pytest.raises(KeyboardInterrupt):
            video.write(bars())
        assert not video.intact


def test_a_full_disk_gives_one_sentence_and_leaves_nothing(small_disk):
    with pytest.raises(MediaError, match=r"a\.mp4: the disk is full; free some space"):
        write_video(small_disk / "a.mp4", noise(40), 12)
    with pytest.raises(MediaError, match=r"a\.png: the disk is full; free some space"):
        write_png(small_disk / "a.png", np.concatenate(noise(40)))
    assert list(small_disk.iterdir()) == []


LIMITED = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from shotstream.media.files import MediaError
from shotstream.media.video import write_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
frames = np.random.default_rng(0).integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
try:
    write_video(Path(sys.argv[1]), frames, 12)
except MediaError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limits")
def test_a_size_limit_gives_one_sentence_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "a.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "a.mp4: the file grew past the size limit" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_video_is_read_upright(tmp_path, quarters):
    """As phones write them: the pictures lie, and the file says how they are to be turned."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 200
    write_video(tmp_path / "lying.mp4", [picture] * 2, 8)
    data = bytearray((tmp_path / "lying.mp4").read_bytes())
    across, along = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]  # clockwise
    a, b, c, d = (0x10000 * part for part in (across, along, -along, across))
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    (tmp_path / "turned.mp4").write_bytes(data)
    seen, _ = read_video(tmp_path / "turned.mp4")
    wanted = np.rot90(picture, k=-quarters)
    assert seen.shape[1:] == wanted.shape
    assert np.abs(seen[0].astype(int) - wanted).mean() < 8
