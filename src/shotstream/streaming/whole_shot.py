"""The bidirectional next-shot generator, the students' teacher, told through the same session (paper 3.2).

It makes a shot in one piece: for its session a shot is a single chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor

from shotstream.diffusion.samplers import guided, sample_ode
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.rollout import ShotRollout, StepObserver, never


class WholeShotPipeline(ShotStreamPipeline):
    """Tells stories as the teacher does: slowly, and nothing of a shot is seen before all of it is made.

    >>> transformer = CausalWanTransformer3DModel.from_pretrained(folder, chunk_frames=9, window_chunks=1)
    >>> teacher = WholeShotPipeline(**{**student.components, "transformer": transformer}, **sizes)

    The transformer's `chunk_frames` are the latent frames of a shot. All else is as in `ShotStreamPipeline`.
    """

    steps: int = 50
    """Steps of its ODE (paper: 50)."""
    guidance: float = 3.0
    """Classifier-free guidance, ``uncond + guidance (cond - uncond)``."""
    negative_prompt: str = ""
    """What guidance leads away from."""

    def new_rollout(
        self,
        cache: DualCache,
        captions: Captions,
        shot_index: int,
        rewind_chunks: int = 0,
        is_stopped: Callable[[], bool] = never,
    ) -> ShotRollout:
        """Make what rolls out one shot; it is one chunk, so there is nothing to go back to."""
        nothing = self.transformer.encode_captions(self.embed(self.negative_prompt))
        return WholeShotRollout(self, cache, captions, shot_index, nothing)


class WholeShotRollout(ShotRollout):
    """Makes a shot by the teacher's ODE with guidance, in the phases of `ShotRollout`.

    Args:
        pipeline: The teacher.
        cache: Not used: nothing of a bidirectional pass can be kept.
        captions: The shot's caption, encoded.
        shot_index: The shot's number in the rotary phase shift.
        nothing: The negative prompt, encoded.
    """

    def __init__(
        self,
        pipeline: WholeShotPipeline,
        cache: DualCache,
        captions: Captions,
        shot_index: int,
        nothing: Captions,
    ) -> None:
        super().__init__(pipeline.transformer, pipeline.scheduler, cache, captions, shot_index)
        self._steps, self._guidance, self._nothing = pipeline.steps, pipeline.guidance, nothing
        self._context: Tensor | None = None
        self._every, self._captions_of, self._shots = captions, torch.zeros(0), torch.zeros(0)

    def fill_context(
        self,
        latents: Tensor,
        captions: Tensor | Captions,
        caption_index: Tensor | None,
        shot_index: Tensor | int,
    ) -> None:
        """Take what is remembered; see `ShotRollout.fill_context`."""
        assert isinstance(captions, Captions)
        assert isinstance(self.captions, Captions)
        frames, device = latents.shape[1], latents.device
        self._context = latents
        self._every = Captions.join([captions, self.captions])
        if caption_index is None:
            caption_index = torch.zeros(frames, dtype=torch.long, device=device)
        self._captions_of = caption_index
        self._shots = torch.as_tensor(shot_index, device=device).expand(frames)

    @torch.no_grad()
    def denoise(
        self,
        noise_at: Callable[[int], Tensor],
        steps: int | None = None,
        on_step: StepObserver | None = None,
    ) -> Tensor:
        """Make the shot from noise; `steps` of the ODE instead of the pipeline's."""
        assert self._context is not None, "fill_context comes first"
        self.commit()
        noise, context = noise_at(0), self._context
        own = torch.full((noise.shape[1],), self._every.count - 1, device=noise.device)
        caption_index = torch.cat([self._captions_of, own])
        shot_index = torch.cat([self._shots, torch.full_like(own, int(self.shot_index))])

        numbers = count()

        def flow(x: Tensor, timestep: Tensor) -> Tensor:
            def under(captions: Captions, index: Tensor | None) -> Any:
                frames = torch.cat([context, x], dim=1).to(self._dtype)
                output = self.transformer(
                    frames, timestep, captions, shot_index=shot_index, caption_index=index, return_dict=False
                )
                return output[0][:, context.shape[1] :].to(x.dtype)

            made = guided(under(self._every, caption_index), under(self._nothing, None), self._guidance)
            if on_step is None:
                return made
            changed = on_step(next(numbers), timestep, self.schedule.to_x0(x, made, timestep))
            return made if changed is None else self.schedule.to_flow(x, changed, timestep)

        return sample_ode(flow, noise, self.schedule, steps or self._steps)[0]

    def commit(self) -> None:
        """Refuse to go on after the one chunk.

        Raises:
            ValueError: If it is made.
        """
        if self._newest is not None:
            raise ValueError(
                "this model makes a shot in one piece, so a shot cannot be made longer; cut instead"
            )
