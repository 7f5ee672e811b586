"""Context frames: which frames of a story are kept, and which of them the next shot is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from shotstream.media.pictures import prepare_image
from shotstream.streaming.memory_rules import RememberedShot, StoryRule

Selection = Callable[[Sequence[int], int], list[tuple[int, int]]]
"""A rule ``(frames of each earlier shot, budget) -> [(shot, frame in the shot), ...]``, in story order."""


def select_frames(shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """The rule of the released weights (ShotStream, section 3.2, "context frames").

    Every one of the n earlier shots gives ``budget // n`` frames and the last ``budget % n`` shots one more,
    spread evenly from a shot's first frame to its last; a single frame is the first. With more shots than
    `budget`, the oldest give none.

    Args:
        shot_frames: Number of frames of each earlier shot.
        budget: Number of frames to choose.

    Returns:
        Pairs (shot, frame in the shot), in story order.
    """
    shots = len(shot_frames)
    chosen, first = [], 0  # `first` is the shot's first frame in the story: halves are rounded there
    for shot, frames in enumerate(shot_frames):
        count = budget // shots + (shot >= shots - budget % shots)
        if count:
            spread = torch.linspace(first, first + frames - 1, count).round().long().tolist()
            chosen += [(shot, frame - first) for frame in spread]
        first += frames
    return chosen


REACH_SHOTS = 24
"""A rule by words remembers shots that are so many older than those which can be taken anew, and no older."""


class FrameKey(NamedTuple):
    """Which frame of which take; all count from 0."""

    shot: int
    take: int
    frame: int
    """Its number in the shot; negative for a picture that the user brought."""


@dataclass(eq=False)
class ContextFrame:
    """A picture that a later shot may be made from."""

    pixels: np.ndarray
    """uint8 ``[H, W, 3]``."""
    shot: int
    """Its shot, from 0."""
    take: int
    """Its take of that shot, from 0; 0 for a picture that the user brought."""
    frame: int
    """Its number in the shot; negative for a picture that the user brought."""
    prompt: str | None
    """The prompt that its shot had at this frame; None takes the prompt of the shot that it serves."""
    latent: Tensor | None = None
    """The picture as a still, ``[C, h, w]``, once it has been encoded."""

    @property
    def key(self) -> tuple[int, int]:
        """(shot, frame): its place in the story."""
        return self.shot, self.frame

    @property
    def take_key(self) -> FrameKey:
        """Its place, with the take."""
        return FrameKey(self.shot, self.take, self.frame)

    @property
    def is_reference(self) -> bool:
        """Whether the user brought it."""
        return self.frame < 0

    def __deepcopy__(self, _: object) -> Self:
        return self  # nobody writes to a picture


@dataclass(frozen=True)
class MadeFrom:
    """What a take was made from."""

    context: tuple[FrameKey, ...]
    """Its context frames, in story order."""
    pins: tuple[FrameKey, ...]
    """Those of all frames that were pinned then, references left out."""
    references: tuple[ContextFrame, ...]
    """The user's pictures that were pinned then, in the order of their numbers (-1, -2, ...)."""
    places: tuple[tuple[int, int], ...] = ()
    """(shot, place) of those among it and what it remembers whose place then was not their number."""

    def place(self, shot: int) -> int:
        """The place of one of these shots in the story, from 0: its index in captions and rotary shift."""
        return dict(self.places).get(shot, shot)

    def index(self, frame: ContextFrame) -> int:
        """The index of one of these frames in captions and rotary shift; references have 0."""
        return 0 if frame.is_reference else self.place(frame.shot)


