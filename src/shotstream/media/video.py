"""Video files (PyAV): H.264 written while the frames are being made, anything FFmpeg knows read back."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np

from shotstream.media.files import atomic_path, write_errors

_X264 = {
    "crf": "16",
    "preset": "veryfast",
    "mbtree": "0",
}  # with mbtree and AVX2 the same frames gave other bytes
_THREADS = 4  # always as many, so that bytes do not depend on the number of cores
_BT709 = 1
_LIMITED_RANGE = 1


class VideoWriter:
    """An MP4 file that grows with every `write` and takes its name only when the block ends well.

    Use as a context manager; an exception inside the block removes the partial file. To keep what was
    written so far after Ctrl-C, catch ``KeyboardInterrupt`` *inside* the block.

    Args:
        path: Final name, ``*.mp4``.
        fps: Frames per second, above 0.
        height: Pixels, even; frames are scaled to it (Lanczos) and keep their shape. None keeps their size.

    Raises:
        ImportError: If PyAV is not installed; the message is the line that installs it.
        ValueError: If `fps` or `height` makes no sense.
    """

    def __init__(self, path: Path, fps: float, height: int | None = None) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.intact = True
        """False inside `write`, and after an exception there: a picture that others need may be lost."""
        self._rate = frame_rate(fps)
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()
        self._files = ExitStack()
        self._pictures = PictureMaker(height)

    def __enter__(self) -> Self:
        self._part = self._files.enter_context(atomic_path(self.path))
        self._files.push(self._finish)
        return self

    def write(self, frames: Iterable[np.ndarray]) -> None:
        """Append frames.

        Args:
            frames: ``uint8 [H, W, 3]`` each (a ``[T, H, W, 3]`` array is such an iterable); the first one
                sets the size, odd sizes are padded by repeating the edge.

        Raises:
            MediaError: If the file cannot be written, e.g. because the disk is full.
            ValueError: If a frame has another type or size.
        """
        for frame in frames:
            self._check(frame)
            self.intact = False
            with write_errors(self.path):
                if not self._shape:
                    self._open(frame)
                self._container.mux(self._stream.encode(self._pictures.make(frame)))
            self.frames_written += 1
            self.intact = True

    def __exit__(self, *exception: Any) -> bool | None:
        return self._files.__exit__(*exception)

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._container is not None:
            with write_errors(self.path):
                if kind is None:
                    self._container.mux(self._stream.encode(None))
                self._container.close()
        elif kind is None:
            raise ValueError(f"No frames were given for {self.path}, so there is no video to write.")

    def _check(self, frame: np.ndarray) -> None:
        check_frame(frame)
        if self._shape and frame.shape != self._shape:
            raise ValueError(
                f"A video has one frame size, but after {list(self._shape)} came {list(frame.shape)}."
            )

    def _open(self, frame: np.ndarray) -> None:
        self._shape = frame.shape
        self._container = pyav().open(str(self._part), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=_X264)
        self._stream.codec_context.thread_count = _THREADS
        self._pictures.describe(self._stream.codec_context, frame)


class PictureMaker:
    """Makes of frames what H.264 is encoded from: yuv420p, BT.709, limited range, even sizes.

    Args:
        height: Pixels, even; frames are scaled to it (Lanczos) and keep their shape. None keeps their size.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If `height` makes no sense.
    """

    def __init__(self, height: int | None = None) -> None:
        if height is not None and (height < 2 or height % 2):
            raise ValueError(f"A film {height} pixels high cannot be written; give an even number above 0.")
        self._av = pyav()
        self._height = height
        self._reformatter = self._av.video.reformatter.VideoReformatter()

    def describe(self, codec: Any, frame: np.ndarray) -> None:
        """Tell an encoder the size and the colours of pictures that are made of such frames."""
        codec.width, codec.height = self._size(frame)
        codec.pix_fmt = "yuv420p"
        codec.color_range = _LIMITED_RANGE
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709

    def make(self, frame: np.ndarray) -> Any:
        """Make the picture of a frame, ``uint8 [H, W, 3]``; odd sizes are padded by repeating the edge."""
        width, height = self._size(frame)
        odd_height, odd_width = frame.shape[0] % 2, frame.shape[1] % 2
        if odd_height or odd_width:
            frame = np.pad(frame, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
        return self._reformatter.reformat(
            self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
            width=width,
            height=height,
            format="yuv420p",
            dst_colorspace="ITU709",
            interpolation="BICUBIC" if self._height is None else "LANCZOS",
        )

    def _size(self, frame: np.ndarray) -> tuple[int, int]:
        height, width = (side + side % 2 for side in frame.shape[:2])
        if self._height is None:
            return width, height
        return max(2, 2 * round(width * self._height / height / 2)), self._height


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, height: int | None = None) -> None:
    """Write a whole video file: H.264, yuv420p, whole or not at all.

    Args:
        path: Final name, ``*.mp4``.
        frames: ``uint8 [H, W, 3]`` each, at least one.
        fps: Frames per second.
        height: Pixels, even, that frames are scaled to (Lanczos); None keeps their size.

    Raises:
        ImportError: If PyAV is not installed.
        MediaError: If the file cannot be written.
        ValueError: If there are no frames, or one has the wrong type or size.
    """
    with VideoWriter(path, fps, height) as video:
        video.write(frames)


def read_video(path: Path) -> tuple[np.ndarray, float]:
    """Read all frames of a video file into memory, turned as the file says that they are to be shown.

    Returns:
        Frames ``uint8 [T, H, W, 3]``, and how many of them are shown per second.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If the file is no video, or a damaged one.
    """
    av = pyav()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = [_upright(frame) for frame in container.decode(stream)]
            rate = stream.average_rate or stream.guessed_rate
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a video ({error}); check it, or make it anew.") from error
    if not frames or not rate:
        raise ValueError(f"{path} is a video without frames or without a frame rate; make it anew.")
    return np.stack(frames), float(rate)


def _upright(frame: Any) -> np.ndarray:
    """A decoded frame, uint8 ``[H, W, 3]``, turned by its rotation (degrees against the clock)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)


def check_frame(frame: np.ndarray) -> None:
    """Refuse what is no frame.

    Raises:
        ValueError: If it is not ``uint8 [H, W, 3]``.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(
            f"A frame must be uint8 [H, W, 3], but this one is {frame.dtype} {list(frame.shape)}."
        )


def frame_rate(fps: float) -> Fraction:
    """Frames per second as the fraction that video files hold.

    Raises:
        ValueError: If it is not above 0 and at most 1000.
    """
    if not 0 < fps <= 1000:
        raise ValueError(f"fps is {fps}, but a video needs more than 0 and at most 1000 frames per second.")
    return Fraction(fps).limit_denominator(1001)


def pyav() -> Any:
    """PyAV, imported when it is first needed.

    Raises:
        ImportError: If it is not installed; the message is the line that installs it.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('Video files need PyAV: pip install "shotstream[video]"') from error
    return av
