"""Watches the chunk loop: waiting for the device, copies of the cache, growth."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import shotstream
from shotstream.benchmark.chunk_loop import ChunkLoop, Opening, make_opening
from shotstream.benchmark.record import LoopCounts
from shotstream.models.cache import DualCache

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.is_nonzero,
    aten.equal,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
}
"""Operations whose result, or its shape, the host must know."""
COPYING = {aten.clone, aten.cat, aten.copy_, aten._to_copy, aten.stack}
FIRST_WATCHED_SHOT = 7
"""From here on six shots are remembered: captions and stills no longer grow in number."""

_PACKAGE = str(Path(shotstream.__file__).parent)


class LoopWatch(TorchDispatchMode):
    """Counts what should not happen while it is entered, each by operation and place in this package.

    Args:
        device: Where the loop runs. On an accelerator tensors of the host may be read freely.
        copied_elements: From this size on, a copy counts.
    """

    def __init__(self, device: torch.device, copied_elements: int) -> None:
        super().__init__()
        self.device = device
        self.copied_elements = copied_elements
        self.operations = 0
        self.synchronising: Counter[str] = Counter()
        self.cache_copies: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        kwargs = kwargs or {}
        self.operations += 1
        if func.overloadpacket in WAITING or func.overloadpacket is aten.index:
            return self._run_waiting(func, args, kwargs)
        result = func(*args, **kwargs)
        if func.overloadpacket in COPYING:
            given = _tensors(args)
            if _crosses(given, result) and not kwargs.get("non_blocking", False):
                self.synchronising[_place(func)] += 1
            if result.numel() >= self.copied_elements:
                self.cache_copies[_place(func)] += 1
        return result

    def _run_waiting(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = _tensors(args)
        here = any(tensor.device.type == self.device.type for tensor in given)
        if here and (func.overloadpacket in WAITING or any(t.dtype == torch.bool for t in given[1:])):
            self.synchronising[_place(func)] += 1
            if func.overloadpacket is aten._local_scalar_dense and given[0].is_meta:
                return 0  # what a dry run on the meta device reads
        return func(*args, **kwargs)


def watch_loop(loop: ChunkLoop, chunks: int, shots: int = 2) -> LoopCounts:
    """Watch some shots after a warm-up of one.

    Args:
        loop: The loop.
        chunks: Chunks of a shot, at least 3.
        shots: Watched shots, at least 2.
    """
    first = FIRST_WATCHED_SHOT
    openings = [make_opening(loop.transformer, loop.cell, first + shot) for shot in range(1 + shots)]
    warm_up, watch = (LoopWatch(loop.transformer.device, layer_elements(loop.cache) // 2) for _ in range(2))
    tell_shot(loop, openings[0], chunks, warm_up)
    told = [tell_shot(loop, opening, chunks, watch) for opening in openings[1:]]
    return LoopCounts(
        operations_per_chunk=told[-1].operations_per_chunk,
        synchronising=dict(watch.synchronising),
        cache_copies=dict(watch.cache_copies),
        growth_in_shot_bytes=told[-1].end_bytes - told[-1].second_chunk_bytes,
        growth_over_shots_bytes=told[-1].end_bytes - told[0].end_bytes,
        cache_moves=len({shot.cache_storage._cdata for shot in told}) - 1,
    )


class WatchedShot(NamedTuple):
    """What a shot left behind."""

    operations_per_chunk: int
    """Of its last chunk."""
    second_chunk_bytes: int
    """Live tensors after its second chunk, without the latents that it keeps for redirects."""
    end_bytes: int
    cache_storage: torch.UntypedStorage
    """Kept, so that its address is given to no other."""


def tell_shot(loop: ChunkLoop, opening: Opening, chunks: int, watch: LoopWatch) -> WatchedShot:
    """Run one shot under a watch."""
    sizes, operations = [], 0
    with watch:
        loop.open_shot(opening)
    for chunk in range(chunks):
        before = watch.operations
        with watch:
            loop.commit(loop.denoise(opening.own_index, chunk))
        operations = watch.operations - before
        if chunk in (1, chunks - 1):
            sizes.append(count_tensor_bytes() - _storage_bytes(loop.rollout.kept))
    return WatchedShot(operations, sizes[0], sizes[-1], loop.cache.stored(0)[0].untyped_storage())


def layer_elements(cache: DualCache) -> int:
    """Numbers in the keys of one layer, from its shape once a shot is open."""
    *_, heads, size = cache.stored(0)[0].shape
    frames = cache.max_context_frames + cache.window_frames
    return cache.batch * frames * cache.tokens_per_frame * heads * size


def count_tensor_bytes() -> int:
    """Bytes of all tensors that Python can reach, shared storage counted once."""
    gc.collect()
    return _storage_bytes(item for item in gc.get_objects() if issubclass(type(item), Tensor))


def compilations() -> tuple[int, int]:
    """Graph breaks and compiled graphs so far in this process."""
    if "torch._dynamo" not in sys.modules:
        return 0, 0
    from torch._dynamo.utils import counters

    return sum(counters["graph_break"].values()), counters["stats"]["unique_graphs"]


def _storage_bytes(tensors: Any) -> int:
    plain = (tensor for tensor in tensors if tensor.layout == torch.strided)  # sparse ones have no storage
    storages = {storage._cdata: storage.nbytes() for storage in (t.untyped_storage() for t in plain)}
    return sum(storages.values())


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _crosses(given: list[Tensor], result: Tensor) -> bool:
    """Whether a copy went from one device to another."""
    return len({tensor.device.type for tensor in (*given, result)}) > 1


def _place(func: Any) -> str:
    """The operation, and the line of this package that asked for it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE) and path != __file__:
            return f"{func.overloadpacket} at {Path(path).relative_to(_PACKAGE).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return str(func.overloadpacket)
