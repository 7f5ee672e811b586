"""A transformer, its captions and its schedule, asked for the flow of a batch of shots, or for the shots.

Legend: B batch, K context frames, F latent frames of the shot, S captions, L caption length in tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.next_shot import BatchChoice, NextShot, NextShots
from shotstream.diffusion.samplers import guided, sample_ode
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.captions import Captions
from shotstream.models.text import CaptionEncoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming.rollout import ShotRollout
from shotstream.training.progress_pictures import picture_grid
from shotstream.training.settings import DroppedText
from shotstream.training.stage import step_generator


class Denoiser:
    """A transformer with its captions and schedule, asked for the flow of a `NextShot`.

    The teacher uses it bidirectionally, the student's stages block-causally.
    """

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        text: CaptionEncoder,
        schedule: FlowSchedule,
        negative_prompt: str = "",
    ):
        self.transformer, self.text, self.schedule = transformer, text, schedule
        self.negative_prompt = negative_prompt
        self._texts: dict[str, Tensor] = {}

    def captions(self, ids: Tensor, mask: Tensor) -> Captions:
        """Encode tokens [B, S, L], or embeddings of captions [B, S, L, D]."""
        return self.transformer.encode_captions(self._embed(ids, mask))

    def captions_or_none(self, shot: NextShot, dropped: Tensor, replacement: DroppedText) -> Captions:
        """Encode the captions of shots, those of some samples left out.

        Args:
            shot: Gives the captions.
            dropped: Of which samples they are left out, bool [B].
            replacement: What the transformer reads in their place.
        """
        dropped = dropped.to(shot.mask.device)[:, None, None]
        if replacement == "zeros":
            embedded = self._embed(shot.ids, shot.mask)
            return self.transformer.encode_captions(embedded.masked_fill(dropped[..., None], 0))
        empty_ids, empty_mask = self.no_text(shot.ids)
        ids = torch.where(dropped if shot.ids.ndim == 3 else dropped[..., None], empty_ids, shot.ids)
        return self.captions(ids, torch.where(dropped, empty_mask, shot.mask))

    def _embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [B, S, L, D] of tokens or of embeddings, zero where the mask is."""
        if ids.is_floating_point():
            return ids * mask[..., None]
        return self.text.embed(ids.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, ids.shape[:2])

    def no_text(self, like: Tensor, text: str = "") -> tuple[Tensor, Tensor]:
        """Tokens and mask of empty captions, or of a text, in place of others [B, S, at least L].

        In place of embeddings [B, S, L, D] they are embeddings.
        """
        ids, mask = self.text.tokenize([text])
        if like.is_floating_point():
            return self._embedded(text, ids, mask, like)
        missing = max(0, like.shape[-1] - ids.shape[-1])
        ids, mask = (functional.pad(part[0], (0, missing)) for part in (ids, mask))
        return ids.expand(*like.shape[:2], -1).to(like), mask.expand(*like.shape[:2], -1).to(like)

    @torch.no_grad()
    def _embedded(self, text: str, ids: Tensor, mask: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of a text [B, S, at least L, D] and their mask; the text is encoded once."""
        if text not in self._texts:
            self._texts[text] = self.text.embed(ids, mask)[0].to(like)  # [L, D]
        embedding, missing = self._texts[text], max(0, like.shape[2] - ids.shape[-1])
        embedding = functional.pad(embedding, (0, 0, 0, missing))
        kept = functional.pad(mask[0], (0, missing)).to(like.device)
        return embedding.expand(*like.shape[:2], -1, -1), kept.expand(*like.shape[:2], -1)

    def flow(
        self, noisy: Tensor, timestep: Tensor, shot: NextShot, captions: Captions, *, causal: bool = False
    ) -> Tensor:
        """Predict the flow of a shot's noisy latents [B, F, C, h, w], given its context.

        Args:
            noisy: The shot's latents.
            timestep: [B] for all frames, or [B, K + F] for context and shot together.
            shot: Gives context and indices.
            captions: From `captions`.
            causal: Whether chunks see only what comes before them.
        """
        output = self.transformer(
            torch.cat([shot.context, noisy], dim=1),
            timestep,
            captions,
            shot_index=shot.shot_index,
            caption_index=shot.caption_index,
            context_frames=shot.context_frames if causal else None,
        )
        return output.sample[:, shot.context_frames :]

    def flows(self, shot: NextShot) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the flows with the caption and without, as a function of noisy latents and timestep."""
        captions = self.captions(shot.ids, shot.mask)
        nothing = self.captions(*self.no_text(shot.ids, self.negative_prompt))

        def both(x: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
            return self.flow(x, timestep, shot, captions), self.flow(x, timestep, shot, nothing)

        return both

    @torch.no_grad()
    def sample(
        self, shot: NextShot, noise: Tensor, steps: int, guidance: float, keep: tuple[int, ...] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Make shots by the ODE with guidance; return them and the states before the steps in `keep`."""
        flows = self.flows(shot)
        return sample_ode(lambda x, t: guided(*flows(x, t), guidance), noise, self.schedule, steps, keep)

    def roll_out(
        self,
        shot: NextShot,
        generator: torch.Generator,
        steps: int | None = None,
        batch_slice: BatchSlice = WHOLE_BATCH,
        again: bool = False,
    ) -> Tensor:
        """Tell shots chunk by chunk through the cache, as users are served.

        Args:
            shot: Gives context, captions, indices and shape.
            generator: Of the noise, on the CPU.
            steps: How many of the student's steps to execute for every chunk; None for all. Gradients, if
                autograd is on, flow through the last of them only (self-forcing).
            batch_slice: Which part of a batch the shots are.
            again: Whether every chunk starts from the true latents, noised to the student's last step,
                instead of from noise: it then shows what they show, as the student would have made it.

        Returns:
            Clean latents [B, F, C, h, w].

        Raises:
            ValueError: If activations are checkpointed and the shot is longer than the window: passes that
                are repeated in the backward would read what later chunks have written over. Up to the window
                every chunk keeps its place, and repeating is exact.
        """
        repeats = self.transformer.gradient_checkpointing and torch.is_grad_enabled()
        rollout = self._begin(shot)
        cache = rollout.cache
        if repeats and shot.target.shape[1] > cache.window_frames:
            raise ValueError(
                f"A rollout of {shot.target.shape[1]} latent frames slides through a window of "
                f"{cache.window_frames}, so its passes cannot be repeated for the gradient; set "
                "loop.checkpoint_activations=false or roll out shorter shots."
            )
        made: list[Tensor] = []
        for chunk in shot.target.split(cache.chunk_frames, dim=1):

            def noise_at(_: int, like: Tensor = chunk) -> Tensor:
                return batch_slice.randn(like.shape, generator, like.device)

            made.append(rollout.denoise(noise_at, steps, again=chunk if again else None))
            rollout.add(made[-1])
        return torch.cat(made, dim=1)

    def remake(
        self,
        shot: NextShot,
        told: Tensor,
        chunk: Tensor,
        generator: torch.Generator,
        batch_slice: BatchSlice = WHOLE_BATCH,
    ) -> Tensor:
        """Make one chunk again: noised to the student's last step, which ends it.

        Args:
            shot: Gives context, captions and indices.
            told: Clean latents [B, n, C, h, w] of the chunks before it; n may be 0.
            chunk: Its own.
            generator: Of the noise, on the CPU.
            batch_slice: Which part of a batch the shots are.

        Returns:
            Clean latents of the chunk's shape. Gradients, if autograd is on, flow through the last step.
        """
        rollout = self._begin(shot)
        length = rollout.cache.chunk_frames
        for before in told.split(length, dim=1) if told.shape[1] else ():
            rollout.skip(length)
            rollout.add(before)
        noise = batch_slice.randn(chunk.shape, generator, chunk.device)
        return rollout.denoise(lambda _: noise, again=chunk)

    def _begin(self, shot: NextShot) -> ShotRollout:
        """Begin to tell shots: a cache that holds their context."""
        batch, _, _, height, width = shot.target.shape
        _, rows, columns = self.transformer.config["patch_size"]
        tokens = (height // rows) * (width // columns)
        cache = self.transformer.new_cache(batch=batch, tokens_per_frame=tokens)
        own = self.captions(shot.ids[:, -1:], shot.mask[:, -1:])
        rollout = ShotRollout(self.transformer, self.schedule, cache, own, shot.shot_index[:, -1:])
        remembered = shot.context_frames
        with torch.no_grad():
            every = self.captions(shot.ids, shot.mask)
        rollout.fill_context(
            shot.context, every, shot.caption_index[:, :remembered], shot.shot_index[:, :remembered]
        )
        return rollout


def sample_sheet(
    data: NextShots,
    autoencoder: VideoAutoencoder,
    make: Callable[[NextShot, int], Tensor],
    device: torch.device,
) -> np.ndarray:
    """Lay out first, middle and last frame of held-out shots: the true ones, then those that `make` gives.

    They are the first shots of some stories, then the last ones.
    """
    rows = []
    stories = list(range(min(len(data.records), 4)))
    several = [story for story in stories if data.shots_of(story) > 1]
    choices = [BatchChoice(stories, [0] * len(stories), remembered=False)]
    if several:
        choices.append(BatchChoice(several, [data.shots_of(story) - 1 for story in several]))
    for number, choice in enumerate(choices):
        shot = data.make(choice).to(device)
        for pair in zip(shot.target, make(shot, number), strict=True):
            true, own = autoencoder.open_decoder().decode(torch.stack(pair))
            picked = [0, len(true) // 2, len(true) - 1]
            rows.append([*true[picked], *own[picked]])
    return picture_grid(rows)


def rollout_sheet(student: Denoiser, data: NextShots, autoencoder: VideoAutoencoder) -> np.ndarray:
    """Lay out held-out shots as `sample_sheet` does, told by a student through the cache."""

    def make(shot: NextShot, number: int) -> Tensor:
        return student.roll_out(shot, step_generator(2, number))

    return sample_sheet(data, autoencoder, make, student.transformer.device)
