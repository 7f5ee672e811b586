"""Where takes are made: the networks at one picture size, with the working memory of one session."""

from __future__ import annotations

import time
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.streaming.chunk import to_pictures
from shotstream.streaming.memory import RememberedFrame
from shotstream.streaming.noise import noise
from shotstream.streaming.rollout import ShotRollout
from shotstream.streaming.stills import StillEncoder
from shotstream.streaming.take import Take, TakeRecord, TakeState

if TYPE_CHECKING:
    from shotstream.streaming.pipeline import ShotStreamPipeline


class Stage:
    """Makes the chunks of one take at a time.

    Args:
        pipeline: The networks.
        height: Picture height in pixels.
        width: Picture width in pixels.
    """

    def __init__(self, pipeline: ShotStreamPipeline, height: int, width: int) -> None:
        self.pipeline = pipeline
        self.device: torch.device = pipeline._execution_device
        self._autoencoder = pipeline.autoencoder
        ratio = self._autoencoder.spatial_ratio
        self._latent_shape = (self._autoencoder.latent_channels, height // ratio, width // ratio)
        _, rows, columns = pipeline.transformer.config["patch_size"]
        tokens = (height // ratio // rows) * (width // ratio // columns)
        self._cache = DualCache.for_transformer(
            pipeline.transformer,
            batch=1,
            tokens_per_frame=tokens,
            dtype=pipeline.cache_dtype,
            device=self.device,
        )
        self.stills = StillEncoder(self._autoencoder, pipeline.vae.dtype, self.device)
        self._captions: dict[str, Captions] = {}
        """Those that the running shot was opened with, and since; most of them serve the next shot too."""

    def open(self, record: TakeRecord, length_chunks: int) -> Take:
        """Open a take; nothing is computed before its first chunk."""
        return Take(record, length_chunks, self._autoencoder.open_decoder())

    @torch.no_grad()
    def make_chunk(
        self, take: Take, setting: str, remembered: list[RememberedFrame]
    ) -> tuple[Tensor, np.ndarray, dict[str, float]]:
        """Make the take's next chunk, and before it what is due: the context, a redirection, the clean pass.

        Args:
            take: The open take.
            setting: Who and where.
            remembered: The frames that the shot is made from.

        Returns:
            Clean latents ``[1, F, C, h, w]`` on the CPU, pictures uint8 ``[T, H, W, 3]``, and the seconds
            that went into ``denoise``, ``decode`` and in ``total``.
        """
        started = time.perf_counter()
        self.stills.wait()
        rollout = self._prepare(take, setting, remembered)
        x0 = rollout.denoise(partial(self._noise, take.record))
        latents = x0.cpu()
        denoised = time.perf_counter()
        pictures = to_pictures(take.decoder.decode(x0.to(self.pipeline.vae.dtype))[0])
        take.uncommitted = x0
        decoded = time.perf_counter()
        seconds = {"denoise": denoised - started, "decode": decoded - denoised, "total": decoded - started}
        return latents, pictures, seconds

    @torch.no_grad()
    def restore(self, state: TakeState, setting: str) -> Take:
        """Open a take that goes on exactly from `state`."""
        self.stills.wait()
        take = self.open(deepcopy(state.record), state.length_chunks)
        take.decoder.restore(state.decoder)
        take.uncommitted = state.uncommitted
        take.pictures, take.prompts = list(state.pictures), list(state.prompts)
        if state.cache is not None:
            take.rollout = self._new_rollout(take.record, setting, max(take.record.chunks - 1, 0))
            take.rollout.window = list(state.window)
            self._cache.load_state_dict(state.cache)
        return take

    def _prepare(self, take: Take, setting: str, remembered: list[RememberedFrame]) -> ShotRollout:
        record = take.record
        if take.rollout is None:
            rollout = self._new_rollout(record, setting, 0)
            self._fill_context(rollout, record, setting, remembered)
            take.rollout = rollout
        elif take.uncommitted is not None:
            if any(first == record.chunks for first, _ in record.prompts):
                take.rollout.redirect(self._caption_of(record, setting, record.chunks))
            take.rollout.commit(take.uncommitted)
            take.uncommitted = None
        return take.rollout

    def _new_rollout(self, record: TakeRecord, setting: str, chunk: int) -> ShotRollout:
        captions = self._caption_of(record, setting, chunk)
        return self.pipeline.new_rollout(self._cache, captions, max(record.shot, 1))

    def _fill_context(
        self, rollout: ShotRollout, record: TakeRecord, setting: str, remembered: list[RememberedFrame]
    ) -> None:
        """Make the global cache from the remembered frames.

        The first shot of a story, with nothing to remember, is made from zero latents of shot index 0 and is
        itself shot 1 (released weights).
        """
        if not remembered:
            frames = self.pipeline.transformer.config["context_frames"] if record.shot == 0 else 0
            latents = torch.zeros((1, frames, *self._latent_shape), device=self.device)
            rollout.fill_context(latents, rollout.captions, None, 0)
            return
        if record.shot == 0:  # references only: as many frames as the model has always seen
            places = self.pipeline.transformer.config["context_frames"]
            remembered = [remembered[place % len(remembered)] for place in range(places)]
        own = self.pipeline.caption(setting, record.shot, record.prompt)
        texts = [
            own if frame.prompt is None else self.pipeline.caption(setting, frame.shot, frame.prompt)
            for frame in remembered
        ]
        distinct = list(dict.fromkeys(texts))
        captions = Captions.join([self._encoded(text) for text in distinct])
        self._captions = {text: self._encoded(text) for text in {*distinct, own}}
        caption_index = torch.tensor([distinct.index(text) for text in texts], device=self.device)
        shot_index = torch.tensor([frame.shot for frame in remembered], device=self.device)
        rollout.fill_context(self.stills.latents(remembered), captions, caption_index, shot_index)

    def _caption_of(self, record: TakeRecord, setting: str, chunk: int) -> Captions:
        """The caption that `chunk` is made under."""
        return self._encoded(self.pipeline.caption(setting, record.shot, record.prompt_at(chunk)))

    def _encoded(self, text: str) -> Captions:
        """One caption as the transformer reads it, made by itself: its bits depend on no neighbour."""
        if text not in self._captions:
            self._captions[text] = self.pipeline.transformer.encode_captions(self.pipeline.embed(text))
        return self._captions[text]

    def _noise(self, record: TakeRecord, step: int) -> Tensor:
        key = (record.seed, record.shot, record.take, record.chunks, step)
        frames = self.pipeline.tempo.chunk_frames
        return noise(key, (1, frames, *self._latent_shape), device=self.device)
