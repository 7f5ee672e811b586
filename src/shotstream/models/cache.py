"""The dual cache: keys and values of the remembered frames (global) and of the running shot (local).

Legend: B batch, N tokens of one latent frame, H heads, d head size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from shotstream.models.rope import rotate, time_turns

if TYPE_CHECKING:
    from shotstream.models.transformer import CausalWanTransformer3DModel


class CacheSlot(NamedTuple):
    """One layer's place in the cache for one pass: where it writes, and how far it reads.

    Under autograd nothing is written: the pass reads a copy with its own keys and values put in, so that
    gradients flow through these only, and a later pass cannot change what the graph has saved.
    """

    keys: Tensor
    """The layer's storage [B, capacity, H, d], rotated keys."""
    values: Tensor
    start: int
    """First token of the pass's own slot."""
    stop: int
    end: int
    """Tokens that can be read: one slice from 0."""
    in_place: bool
    """Whether the pass writes; false while autograd records."""

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put a pass's own keys and values [B, tokens, H, d] in, and return all that it attends to."""
        if self.in_place:
            self.keys[:, self.start : self.stop] = key
            self.values[:, self.start : self.stop] = value
            return self.keys[:, : self.end], self.values[:, : self.end]
        return self._joined(self.keys, key), self._joined(self.values, value)

    def _joined(self, stored: Tensor, own: Tensor) -> Tensor:
        return torch.cat([stored[:, : self.start], own, stored[:, self.stop : self.end]], 1)


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

    All lengths are host integers. Passes must run without autograd to be kept, see :class:`CacheSlot`.
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
        """Allocate the storage; ``for_transformer`` takes most of this from a model.

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
        capacity = (context_frames + self.window_frames) * tokens_per_frame
        with torch.inference_mode(False):
            shape = (layers, batch, capacity, heads, head_dim)
            self._keys = torch.zeros(shape, dtype=dtype, device=device)
            self._values = torch.zeros(shape, dtype=dtype, device=device)
        self.open_shot()

    @classmethod
    def for_transformer(
        cls,
        transformer: CausalWanTransformer3DModel,
        *,
        batch: int,
        tokens_per_frame: int,
        context_frames: int | None = None,
        window_chunks: int | None = None,
        sink_chunks: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> DualCache:
        """Allocate a cache for a model; None takes the model's own setting."""
        config = transformer.config
        return cls(
            layers=config["num_layers"],
            batch=batch,
            heads=config["num_attention_heads"],
            head_dim=config["attention_head_dim"],
            tokens_per_frame=tokens_per_frame,
            context_frames=config["context_frames"] if context_frames is None else context_frames,
            chunk_frames=config["chunk_frames"],
            window_chunks=config["window_chunks"] if window_chunks is None else window_chunks,
            sink_chunks=config["sink_chunks"] if sink_chunks is None else sink_chunks,
            rope_theta=config["rope_theta"],
            dtype=transformer.dtype if dtype is None else dtype,
            device=transformer.device if device is None else device,
        )

    # ---- phases ----

    def open_shot(self) -> None:
        """Forget everything: the cut."""
        self.context_frames = 0
        self._filling_context = False
        self._offset_frames = 0
        self._pristine: Tensor | None = None
        self._pristine_offset_frames = 0
        self._empty_local(0)

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
        if self._chunks or self._running:
            raise ValueError(
                "the running shot has chunks already; call open_shot() before filling the context"
            )
        self.open_shot()
        self.context_frames = frames
        self._filling_context = frames > 0
        self._next_frame = frames

    def begin_chunk(self, frames: int | None = None) -> None:
        """Reserve the running chunk's slot; the oldest chunk leaves if there is no room.

        Calling it again before ``commit`` changes nothing, or the length only.

        Args:
            frames: Latent frames of the chunk, at most ``chunk_frames``; None for a whole chunk.

        Raises:
            ValueError: If the chunk is longer than ``chunk_frames`` or empty.
        """
        if frames is None:
            frames = self._running[1] if self._running else self.chunk_frames
        if not 1 <= frames <= self.chunk_frames:
            raise ValueError(f"a chunk of {frames} latent frames is outside 1..{self.chunk_frames}")
        if self._running and self._running[1] == frames:
            return
        if self._running:
            self._close(*self._running)
        self._filling_context = False
        self._running = (self._reserve(frames), frames)
        self._written = False

    def commit(self) -> None:
        """Keep the running chunk as its last pass wrote it, and go on to the next position.

        Raises:
            ValueError: If no pass wrote it.
        """
        if self._running is None or not self._written:
            raise ValueError(
                "there is no written chunk to commit; call begin_chunk() and run the clean pass "
                "under torch.no_grad() first"
            )
        self._chunks.append(self._running)
        self._next_frame += self._running[1]
        self._running = None

    def clear_local(self, first_frame: int | None = None) -> None:
        """Empty the local cache and keep the global one, so that chunks can be made again (a new prompt).

        Args:
            first_frame: Position of the next chunk; None for the position of the oldest chunk of the window,
                from where the window's chunks can be passed again in their order.
        """
        if first_frame is None:
            first_frame = self._offset_frames + self.context_frames
        self._turn_pinned(first_frame - self.context_frames - self._offset_frames, self._context_tokens)
        self._pristine = None
        self._empty_local(first_frame)

    # ---- what passes need ----

    @property
    def first_frame(self) -> int:
        """Position of the first latent frame of the next pass."""
        return 0 if self._filling_context else self._next_frame

    @property
    def frames(self) -> int:
        """Latent frames that the next pass must have."""
        if self._filling_context:
            return self.context_frames
        return self._running[1] if self._running else 0

    @property
    def local_frames(self) -> int:
        """Latent frames of committed chunks in the window."""
        return sum(frames for _, frames in self._chunks)

    @property
    def used_tokens(self) -> int:
        """Tokens that can be read, the running slot included."""
        spans = [*self._chunks, self._running] if self._running else self._chunks
        return max((self._stop(*span) for span in spans), default=self._context_tokens)

    def stored(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return views of what a layer holds: keys and values [B, used tokens, H, d]."""
        return self._keys[layer, :, : self.used_tokens], self._values[layer, :, : self.used_tokens]

    def slots(self) -> list[CacheSlot]:
        """Return every layer's slot for the pass about to run.

        Raises:
            ValueError: If the context pass runs under autograd, where nothing would be kept.
        """
        in_place = not torch.is_grad_enabled()
        if self._filling_context:
            if not in_place:
                raise ValueError("the context pass is kept in the cache; run it under torch.no_grad()")
            start, stop = 0, self._context_tokens
        else:
            assert self._running is not None
            start, stop = self._running[0], self._stop(*self._running)
            self._written = self._written or in_place
        end = self.used_tokens
        return [
            CacheSlot(keys, values, start, stop, end, in_place)
            for keys, values in zip(self._keys.unbind(), self._values.unbind(), strict=True)
        ]

    # ---- snapshots ----

    def state_dict(self) -> dict[str, Any]:
        """Copy the used part: tensors under ``keys``, ``values``, ``pristine``; JSON-able ``layout``."""
        used = self.used_tokens
        return {
            "keys": self._keys[:, :, :used].clone(),
            "values": self._values[:, :, :used].clone(),
            "pristine": None if self._pristine is None else self._pristine.clone(),
            "layout": {
                "context_frames": self.context_frames,
                "filling_context": self._filling_context,
                "offset_frames": self._offset_frames,
                "pristine_offset_frames": self._pristine_offset_frames,
                "next_frame": self._next_frame,
                "chunks": [list(span) for span in self._chunks],
                "running": list(self._running) if self._running else None,
                "written": self._written,
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`, bit for bit.

        Raises:
            ValueError: If it was taken from a cache of another shape.
        """
        keys, layout = state["keys"], state["layout"]
        used, capacity = keys.shape[2], self._keys.shape[2]
        if used > capacity or keys[:, :, :0].shape != self._keys[:, :, :0].shape:
            raise ValueError(
                f"a cache state of shape {tuple(keys.shape)} does not fit storage {tuple(self._keys.shape)}; "
                "restore it into a cache of the same model, batch and picture size"
            )
        self._keys[:, :, :used] = keys
        self._values[:, :, :used] = state["values"]
        pristine = state["pristine"]
        self._pristine = None if pristine is None else pristine.to(self._keys, copy=True)
        self.context_frames = layout["context_frames"]
        self._filling_context = layout["filling_context"]
        self._offset_frames = layout["offset_frames"]
        self._pristine_offset_frames = layout["pristine_offset_frames"]
        self._next_frame = layout["next_frame"]
        self._chunks = [tuple(span) for span in layout["chunks"]]
        self._running = tuple(layout["running"]) if layout["running"] else None
        self._written = layout["written"]

    # ---- the ring ----

    @property
    def _context_tokens(self) -> int:
        return self.context_frames * self.tokens_per_frame

    def _stop(self, start: int, frames: int) -> int:
        return start + frames * self.tokens_per_frame

    def _empty_local(self, next_frame: int) -> None:
        self._chunks: list[tuple[int, int]] = []  # (first token, frames), oldest first
        self._running: tuple[int, int] | None = None
        self._written = False
        self._next_frame = next_frame

    def _reserve(self, frames: int) -> int:
        """Find room for a chunk and return its first token."""
        limit = self._context_tokens + self.window_frames * self.tokens_per_frame
        while self._stop(self.used_tokens, frames) > limit:
            start, left_frames = self._chunks.pop(self.sink_chunks)
            self._slide(left_frames)
            if left_frames == frames:
                return start
            self._close(start, left_frames)
        return self.used_tokens

    def _close(self, start: int, frames: int) -> None:
        """Close the gap of a freed slot, so that one slice goes on holding everything (odd lengths only)."""
        stop, end = self._stop(start, frames), max([self._stop(*c) for c in self._chunks], default=0)
        for storage in (self._keys, self._values) if end > stop else ():
            storage[:, :, start : end - stop + start] = storage[:, :, stop:end].clone()
        moved = stop - start
        self._chunks = [(first - moved if first > start else first, length) for first, length in self._chunks]
        self._running = None

    def _slide(self, frames: int) -> None:
        """Turn context and sink forward, now that the oldest chunk is ``frames`` later."""
        sink_frames = sum(length for _, length in self._chunks[: self.sink_chunks])
        self._turn_pinned(frames, self._context_tokens + sink_frames * self.tokens_per_frame)

    def _turn_pinned(self, frames: int, tokens: int) -> None:
        """Turn the first keys by ``frames``, always from a copy never turned: rounding does not pile up."""
        if frames == 0:
            return
        if self._pristine is None:
            self._pristine = self._keys[:, :, :tokens].clone()
            self._pristine_offset_frames = self._offset_frames
        self._offset_frames += frames
        shift = self._offset_frames - self._pristine_offset_frames
        turns = time_turns(self._keys.shape[-1], self._rope_theta, shift, 1, self._keys.device)
        for layer, pristine in zip(self._keys, self._pristine, strict=True):
            layer[:, :tokens] = rotate(pristine[:, :tokens], turns)