class ContextFrames:
    """The frames that a story keeps: every frame that selection can still ask for, and the pinned ones.

    Selection runs when a shot is opened, and again when one of the last `history_shots` is taken anew. A
    frame is kept if selection could ask for it then, for any number of future shots and pins; all others are
    dropped. So the number of frames is bounded, however long the story is.

    Args:
        budget: Most frames that a shot is made from.
        history_shots: How many of the newest shots can be taken anew.
        select: The rule that spends the budget left by the pins.
        rule: Another one, by words, where the words of the shot are known; None leaves all to `select`.
    """

    def __init__(
        self,
        budget: int,
        history_shots: int = 16,
        select: Selection = select_frames,
        rule: StoryRule | None = None,
    ) -> None:
        self.budget = budget
        self.rule = rule
        self.prompts: list[str] = []
        """What every shot so far was told, redirections included."""
        self.history_shots = history_shots
        self.select = select
        self.shot_frames: list[int] = []
        """Number of frames of every shot so far."""
        self.order: list[int] = []
        """The shots so far as the film has them; see `move`."""
        self.left_out: set[int] = set()
        """Shots that the rule passes over; see `leave_out`."""
        self.oldest_retake = 0
        """The first place whose context is still at hand."""
        self.frames: list[ContextFrame] = []
        """What selection can still ask for, in story order."""
        self.pins: list[ContextFrame] = []
        """What every later shot is made from, in story order; references come first."""
        self.given: dict[int, list[ContextFrame]] = {}
        """Frames that a shot is made from instead of pins and rule, by its number; see `choose`."""
        self.given_places: dict[int, int] = {}
        """Places that shots are said to have instead of those that they have, by number; see `places`."""

    def remember(
        self,
        shot: int,
        take: int,
        prompts: Sequence[str],
        picture: Callable[[int], np.ndarray],
        made: Mapping[int, ContextFrame] = MappingProxyType({}),
    ) -> None:
        """Take in a shot: the next one, or a new take of an earlier one.

        Args:
            shot: Its number, at most the number of shots so far.
            take: Which take of it this is.
            prompts: The prompt of every frame.
            picture: Gives a frame by its number, uint8 ``[H, W, 3]``; asked for those that are kept.
            made: Frames of this take that are context frames already, by number; see `foresee`.
        """
        assert shot <= len(self.shot_frames)
        self.left_out.discard(shot)
        if shot == len(self.shot_frames):
            self.order.append(shot)
        self.shot_frames[shot : shot + 1] = [len(prompts)]
        self.prompts[shot : shot + 1] = [" ".join(dict.fromkeys(prompts))]
        asked = self._may_be_asked_for()
        others = [frame for frame in self.frames if frame.shot != shot and frame.key in asked]
        own = [
            made.get(frame) or ContextFrame(picture(frame).copy(), shot, take, frame, prompts[frame])
            for frame in sorted(frame for number, frame in asked if number == shot)
        ]
        self.frames = sorted(others + own, key=_story_order)

    def choose(self, shot: int, prompt: str | None = None) -> list[ContextFrame]:
        """The frames that `shot` is made from, in story order: pins first, then the rule, `budget` in all.

        Args:
            shot: Its number.
            prompt: What it is told; None where that is not known, which leaves all to `select`.
        """
        return self.given[shot] if shot in self.given else self._choose(shot, self._nearest, prompt)

    def why(self, shot: int, prompt: str | None) -> dict[int, str]:
        """Why the rule remembers earlier shots for `shot`: number of such a shot -> a phrase."""
        if self.rule is None or prompt is None:
            return {}
        return {number: why for number, (_, why) in self._by_words(self.rule, shot, prompt, self.budget)}

    def made_from(self, shot: int, prompt: str | None = None) -> MadeFrom:
        """What a take of `shot` that is opened now is made from; see `choose`."""
        pins = sorted(self.pins, key=lambda pin: (-pin.frame if pin.is_reference else 0, pin.key))
        chosen = self.choose(shot, prompt)
        return MadeFrom(
            tuple(frame.take_key for frame in chosen),
            tuple(pin.take_key for pin in pins if not pin.is_reference),
            tuple(pin for pin in pins if pin.is_reference),
            self.places(shot, chosen),
        )

    def places(self, shot: int, remembered: Sequence[ContextFrame]) -> tuple[tuple[int, int], ...]:
        """Places of `shot` and of what it remembers, where they are not their numbers; see `MadeFrom`."""
        shots = {shot, *(frame.shot for frame in remembered if not frame.is_reference)}
        places = ((number, self.given_places.get(number, self.place(number))) for number in sorted(shots))
        return tuple((number, place) for number, place in places if number != place)

    def foresee(
        self, shot: int, frames: int, picture: Callable[[int], ContextFrame | None]
    ) -> list[ContextFrame]:
        """What the next shot of the story will be made from, as far as it is made: see `choose`.

        Args:
            shot: Number of the running shot.
            frames: How many frames it will have.
            picture: Gives a frame of it by its number; None if that is not made yet.
        """
        planned = self._planned(shot, frames)
        return planned._choose(
            len(planned.shot_frames),
            lambda number, frame: picture(frame) if number == shot else self._nearest(number, frame),
        )

    def asked_of(self, shot: int, frames: int) -> set[int]:
        """The frames of a shot that selection can ask for from now on if it has so many in all."""
        planned = self._planned(shot, frames)
        return {frame for number, frame in planned._may_be_asked_for() if number == shot}

    def _planned(self, shot: int, frames: int) -> ContextFrames:
        """The frames of the story as if `shot` had so many in all."""
        planned = self.copy()
        planned.left_out.discard(shot)
        if shot == len(planned.shot_frames):
            planned.order.append(shot)
        planned.shot_frames[shot : shot + 1] = [frames]
        return planned

    def place_in_film(self, shot: int) -> int:
        """How many shots of the film come before this one, without those that are left out."""
        place = self.place(shot)
        return place - sum(number in self.left_out for number in self.order[:place])

    def place(self, shot: int) -> int:
        """How many shots come before this one; its number, unless shots were moved."""
        return self.order.index(shot) if shot < len(self.order) else shot

    def earlier(self, shot: int) -> list[int]:
        """The shots that `shot` may remember: those before it, without those that are left out."""
        return [number for number in self.order[: self.place(shot)] if number not in self.left_out]

    def move(self, shot: int, place: int) -> None:
        """Let a shot have another place; the last one if that is beyond it.

        What is made from now on remembers the shots in their new places.

        Raises:
            ValueError: If there is no such shot, or what shots there are made from is no longer kept.
        """
        self.check_kept(shot, len(self.order))
        self.check_kept(self.order[min(place, len(self.order) - 1)], len(self.order))
        self.order.remove(shot)
        self.order.insert(place, shot)

    def leave_out(self, shot: int) -> None:
        """Let later shots be made as if this one were not there, but for its pins; `remember` ends it.

        Of the shots that get its share of the budget, the nearest of the frames that are kept stand in.
        """
        self.left_out.add(shot)

    def check_kept(self, shot: int, shots: int) -> None:
        """Complain if `shot` cannot be taken anew or branched from; `shots` is how many the story has.

        Raises:
            ValueError: If there is no such shot, or its context is no longer kept.
        """
        if not 0 <= shot < shots:
            raise ValueError(f"there is no shot {shot}; the story has {shots}, numbered from 0")
        if self.place(shot) < self.oldest_retake:
            kept = self.order[self.oldest_retake :] or [self.oldest_retake]
            raise ValueError(
                f"shot {shot} is too far back: only shots from {kept[0]} on are kept "
                f"for retakes and branches (history_shots={self.history_shots})"
            )

    def pin(self, frame: ContextFrame) -> None:
        """Let every later shot see `frame`, at the cost of one that the rule would choose.

        Raises:
            ValueError: If the whole budget is pinned already.
        """
        self.unpin(frame.key)
        if len(self.pins) == self.budget:
            raise ValueError(f"all {self.budget} remembered frames are pinned already; unpin one first")
        self.pins = sorted([*self.pins, frame], key=_story_order)

    def add_reference(self, pixels: np.ndarray, prompt: str | None) -> ContextFrame:
        """Pin a picture that the user brings, as if the story had opened with it.

        Raises:
            ValueError: If the whole budget is pinned already.
        """
        number = min([0, *(pin.frame for pin in self.pins)]) - 1
        reference = ContextFrame(pixels, 0, 0, number, prompt)
        self.pin(reference)
        return reference

    def unpin(self, key: tuple[int, int]) -> None:
        """Leave the pinned frame `key` to the rule again; nothing happens if it is not pinned."""
        self.pins = [pin for pin in self.pins if pin.key != key]

    def find(self, shot: int, frame: int) -> ContextFrame:
        """The remembered or pinned frame of this number.

        Raises:
            ValueError: If it is not remembered.
        """
        for candidate in (*self.pins, *self.frames):
            if candidate.key == (shot, frame):
                return candidate
        known = ", ".join(str(candidate.frame) for candidate in self.frames if candidate.shot == shot)
        raise ValueError(
            f"frame {frame} of shot {shot} is not remembered; "
            + (f"of that shot these are: {known}" if known else "nothing of that shot is")
        )

    def copy(self) -> ContextFrames:
        """Return a copy that changes independently; the pictures are shared."""
        twin = copy(self)
        twin.shot_frames, twin.left_out = list(self.shot_frames), set(self.left_out)
        twin.prompts, twin.order = list(self.prompts), list(self.order)
        twin.given_places = dict(self.given_places)
        twin.frames, twin.pins, twin.given = list(self.frames), list(self.pins), dict(self.given)
        return twin

    def shared_with(self, shot: int) -> int:
        """How many numbers a story has that shares this one up to and including a shot."""
        return max([shot, *self.order[: self.place(shot)]]) + 1

    def branch(self, shot: int, shots: int) -> ContextFrames:
        """Return the frames of a story that ended after a shot: those that came after it are left out.

        Args:
            shot: Its number.
            shots: How many numbers it has, those of `shared_with` at least.
        """
        last = self.place(shot)
        branch = self.first(shots)
        after = {number for number in branch.order if self.place(number) > last}
        branch.left_out |= after
        branch.pins = [pin for pin in branch.pins if pin.is_reference or pin.shot not in after]
        return branch

    def first(self, shots: int) -> ContextFrames:
        """Return the frames of a story that has the first `shots` numbers alone."""
        first = self.copy()
        first.shot_frames, first.prompts = self.shot_frames[:shots], self.prompts[:shots]
        first.order = [shot for shot in self.order if shot < shots]
        first.left_out = {shot for shot in self.left_out if shot < shots}
        first.frames = [frame for frame in self.frames if frame.shot < shots]
        first.pins = [pin for pin in self.pins if pin.is_reference or pin.shot < shots]
        return first

    def _may_be_asked_for(self) -> set[tuple[int, int]]:
        """Every frame that selection can ask for from now on, by trying all futures that matter."""
        shots = len(self.shot_frames)
        self.oldest_retake = max(self.oldest_retake, shots - self.history_shots)
        frames = [self.shot_frames[shot] for shot in self.order] + [1] * self.budget
        future = [*self.order, *range(shots, shots + self.budget)]
        by_words = {
            (shot, frame)
            for shot in self._within_reach(shots)
            if self.rule
            for count in range(1, self.budget + 1)
            for _, frame in select_frames([self.shot_frames[shot]], count)
        }
        return by_words | {
            key
            for told in range(max(1, self.oldest_retake), shots + self.budget + 1)
            for budget in range(1, self.budget + 1)
            for key in self._select(future[:told], frames, budget)
        }

    def _within_reach(self, shot: int) -> list[int]:
        """The shots before `shot` that a rule by words may remember."""
        place = self.place(shot)
        oldest = max(0, min(self.oldest_retake, place) - REACH_SHOTS)
        return [number for number in self.order[oldest:place] if number not in self.left_out]

    def _by_words(
        self, rule: StoryRule, shot: int, prompt: str, budget: int
    ) -> list[tuple[int, RememberedShot]]:
        """Ask the rule: (number, frames and why) of every earlier shot within reach."""
        shots = self._within_reach(shot)
        shares = rule(prompt, [self.prompts[number] for number in shots], budget)
        return list(zip(shots, shares, strict=True))

    def _select(self, shots: Sequence[int], frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
        """Ask the rule about shots in their order, as if those that are left out were not there.

        Args:
            shots: Their numbers.
            frames: How many frames each has; further ones do not count.
            budget: Number of frames to choose.
        """
        kept = [
            (shot, count) for shot, count in zip(shots, frames, strict=False) if shot not in self.left_out
        ]
        chosen = self.select([count for _, count in kept], budget)
        return [(kept[place][0], frame) for place, frame in chosen]

    def _choose(
        self,
        shot: int,
        frame_of: Callable[[int, int], ContextFrame | None],
        prompt: str | None = None,
    ) -> list[ContextFrame]:
        """Choose for `shot` among the pins and what `frame_of` gives for (shot, frame)."""
        place = self.place(shot)
        pins = {pin.key: pin for pin in self.pins if pin.is_reference or self.place(pin.shot) < place}
        budget = self.budget - len(pins)
        if self.rule is None or prompt is None:
            earlier = self.order[:place]
            chosen = self._select(earlier, [self.shot_frames[number] for number in earlier], budget)
        else:
            chosen = [
                (number, frame)
                for number, (count, _) in self._by_words(self.rule, shot, prompt, budget)
                for _, frame in (select_frames([self.shot_frames[number]], count) if count else ())
            ]
        ruled = [frame for key in chosen if (frame := pins.get(key) or frame_of(*key))]
        others = [pin for key, pin in pins.items() if key not in chosen]
        return self.in_order(ruled + others)

    def in_order(self, frames: Iterable[ContextFrame]) -> list[ContextFrame]:
        """Frames in the order of the story, references first."""

        def place(frame: ContextFrame) -> tuple[int, int]:
            shot = frame.shot
            stands = 0 if frame.is_reference else self.given_places.get(shot, self.place(shot))
            return stands, frame.frame

        return sorted(frames, key=place)

    def _nearest(self, shot: int, frame: int) -> ContextFrame | None:
        """The kept frame of `shot` nearest to `frame`: itself, unless halves round anew or a shot is out."""
        kept = (kept for kept in self.frames if kept.shot == shot)
        return min(kept, key=lambda kept: abs(kept.frame - frame), default=None)


def fit_picture(picture: Image.Image | np.ndarray, height: int, width: int) -> np.ndarray:
    """Prepare a user's picture (`prepare_image`), and scale and crop it around its middle.

    Returns:
        The picture, uint8 ``[height, width, 3]``.

    Raises:
        ValueError: If it is an array that is not uint8 ``[H, W, 3]``, or an image without levels of colours.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"a picture of {picture.dtype} {list(picture.shape)} cannot be used; give uint8 [H, W, 3]"
            )
    else:
        picture = prepare_image(picture).pixels
    image = Image.fromarray(picture)
    return np.array(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def _story_order(frame: ContextFrame) -> tuple[int, int]:
    return frame.key
