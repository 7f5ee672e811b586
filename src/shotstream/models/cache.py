"""The dual cache: keys and values of the remembered frames (global) and of the running shot (local).

Legend: B batch, N tokens of one latent frame, H heads, d head size.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from shotstream.models.cache_layout import CacheLayout, CacheSlot, Span
from shotstream.models.rope import rotate, time_turns


class DualCache:
    """Keys and values of a story being told, allocated once, written in place.

    Phases::

        open_shot -> fill_context, context pass -> { begin_chunk, denoising pass *, clean pass, commit } *
                  -> open_shot (the cut)

    Storage of a layer is ``[context | sink chunks | ring of chunks]`` and always read as one slice from 0.
    The running chunk has a slot of its own inside: the next free one, or, once the window is full, that of
    the oldest chunk, which leaves. Passes overwrite the running slot; ``commit`` keeps what the last one
    wrote, so that must be the clean pass, at timestep 0. Order inside the ring is free, because keys carry
    their rotation.

    Positions grow for as long as a shot runs. When a chunk leaves, the keys of context and sink are turned
    forward in time by its length, so that every distance stays as it was trained.

    All lengths are host integers. Passes must run without autograd to be kept, see ``CacheSlot``.
    """

    def __init__(
        self,
        *,
        layers: int,
        batch: int,
        heads: int,
        head_dim: int,
        tokens_per_frame: int,
        context_frames: int,
        chunk_frames: int,
        window_chunks: int,
        sink_chunks: int = 0,
        rope_theta: float = 10000.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        """Allocate the storage; the transformer's ``new_cache`` takes most of this from its config.

        Args:
            layers: Transformer layers.
            batch: Batch B.
            heads: Attention heads H.
            head_dim: Head size d.
            tokens_per_frame: Tokens N of a latent frame.
            context_frames: Most latent frames in the global region.
            chunk_frames: Latent frames of a whole chunk.
            window_chunks: Chunks in the local region, running chunk and sink included.
            sink_chunks: First chunks of a shot that never leave.
            rope_theta: Base of the rotary frequencies.
            dtype: Of keys and values.
            device: Of keys and values.

        Raises:
            ValueError: If no chunk of the window could ever leave.
        """
        if not 0 <= sink_chunks < window_chunks:
            raise ValueError(
                f"sink_chunks={sink_chunks} leaves no room in a window of {window_chunks} chunks; "
                f"choose 0..{window_chunks - 1}"
            )
        self.batch = batch
        self.tokens_per_frame = tokens_per_frame
        self.max_context_frames = context_frames
        self.chunk_frames = chunk_frames
        self.window_frames = window_chunks * chunk_frames
        self.sink_chunks = sink_chunks
        self._rope_theta = rope_theta
        shape = (layers, batch, context_frames + self.window_frames, tokens_per_frame, heads, head_dim)
        with torch.inference_mode(False):
            # never read before it is written; on a CPU it takes memory as it fills
            self._keys = torch.empty(shape, dtype=dtype, device=device)
            self._values = torch.empty(shape, dtype=dtype, device=device)
        self.open_shot()

    @property
    def device(self) -> torch.device:
        """Where keys and values are."""
        return self._keys.device

    # ---- phases ----

    def open_shot(self) -> None:
        """Forget everything: the cut."""
        self._layout = CacheLayout()
        self._pristine: Tensor | None = None
        self._pristine_offset_frames = 0

    def fill_context(self, frames: int) -> None:
        """Make the next pass the context pass: it sees itself only and becomes the global cache.

        Args:
            frames: Latent frames of context; 0 for plain text-to-video, which needs no pass.

        Raises:
            ValueError: If there is no room for so many, or the shot has begun already.
        """
        if not 0 <= frames <= self.max_context_frames:
            raise ValueError(
                f"{frames} context frames do not fit a cache for {self.max_context_frames}; give fewer, "
                "or allocate the cache with more context_frames"
            )
        if self._layout.chunks or self._layout.running:
            raise ValueError(
                "the running shot has chunks already; call open_shot() before filling the context"
            )
        self.open_shot()
        self._layout = CacheLayout(context_frames=frames, filling_context=frames > 0, next_frame=frames)

    def begin_chunk(self, frames: int | None = None) -> None:
        """Reserve the running chunk's slot; the oldest chunk leaves if there is no room.

        Calling it again before ``commit`` changes nothing, or the length only.

        Args:
            frames: Latent frames of the chunk, at most ``chunk_frames``; None for a whole chunk.

        Raises:
            ValueError: If the chunk is longer than ``chunk_frames`` or empty.
        """
        layout, running = self._layout, self._layout.running
        if frames is None:
            frames = running.frames if running else self.chunk_frames
        if not 1 <= frames <= self.chunk_frames:
            raise ValueError(f"a chunk of {frames} latent frames is outside 1..{self.chunk_frames}")
        if running and running.frames == frames:
            return
        layout.filling_context, layout.running, layout.written = False, None, False
        if running:
            self._close(running)
        layout.running = Span(self._reserve(frames), frames)

    def commit(self) -> None:
        """Keep the running chunk as its last pass wrote it, and go on to the next position.

        Raises:
            ValueError: If no pass wrote it.
        """
        layout = self._layout
        if layout.running is None or not layout.written:
            raise ValueError(
                "there is no written chunk to commit; call begin_chunk() and run the clean pass "
                "under torch.no_grad() first"
            )
        layout.chunks.append(layout.running)
        layout.next_frame += layout.running.frames
        layout.running = None

    def clear_local(self, first_frame: int | None = None) -> None:
        """Empty the local cache and keep the global one, so that chunks can be made again (a new prompt).

        Args:
            first_frame: Position of the next chunk; None for the position of the oldest chunk of the window,
                from where the window's chunks can be passed again in their order.
        """
        old, context_frames = self._layout, self._layout.context_frames
        if first_frame is None:
            first_frame = self.oldest_frame
        self._turn_pinned(first_frame - context_frames - old.offset_frames, context_frames)
        self._pristine = None
        self._layout = CacheLayout(
            context_frames=context_frames, next_frame=first_frame, offset_frames=old.offset_frames
        )

    # ---- what passes need ----

    @property
    def context_frames(self) -> int:
        """Latent frames in the global region."""
        return self._layout.context_frames

    @property
    def local_frames(self) -> int:
        """Latent frames of the committed chunks in the window."""
        return sum(span.frames for span in self._layout.chunks)

    @property
    def oldest_frame(self) -> int:
        """Position in time of the window's oldest chunk, or of the first one to come."""
        return self._layout.offset_frames + self._layout.context_frames

    @property
    def first_frame(self) -> int:
        """Position in time of the first latent frame of the next pass."""
        return 0 if self._layout.filling_context else self._layout.next_frame

    @property
    def frames(self) -> int:
        """Latent frames that the next pass must have; 0 if no pass was announced."""
        return self._layout.own.frames if self._layout.own else 0

    def stored(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return views of what a layer holds: keys and values [B, used tokens, H, d]."""
        used = self._layout.used_frames
        return self._keys[layer, :, :used].flatten(1, 2), self._values[layer, :, :used].flatten(1, 2)

    def slots(self) -> list[CacheSlot]:
        """Return every layer's slot for the pass about to run.

        Raises:
            ValueError: If the context pass runs under autograd, where nothing would be kept.
        """
        layout, in_place = self._layout, not torch.is_grad_enabled()
        if layout.filling_context and not in_place:
            raise ValueError("the context pass is kept in the cache; run it under torch.no_grad()")
        assert layout.own is not None
        layout.written = layout.written or in_place
        frames = (layout.own.start, layout.own.stop, layout.used_frames)
        start, stop, end = (count * self.tokens_per_frame for count in frames)
        storage = zip(self._keys.flatten(2, 3), self._values.flatten(2, 3), strict=True)
        return [CacheSlot(keys, values, start, stop, end, in_place) for keys, values in storage]

    # ---- snapshots ----

    def state_dict(self) -> dict[str, Any]:
        """Copy the used part: tensors under ``keys``, ``values``, ``pristine``; JSON-able ``layout``."""
        used = self._layout.used_frames
        return {
            "keys": self._keys[:, :, :used].clone(),
            "values": self._values[:, :, :used].clone(),
            "pristine": None if self._pristine is None else self._pristine.clone(),
            "pristine_offset_frames": self._pristine_offset_frames,
            "layout": asdict(self._layout),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`, bit for bit.

        Raises:
            ValueError: If it was taken from a cache of another shape.
        """
        keys, pristine = state["keys"], state["pristine"]
        used, capacity = keys.shape[2], self._keys.shape[2]
        if used > capacity or keys[:, :, :0].shape != self._keys[:, :, :0].shape:
            raise ValueError(
                f"a cache state of shape {tuple(keys.shape)} does not fit storage {tuple(self._keys.shape)}; "
                "restore it into a cache of the same model, batch and picture size"
            )
        self._keys[:, :, :used] = keys
        self._values[:, :, :used] = state["values"]
        self._pristine = None if pristine is None else pristine.to(self._keys, copy=True)
        self._pristine_offset_frames = state["pristine_offset_frames"]
        self._layout = CacheLayout(**state["layout"])

    # ---- the ring ----

    def _reserve(self, frames: int) -> int:
        """Find room for a chunk and return the first frame of its slot."""
        layout, limit = self._layout, self._layout.context_frames + self.window_frames
        while layout.used_frames + frames > limit:
            left = layout.chunks.pop(self.sink_chunks)
            sink_frames = sum(span.frames for span in layout.chunks[: self.sink_chunks])
            self._turn_pinned(left.frames, layout.context_frames + sink_frames)
            if left.frames == frames:
                return left.start
            self._close(left)
        return layout.used_frames

    def _close(self, gap: Span) -> None:
        """Close a freed slot, so that one run goes on holding everything (chunks of odd length only)."""
        end = self._layout.used_frames
        if end > gap.stop:
            for storage in (self._keys, self._values):
                storage[:, :, gap.start : end - gap.frames] = storage[:, :, gap.stop : end].clone()
            self._layout.close(gap)

    def _turn_pinned(self, frames: int, pinned_frames: int) -> None:
        """Turn the first keys forward, always from a copy never turned, so that rounding does not pile up."""
        if frames == 0:
            return
        if self._pristine is None:
            self._pristine = self._keys[:, :, :pinned_frames].clone()
            self._pristine_offset_frames = self._layout.offset_frames
        self._layout.offset_frames += frames
        shift = self._layout.offset_frames - self._pristine_offset_frames
        turns = torch.view_as_real(
            time_turns(self._keys.shape[-1], self._rope_theta, shift, 1, self._keys.device)
        )
        for layer, pristine in zip(self._keys, self._pristine, strict=True):
            layer[:, :pinned_frames] = rotate(pristine[:, :pinned_frames], turns)
