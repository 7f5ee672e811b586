"""Makes takes: the networks at one picture size, with the caches and decoders of one session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.streaming.adapters import AdapterUse
from shotstream.streaming.chunk import Chunk, to_pictures
from shotstream.streaming.context_frames import ContextFrame, MadeFrom
from shotstream.streaming.decoding import (
    HIGH_PRIORITY,
    HIGHEST_PRIORITY,
    WITH_STREAMS,
    SideStream,
    StreamEvent,
)
from shotstream.streaming.full_frames import BackgroundDecoder, FullFrames
from shotstream.streaming.model import StoryModel
from shotstream.streaming.noise import NoiseSource, noise
from shotstream.streaming.rollout import ShotRollout, StepObserver, never
from shotstream.streaming.stills import StillEncoder
from shotstream.streaming.take import Take, TakeRecord, TakeState


@dataclass(frozen=True)
class _Context:
    """What a shot's global cache is made from: all that its context pass depends on."""

    frames: tuple[ContextFrame, ...]
    """The remembered frames."""
    indices: tuple[int, ...]
    """The shot index of each."""
    captions: tuple[str | None, ...]
    """The caption of each; None for that of the shot which they serve."""
    adapters: tuple[AdapterUse, ...]


@dataclass(frozen=True)
class _Ahead:
    """A chunk that was denoised before it was asked for."""

    rollout: ShotRollout
    chunk: int
    """Its number in the take."""
    x0: Tensor
    """Its clean latents, ``(1, F, C, h, w)``."""


