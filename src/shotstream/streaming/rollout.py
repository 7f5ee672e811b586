"""One shot, chunk by chunk: the path that serves users and that self-forcing trains on.

Legend: B batch, F latent frames, C channels, h and w latent height and width, S captions.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class RolloutState:
    """A copy of a rollout that later chunks leave untouched."""

    cache: dict[str, Any]
    window: list[Tensor]
    newest: Tensor | None
    window_before: list[Tensor] | None


class ShotRollout:
    """Rolls one shot out through the dual cache (method: "streaming inference of a shot").

    Phases: ``fill_context``, then for each chunk ``denoise`` and ``add``. A chunk that was added needs a
    clean pass before the next one is made. ``denoise`` makes it, ``commit`` makes it earlier. Context and
    clean passes never record a gradient; of the denoising steps only the last one that is executed does, and
    only where the caller has autograd on (self-forcing).

    Args:
        transformer: The student.
        schedule: Its path between data and noise.
        cache: Storage for its keys and values; whatever shot it holds is forgotten by `fill_context`.
        captions: The shot's caption, S = 1: embeddings ``[B, 1, L, D]`` or what ``encode_captions`` made.
        shot_index: The shot's number in the rotary phase shift; 1 for the first shot of a story.
    """

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        schedule: FlowSchedule,
        cache: DualCache,
        captions: Tensor | Captions,
        shot_index: Tensor | int,
    ) -> None:
        self.transformer = transformer
        self.schedule = schedule
        self.cache = cache
        self.captions = captions
        self.shot_index = shot_index
        self._dtype = transformer.dtype
        self.window: list[Tensor] = []
        """Clean latents of the committed chunks that the next chunk sees: what `redirect` passes again."""
        self._newest: Tensor | None = None
        """Clean latents of the newest chunk."""
        self._window_before: list[Tensor] | None = None
        """The window before the newest chunk's clean pass; None while that pass is due."""

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
        self.cache.fill_context(latents.shape[1])
        if latents.shape[1]:
            self._flow(latents, latents.new_zeros(latents.shape[0]), captions, shot_index, caption_index)

    def denoise(
        self,
        noise_at: Callable[[int], Tensor],
        steps: int | None = None,
        on_step: StepObserver | None = None,
    ) -> Tensor:
        """Make the next chunk from noise, after the clean pass that is due.

        Args:
            noise_at: Gives the noise ``[B, F, C, h, w]`` of every step; step 0 starts from it.
            steps: How many of the student's steps to execute; None for all. The last of them records
                gradients if autograd is on.
            on_step: Is shown every step.

        Returns:
            The predicted clean latents ``[B, F, C, h, w]``.
        """
        self.commit()
        place = self.transformer.device
        if place.type == "meta":  # offloaded layer by layer; the sampler takes them to the noise
            place = torch.device("cpu")
        timesteps = self.schedule.student_steps(place)[:steps]
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

    @torch.no_grad()
    def commit(self) -> None:
        """Make the clean pass that is due, if one is: the newest chunk at timestep 0, into the local cache.

        A pass that fails stays due.
        """
        if self._newest is None or self._window_before is not None:
            return
        self._clean_pass(self._newest)
        self._window_before = list(self.window)
        self.window.append(self._newest)
        seen = self.cache.window_frames // self.cache.chunk_frames - 1  # the next chunk takes a place itself
        while len(self.window) > seen:
            self.window.pop(self.cache.sink_chunks)

    @torch.no_grad()
    def redirect(self, captions: Tensor | Captions) -> None:
        """Go on under another caption: the chunks in the window are passed again under it.

        So will the newest chunk be, whose frames have been shown and stay as they are.
        """
        if self._window_before is not None:  # the newest chunk was passed under the former caption
            self.window, self._window_before = self._window_before, None
        self.captions = captions
        self.cache.clear_local()
        for x0 in self.window:
            self._clean_pass(x0)

    def state(self) -> RolloutState:
        """Copy the state; tensors that nobody writes to are shared."""
        return RolloutState(self.cache.state_dict(), list(self.window), self._newest, self._window_before)

    def restore(self, state: RolloutState) -> None:
        """Go on exactly from `state`."""
        self.cache.load_state_dict(state.cache)
        self.window, self._newest = list(state.window), state.newest
        self._window_before = None if state.window_before is None else list(state.window_before)

    def _clean_pass(self, x0: Tensor) -> None:
        self.cache.begin_chunk(x0.shape[1])
        self._flow(x0, x0.new_zeros(x0.shape[0]), self.captions, self.shot_index)
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
