"""Where a film cuts: frames are looked at one by one, so a film may be of any length.

A cut is named by the number of the first frame of the new shot, so it is at least 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MIN_CONTENT = 8.0
"""Least change of a cut: mean change of hue, saturation and brightness of a pixel, each 0..255.

In drawn stories at 64x96 cuts change 15 and more, mostly the double; the library's own 15 would leave no room
for the duller pictures of a model. Motion changes as much, but evenly: the ratio below tells them apart.
"""
MIN_RATIO = 3.0
"""Least change of a cut, as a multiple of the mean change of the two frames before and the two after it."""


class CutDetector:
    """Finds hard cuts (PySceneDetect's AdaptiveDetector).

    Cuts in the last two frames are not seen: the detector compares with two frames after the cut.

    Args:
        fps: Frames per second, above 0.
        min_shot_frames: Cuts nearer than this to the last one, or to the start, are not counted.
        min_content: Least change of a cut, see `MIN_CONTENT`.
        min_ratio: Least change of a cut, see `MIN_RATIO`.

    Raises:
        ImportError: If PySceneDetect is missing, with the line that installs it.
    """

    def __init__(
        self,
        fps: float,
        min_shot_frames: int = 6,
        *,
        min_content: float = MIN_CONTENT,
        min_ratio: float = MIN_RATIO,
    ):
        self._library, self._fps, self._frames = _scenedetect(), float(fps), 0
        self._detector = self._library.AdaptiveDetector(
            adaptive_threshold=min_ratio, min_scene_len=min_shot_frames, min_content_val=min_content
        )

    def add(self, frame: np.ndarray) -> list[int]:
        """Look at the next frame, uint8 [H, W, 3] RGB; pictures as small as 64x96 will do.

        Returns:
            First frames of new shots that are known now and were not before.
        """
        picture = np.ascontiguousarray(frame[..., ::-1])  # the detector reads BGR
        time = self._library.FrameTimecode(self._frames, fps=self._fps)
        self._frames += 1
        return [found.frame_num for found in self._detector.process_frame(time, picture)]


def _scenedetect() -> Any:
    try:
        import scenedetect
    except ImportError as error:
        raise ImportError('Finding cuts needs PySceneDetect: pip install "shotstream[evaluate]"') from error
    return scenedetect
