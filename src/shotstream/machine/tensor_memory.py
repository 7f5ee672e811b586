"""Counts the memory of tensors while they live, on any device and on fake tensors, which take none."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorMemoryTracker(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside its ``with`` block and still live.

    It does not see the workspace of operations while they run, nor what allocators round up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: dict[int, int] = {}
        """Bytes by storage; 0 for storages that were there before."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it makes."""
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._note(tensor, new=False)
        made = func(*args, **kwargs)
        for tensor in _tensors(made):
            self._note(tensor, new=True)
        self.peak = max(self.peak, self.live)
        return made

    def _note(self, tensor: Tensor, new: bool) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known[storage._cdata] = storage.nbytes() if new else 0
            self.live += self._known[storage._cdata]
            weakref.finalize(storage, self._forget, storage._cdata).atexit = False

    def _forget(self, key: int) -> None:
        self.live -= self._known.pop(key)


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most bytes that live at a time while `work` runs without gradients, new tensors only."""
    with torch.no_grad(), TensorMemoryTracker() as counted:
        work()
    return counted.peak


def storage_bytes(tensors: Iterable[Any]) -> int:
    """Return the bytes of all tensors among `tensors`."""
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