class ShotGenerator:
    """Makes the chunks of one take at a time.

    Where a device works on several streams at once, a chunk is decoded on one of its own, beside the clean
    pass over it on the main one. On a CPU that would only delay the frames, so there the pass is made when
    another chunk is asked for (`commits_early`). For the same reason, what the next shot will be made from is
    encoded there only when this one is over (`encodes_ahead`), and a chunk's noise drawn when it is made.
    Where the tiny decoder is shown, its frames go before passes, and passes before full frames. The frames
    are the same.

    Args:
        pipeline: The networks.
        height: Picture height in pixels.
        width: Picture width in pixels.
        decoder: "full", or "tiny": frames are shown as the tiny decoder makes them, and made in full quality
            in the background, where they are needed.
        rewind_chunks: How many of its newest chunks a shot can be gone back and then go on: so many states of
            the shown decoder are kept, beside that at which it stands.
        noise_source: Where the noise of every step comes from.
        works_ahead: Whether a chunk's passes are begun before the frames of the one before are there, where
            passes go on beside decoding. Another prompt, or a cut, has to wait until they are over, for
            nothing: it is for stories that are told as they are written.

    Raises:
        ValueError: If there is no such decoder.
    """

    def __init__(
        self,
        pipeline: StoryModel,
        height: int,
        width: int,
        decoder: str = "full",
        rewind_chunks: int = 0,
        noise_source: NoiseSource = noise,
        works_ahead: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.works_ahead = works_ahead
        self.noise_source = noise_source
        self.on_step: StepObserver | None = None
        """Is shown every denoising step; None for nobody."""
        self.rewind_chunks = rewind_chunks
        self.is_stopped: Callable[[], bool] = never
        """Whether the chunk in the making is no longer wanted."""
        self.device: torch.device = pipeline._execution_device
        self._autoencoder = pipeline.autoencoder
        self._height, self._width = height, width
        self._latent_shape = pipeline.latent_shape(height, width)
        timing = pipeline.timing
        self._fps = timing.fps
        self.chunk_shape = (1, timing.chunk_frames, *self._latent_shape)
        """Shape of a chunk's latents, ``(1, F, C, h, w)``."""
        self._cache = pipeline.new_cache(height, width)
        dtype = pipeline.vae.dtype
        self.stills = StillEncoder(self._autoencoder, dtype, self.device, pipeline.still_worker)
        self._live = _live_network(pipeline, decoder)
        self._shown = self._live or pipeline.vae
        self._beside = SideStream(self.device, HIGHEST_PRIORITY)
        self._passes = SideStream(self.device, HIGH_PRIORITY)
        worker = pipeline.full_frame_worker
        self._background = BackgroundDecoder(self.device, dtype, worker) if self._live else None
        """Makes full frames, where others are shown."""
        self._in_turns = hasattr(pipeline.vae, "_hf_hook")
        """Offloaded networks take turns on the device, so nothing may go on beside something else."""
        self.commits_early = self.encodes_ahead = self.device.type in WITH_STREAMS and not self._in_turns
        self._before_full_frames: Callable[[], AbstractContextManager] = (
            self._passes.instead if self._live and self.commits_early else nullcontext
        )
        """Passes in its block go before full frames, if there are such beside them."""
        self._spare_cache: DualCache | None = None
        """Holds the context of a shot to come, if that was asked for; see `foresee`."""
        self._foreseen: _Context | None = None
        """What the spare cache was filled from."""
        self._noise_ahead: dict[tuple[int, ...], Tensor] = {}
        """Noise of the next chunk by its key, where it is drawn before it is asked for."""
        self._steps = 0
        """Denoising steps that a chunk has taken."""
        self._ahead: _Ahead | None = None
        """The next chunk, where its passes were begun before it was asked for."""
        self._closed = False
        self._captions: dict[str, Captions] = {}
        """Those that the running shot was opened with, and since; most of them serve the next shot too."""
        self._captions_with: tuple[AdapterUse, ...] = ()
        """The LoRAs that their keys and values were made with."""

    def open(self, record: TakeRecord, length_chunks: int) -> Take:
        """Open a take; nothing is computed before its first chunk.

        Raises:
            ValueError: If the generator is closed.
        """
        if self._closed:
            raise ValueError(
                "this session is closed; open another, which can go on from a branch or snapshot of this one"
            )
        full = FullFrames(self._background, self._autoencoder.open_decoder) if self._background else None
        states: deque[list[Tensor]] = deque(maxlen=self.rewind_chunks + 1)
        decoder = (self._live or self._autoencoder).open_decoder()
        return Take(record, length_chunks, decoder, full, states=states)

    def close(self) -> None:
        """Stop what goes on in the background, and return at once; no take can be opened after."""
        self._closed = True
        if self._background:
            self._background.close()
        self.stills.close()

    @torch.no_grad()
    def prepare(self, take: Take, setting: str, remembered: list[ContextFrame]) -> None:
        """Do what is due before the take's next chunk: the context, a redirection, the clean pass.

        Args:
            take: The open take.
            setting: Who and where.
            remembered: The frames that the shot is made from.
        """
        if self._in_turns:
            self.stills.wait()
            if take.full:
                take.full.settle()
        with self._before_full_frames():
            self._use_adapters(take.record)
            if take.rollout is None:
                take.rollout = self._begin(take.record, setting, remembered)
                return
            if any(first == take.record.chunks for first, _ in take.record.prompts):
                self._ahead = None
                take.rollout.redirect(self._caption_of(take.record, setting, take.record.chunks))
            take.rollout.commit()

    @torch.no_grad()
    def denoise(self, take: Take, known: Tensor | None = None) -> Tensor:
        """Make the clean latents ``(1, F, C, h, w)`` of a prepared take's next chunk, or take known ones."""
        rollout, chunk = take.rollout, take.record.chunks
        assert rollout is not None
        ahead, self._ahead = self._ahead, None
        if known is not None:
            rollout.skip(known.shape[1])
            return known
        if ahead and ahead.rollout is rollout and ahead.chunk == chunk:
            return ahead.x0
        with self._before_full_frames():
            return rollout.denoise(partial(self._noise, take.record, chunk), on_step=self.on_step)

    @torch.no_grad()
    def show(self, take: Take, x0: Tensor) -> Chunk:
        """Make the frames of the take's next chunk.

        Args:
            take: The open take, prepared.
            x0: The chunk's clean latents.

        Returns:
            The chunk, which the take is still to be given; see `Take.add`.
        """
        with self._before_full_frames():
            x0 = x0.to(self.device)
            denoised = StreamEvent(self.device)
            with self._beside.after(denoised, x0):
                pixels = take.decoder.decode(x0.to(self._shown.dtype))[0]
            assert take.rollout is not None
            take.rollout.add(x0)
            if self.commits_early and take.record.chunks + 1 < take.length_chunks:
                with suppress(RuntimeError):  # it stays due: the next chunk tries again, and says why not
                    take.rollout.commit()
                self._draw_ahead(take.record)
                if self.works_ahead and self.on_step is None:
                    self._denoise_ahead(take.record, take.rollout)
        with self._beside.inside():
            latents, pictures = x0.cpu(), to_pictures(pixels)
            decoding = denoised.seconds_until(StreamEvent(self.device))
            if self.rewind_chunks:
                take.states.append(take.decoder.state())
        pictures.flags.writeable = False  # the caller sees the very frames that are remembered
        record = take.record
        return Chunk(
            frames=pictures,
            shot=record.shot,
            take=record.take,
            seed=record.seed,
            index=record.chunks,
            first_frame=len(take.prompts),
            last=record.chunks + 1 == take.length_chunks,
            prompt=record.prompt_at(record.chunks),
            fps=self._fps,
            latents=latents,
            seconds={"decode": decoding},
            adapters=record.adapters,
            full=take.full.add(latents) if take.full else None,
        )

    @torch.no_grad()
    def decode(self, chunks: Iterable[Tensor]) -> Iterator[np.ndarray]:
        """Make the frames of a take in full quality, from its clean latents, a chunk at a time."""
        decoder, vae = self._autoencoder.open_decoder(), self.pipeline.vae
        for x0 in chunks:
            yield from to_pictures(decoder.decode(x0.to(self.device, vae.dtype))[0])

    def rewind(self, take: Take, chunks: int) -> None:
        """Let a take stand where it stood before its newest chunks were made.

        Where more is taken back than `rewind_chunks` the take can only end.

        Args:
            take: The open take; at least one chunk is left.
            chunks: How many chunks, at least 1.
        """
        take.rewind(chunks, self.pipeline.timing.frames(take.record.chunks - chunks))
        take.is_cut_short = take.is_cut_short or chunks >= len(take.states)
        self._ahead = None
        if take.is_cut_short or take.rollout is None:
            return
        take.rollout.rewind(chunks)
        for _ in range(chunks):
            take.states.pop()
        self._restore_decoder(take, take.states[-1])

    @torch.no_grad()
    def restore(self, state: TakeState, setting: str) -> Take:
        """Open a take that goes on exactly from `state`."""
        take = self.open(deepcopy(state.record), state.length_chunks)
        self._restore_decoder(take, state.decoder)
        if state.full_latents is None:  # it had failed, if a quicker one was shown
            take.full = None
        elif take.full:
            full = [take.full.add(latents) for latents in state.full_latents]
            take.pending = [replace(chunk, full=full[chunk.index]) for chunk in state.pending]
        take.made, take.recalled, take.prompts = list(state.made), state.recalled, list(state.prompts)
        take.was_over = state.was_over
        if state.rollout is not None:
            self._use_adapters(take.record)
            take.rollout = self._new_rollout(take.record, setting, max(take.record.chunks - 1, 0))
            take.rollout.restore(state.rollout)
        return take

    @torch.no_grad()
    def foresee(
        self, take: Take, setting: str, remembered: list[ContextFrame], places: tuple[tuple[int, int], ...]
    ) -> bool:
        """Do ahead what the shot after `take` begins with, if it remembers these frames in these `places`.

        Stills are encoded in the background. A call that finds them done makes the context pass, in a cache
        of its own. Only a CPU does: there the pass is a sixth of what somebody waits for who has cut, and
        memory for another cache is at hand.

        Returns:
            Whether all of it is done.
        """
        self.stills.request(remembered)
        context = self._context(MadeFrom((), (), (), places), take.record.adapters, setting, remembered)
        knows_captions = bool(remembered) and None not in context.captions
        if self.device.type != "cpu" or self._in_turns or not knows_captions or context == self._foreseen:
            return True
        if any(frame.latent is None for frame in remembered):
            return False
        self._use_adapters(take.record)
        self._foreseen = None
        self._spare_cache = self._spare_cache or self.pipeline.new_cache(self._height, self._width)
        texts = [caption for caption in context.captions if caption is not None]
        rollout = self.pipeline.new_rollout(self._spare_cache, self._encoded(texts[0]), 1)
        self._fill(rollout, context, texts)
        self._foreseen = context
        return True

    def _restore_decoder(self, take: Take, state: list[Tensor]) -> None:
        with self._beside.after(StreamEvent(self.device), *state):
            take.decoder.restore(state)

    def _use_adapters(self, record: TakeRecord) -> None:
        """Have the take's LoRAs in the weights; other sessions may have changed that since its last chunk.

        Captions whose keys and values were made with other LoRAs are made anew.
        """
        self.pipeline.adapters.merge(record.adapters)
        if record.adapters != self._captions_with:
            self._captions, self._captions_with = {}, record.adapters

    def _new_rollout(self, record: TakeRecord, setting: str, chunk: int) -> ShotRollout:
        captions = self._caption_of(record, setting, chunk)
        shot_index, chunks = max(record.place, 1), self.rewind_chunks
        return self.pipeline.new_rollout(self._cache, captions, shot_index, chunks, lambda: self.is_stopped())

    def _begin(self, record: TakeRecord, setting: str, remembered: list[ContextFrame]) -> ShotRollout:
        """Roll out a shot from its first chunk on, its context in the cache.

        The first shot of a story, with nothing to remember, is itself shot 1. The released weights know it
        with context of zero latents of shot index 0 (``pad_context``).
        """
        config = self.pipeline.transformer.config
        places = config["context_frames"]
        if not remembered:
            rollout = self._new_rollout(record, setting, 0)
            frames = places if config["pad_context"] else 0
            latents = torch.zeros((1, frames, *self._latent_shape), device=self.device)
            rollout.fill_context(latents, rollout.captions, None, 0)
            return rollout
        if config["pad_context"] and all(frame.is_reference for frame in remembered):
            remembered = [remembered[place % len(remembered)] for place in range(places)]  # as in training
        made_from = record.made_from or MadeFrom((), (), ())
        context = self._context(made_from, record.adapters, setting, remembered)
        own = self.pipeline.caption(setting, record.place, record.prompt)
        texts = [own if caption is None else caption for caption in context.captions]
        self._captions = {text: self._encoded(text) for text in {*texts, own}}
        if context == self._foreseen:
            assert self._spare_cache is not None
            self._cache, self._spare_cache, self._foreseen = self._spare_cache, self._cache, None
            return self._new_rollout(record, setting, 0)
        rollout = self._new_rollout(record, setting, 0)
        self._fill(rollout, context, texts)
        return rollout

    def _context(
        self,
        made_from: MadeFrom,
        adapters: tuple[AdapterUse, ...],
        setting: str,
        remembered: Sequence[ContextFrame],
    ) -> _Context:
        indices = tuple(made_from.index(frame) for frame in remembered)
        captions = tuple(
            None if frame.prompt is None else self.pipeline.caption(setting, index, frame.prompt)
            for frame, index in zip(remembered, indices, strict=True)
        )
        return _Context(tuple(remembered), indices, captions, adapters)

    def _fill(self, rollout: ShotRollout, context: _Context, texts: Sequence[str]) -> None:
        """Make the global cache from the remembered frames and the caption of each."""
        distinct = list(dict.fromkeys(texts))
        captions = Captions.join([self._encoded(text) for text in distinct])
        caption_index = torch.tensor([distinct.index(text) for text in texts], device=self.device)
        shot_index = torch.tensor(context.indices, device=self.device)
        rollout.fill_context(self.stills.latents(context.frames), captions, caption_index, shot_index)

    def _caption_of(self, record: TakeRecord, setting: str, chunk: int) -> Captions:
        """The caption that `chunk` is made under."""
        return self._encoded(self.pipeline.caption(setting, record.place, record.prompt_at(chunk)))

    def _encoded(self, text: str) -> Captions:
        """One caption as the transformer reads it, made by itself: its bits depend on no neighbour."""
        if text not in self._captions:
            self._captions[text] = self.pipeline.transformer.encode_captions(self.pipeline.embed(text))
        return self._captions[text]

    def _noise(self, record: TakeRecord, chunk: int, step: int) -> Tensor:
        key = (record.seed, record.shot, record.take, chunk, step)
        self._steps = max(self._steps, step + 1)
        drawn = self._noise_ahead.pop(key, None)
        return self.noise_source(key, self.chunk_shape, device=self.device) if drawn is None else drawn

    def _draw_ahead(self, record: TakeRecord) -> None:
        """Draw the noise of the chunk after the one that is shown, while the device works on this one."""
        following = (record.seed, record.shot, record.take, record.chunks + 1)
        keys = [(*following, step) for step in range(self._steps)]
        self._noise_ahead = {
            key: self.noise_source(key, self.chunk_shape, device=self.device) for key in keys
        }

    def _denoise_ahead(self, record: TakeRecord, rollout: ShotRollout) -> None:
        """Begin the passes of the chunk after the one that is shown, whose clean pass is made.

        If they fail, the chunk is made when it is asked for.
        """
        chunk = record.chunks + 1
        with suppress(RuntimeError):
            x0 = rollout.denoise(partial(self._noise, record, chunk))
            self._ahead = _Ahead(rollout, chunk, x0)


def _live_network(pipeline: StoryModel, decoder: str) -> TinyWanDecoder | None:
    """The network that makes the frames that are shown, if it is not the full autoencoder."""
    if decoder not in ("full", "tiny"):
        raise ValueError(f"the decoder {decoder!r} is unknown; use 'full' or 'tiny'")
    if decoder == "tiny" and pipeline.live_decoder is None:
        raise ValueError(
            "this model has no tiny decoder; use the full one, or put it in with "
            "`shotstream convert ... --tiny-decoder taew2_1.pth`"
        )
    return pipeline.live_decoder if decoder == "tiny" else None
