"""One shot, chunk by chunk: the path that serves users and that self-forcing trains on.

Legend: B batch, F latent frames, C channels, h and w latent height and width, S captions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shotstream.diffusion.samplers import sample_few_step
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.transformer import CausalWanTransformer3DModel

StepObserver = Callable[[int, Tensor, Tensor], Tensor | None]
"""Called after a denoising step with its number, its timestep ``[B]`` and the predicted clean latents.

What it returns, if anything, takes their place. What it raises ends the chunk, which may be asked for again.
"""


class ChunkStopped(Exception):
    """A chunk is no longer wanted, and was left between two passes."""


def never() -> bool:
    """Let every chunk be made."""
    return False


@dataclass(frozen=True)
class RolloutState:
    """A copy of a rollout that later chunks leave untouched."""

    cache: dict[str, Any]
    window: list[Tensor]
    newest: Tensor | None
    window_before: list[Tensor] | None
    oldest_frame: int | None


@dataclass(frozen=True)
class _Made:
    """A chunk, and what a rollout had before the clean pass over it."""

    x0: Tensor
    window: list[Tensor]
    captions: Tensor | Captions
    oldest_frame: int
    """Position in time of the window's oldest chunk, or of this one if the window was empty."""


class ShotRollout:
    """Rolls one shot out through the dual cache (method: "streaming inference of a shot").

    Phases: ``fill_context``, then for each chunk ``denoise`` and ``add``. A chunk that was added needs a
    clean pass before the next one is made. ``denoise`` makes it, ``commit`` makes it earlier. Context and
    clean passes never record a gradient; of the denoising steps only the last one that is executed does, and
    only where the caller has autograd on (self-forcing). ``rewind`` goes back some of the newest chunks.

    Args:
        transformer: The student.
        schedule: Its path between data and noise.
        cache: Storage for its keys and values; whatever shot it holds is forgotten by `fill_context`.
        captions: The shot's caption, S = 1: embeddings ``[B, 1, L, D]`` or what ``encode_captions`` made.
        shot_index: The shot's number in the rotary phase shift; 1 for the first shot of a story.
        rewind_chunks: How many chunks `rewind` can go back; their latents are kept.
        is_stopped: Asked before every pass; if so, the pass raises `ChunkStopped` instead.
    """

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        schedule: FlowSchedule,
        cache: DualCache,
        captions: Tensor | Captions,
        shot_index: Tensor | int,
        rewind_chunks: int = 0,
        is_stopped: Callable[[], bool] = never,
    ) -> None:
        self.transformer = transformer
        self.schedule = schedule
        self.cache = cache
        self.captions = captions
        self.shot_index = shot_index
        self._is_stopped = is_stopped
        self._dtype, self._device = transformer.dtype, cache.device
        self._seen_chunks = cache.window_frames // cache.chunk_frames - 1
        """How many chunks the next one sees at most: it takes a place in the window itself."""
        self.window: list[Tensor] = []
        """Clean latents of the committed chunks that the next chunk sees: what `redirect` passes again."""
        self._newest: Tensor | None = None
        """Clean latents of the newest chunk."""
        self._window_before: list[Tensor] | None = None
        """The window before the newest chunk's clean pass; None while that pass is due."""
        self._made: deque[_Made] = deque(maxlen=rewind_chunks + 1)
        """The newest chunks, as far back as `rewind` can go."""
        self._oldest_frame: int | None = None
        """Position of the window's oldest chunk when the newest chunk was made; None before the first."""
        self._rewound = False
        """Whether the local cache is still that of chunks taken back."""

    @property
    def kept(self) -> list[Tensor]:
        """Clean latents of all chunks that a redirection may need."""
        newest = [] if self._newest is None else [self._newest]
        return [*self.window, *(self._window_before or []), *newest]

    @torch.no_grad()
    def fill_context(
        self,
        latents: Tensor,
        captions: Tensor | Captions,
        caption_index: Tensor | None,
        shot_index: Tensor | int,
    ) -> None:
        """Make the global cache from the remembered frames, in one pass at timestep 0.

        Args:
            latents: Stills ``[B, F, C, h, w]``, F from 0 to the cache's context frames.
            captions: The captions they attend to, embeddings ``[B, S, L, D]`` or encoded.
            caption_index: Which of the S each frame attends to, ``[F]`` or ``[B, F]``; None if S is 1.
            shot_index: Shot of each frame, ``[F]`` or ``[B, F]``, or one for all.
        """
        self.cache.open_shot()
        self.window, self._newest, self._window_before = [], None, None
        self._made.clear()
        self._oldest_frame, self._rewound = None, False
        self.cache.fill_context(latents.shape[1])
        if latents.shape[1]:
            self._flow(latents, latents.new_zeros(latents.shape[0]), captions, shot_index, caption_index)

    def denoise(
        self,
        noise_at: Callable[[int], Tensor],
        steps: int | None = None,
        on_step: StepObserver | None = None,
        again: Tensor | None = None,
    ) -> Tensor:
        """Make the next chunk from noise, after the clean pass that is due.

        Args:
            noise_at: Gives the noise ``[B, F, C, h, w]`` of every step; step 0 starts from it.
            steps: How many of the student's steps to execute; None for all. The last of them records
                gradients if autograd is on.
            on_step: Is shown every step.
            again: Clean latents of that chunk, noised to the last of these steps. That one alone is executed:
                the chunk ends as it would had it come to them.

        Returns:
            The predicted clean latents ``[B, F, C, h, w]``.
        """
        self.commit()
        timesteps = self.schedule.student_steps(self._device)[:steps]
        if again is not None:
            timesteps = timesteps[-1:]
            start = self.schedule.add_noise(again, noise_at(0), timesteps.expand(len(again)))
            noise_at = [start].__getitem__  # of the only step
        records = iter(enumerate([False] * (len(timesteps) - 1) + [torch.is_grad_enabled()]))

        def predict(x: Tensor, timestep: Tensor) -> Tensor:
            self.cache.begin_chunk(x.shape[1])
            number, recorded = next(records)
            with torch.set_grad_enabled(recorded):
                flow = self._flow(x, timestep, self.captions, self.shot_index)
                x0 = self.schedule.to_x0(x, flow, timestep)
            changed = on_step(number, timestep, x0) if on_step else None
            return x0 if changed is None else changed

        return sample_few_step(predict, noise_at, self.schedule, timesteps)

    def skip(self, frames: int) -> None:
        """Make room for the next chunk as `denoise` does, where its latents are known; `add` comes next.

        Positions in time go on alike, so that later passes round alike.
        """
        self.commit()
        self.cache.begin_chunk(frames)

    def add(self, x0: Tensor) -> None:
        """Take in the clean latents ``[B, F, C, h, w]`` of the next chunk, whose clean pass is due now."""
        assert self._newest is None or self._window_before is not None, "the chunk before was not committed"
        self._newest, self._window_before = x0.detach(), None
        self._oldest_frame = self.cache.oldest_frame
        self._made.append(_Made(self._newest, list(self.window), self.captions, self._oldest_frame))

    @torch.no_grad()
    def commit(self) -> None:
        """Make the clean pass that is due, if one is: the newest chunk at timestep 0, into the local cache.

        After `rewind` the chunks in the window are passed again first. A pass that fails stays due.
        """
        if self._rewound:
            self.redirect(self.captions)
        if self._newest is None or self._window_before is not None:
            return
        self.clean_pass(self._newest)
        self._window_before = list(self.window)
        self.window.append(self._newest)
        while len(self.window) > self._seen_chunks:
            self.window.pop(self.cache.sink_chunks)

    @torch.no_grad()
    def redirect(self, captions: Tensor | Captions) -> None:
        """Go on under another caption. Frames that were shown stay as they are.

        The chunks that the next one sees are passed again under it at once. The newest one's pass becomes due
        instead: `commit` or `denoise` makes it.
        """
        if self._window_before is not None:  # the newest chunk was passed under the former caption
            self.window, self._window_before = self._window_before, None
        self.captions = captions
        # not where the cache stands now: a chunk that failed may have made one leave since
        cache, first_frame = self.cache, self._oldest_frame
        if self._newest is not None and first_frame is not None:
            self.window = list(self.window)
            while len(self.window) > max(cache.sink_chunks, self._seen_chunks - 1):
                first_frame += self.window.pop(cache.sink_chunks).shape[1]
            self._oldest_frame = first_frame
        cache.clear_local(first_frame)
        for x0 in self.window:
            self.clean_pass(x0)
        self._rewound = False

    def rewind(self, chunks: int) -> None:
        """Go back to where the shot stood before its newest chunks were made.

        No pass is made before the next chunk is asked for. Then the chunks in the window are passed again, as
        by `redirect`: the sliding window may have taken their slots.

        Args:
            chunks: How many chunks to go back, fewer than were made and at most ``rewind_chunks``.
        """
        assert 0 <= chunks < len(self._made)
        if not chunks:
            return
        for _ in range(chunks):
            self._made.pop()
        newest = self._made[-1]
        self._newest, self._window_before, self.window = newest.x0, None, list(newest.window)
        self.captions, self._oldest_frame, self._rewound = newest.captions, newest.oldest_frame, True

    def state(self) -> RolloutState:
        """Copy the state; tensors that nobody writes to are shared."""
        if self._rewound:
            self.redirect(self.captions)
        window, cache = list(self.window), self.cache.state_dict()
        return RolloutState(cache, window, self._newest, self._window_before, self._oldest_frame)

    def restore(self, state: RolloutState) -> None:
        """Go on exactly from `state`; `rewind` cannot go back behind it."""
        self._made.clear()
        self._oldest_frame, self._rewound = state.oldest_frame, False
        self.cache.load_state_dict(state.cache)
        self.window, self._newest = list(state.window), state.newest
        self._window_before = None if state.window_before is None else list(state.window_before)

    @property
    def latents_in_view(self) -> list[Tensor]:
        """Clean latents of the chunks that the next chunk would see, and of the newest, in order."""
        if self._newest is None:
            return []
        return [*(self.window if self._window_before is None else self._window_before), self._newest]

    def repeat_clean_passes(self, chunks: list[Tensor]) -> None:
        """Let the local cache hold these chunks alone."""
        self.cache.clear_local(self._oldest_frame)
        for x0 in chunks:
            self.clean_pass(x0)

    def clean_pass(self, x0: Tensor, *, keep: bool = True) -> None:
        """Make the clean pass of a chunk, and keep it in the local cache unless it is only looked at."""
        self.cache.begin_chunk(x0.shape[1])
        self._flow(x0, x0.new_zeros(x0.shape[0]), self.captions, self.shot_index)
        if keep:
            self.cache.commit()

    def _flow(
        self,
        latents: Tensor,
        timestep: Tensor,
        captions: Tensor | Captions,
        shot_index: Tensor | int,
        caption_index: Tensor | None = None,
    ) -> Tensor:
        """One pass through the transformer, in its own precision."""
        if self._is_stopped():
            raise ChunkStopped
        output = self.transformer(
            latents.to(self._dtype),
            timestep,
            captions,
            shot_index=shot_index,
            caption_index=caption_index,
            cache=self.cache,
            return_dict=False,
        )
        return output[0].to(latents.dtype)
