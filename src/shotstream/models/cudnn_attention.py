"""cuDNN's 8-bit attention through its frontend, the optional package ``nvidia-cudnn-frontend``.

Legend: B batch, T tokens of the pass, S tokens that it sees, H heads, d head size.
"""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

_PROBABILITY_SCALE = 256.0
"""Probabilities are at most 1 and most are far smaller; scaled, they use the format's range."""


class _Plan(NamedTuple):
    """A built graph for tensors of certain shapes and strides."""

    graph: Any
    given: tuple[int, int, int, int]
    """Identifiers of queries, keys, values and the result."""
    fixed: dict[int, int]
    """Addresses of the numbers that every plan reads or writes, by their identifiers."""
    workspace: int
    """Bytes that it needs to work in."""


class CudnnAttention:
    """Plans for one stream of one device: each is built once and kept.

    Args:
        device: The current device.
        stream: Address of its stream that everything runs on.
        probability_scale: What probabilities are multiplied by before they are rounded.

    Raises:
        ImportError: If the package is missing.
    """

    def __init__(
        self, device: torch.device, stream: int, probability_scale: float = _PROBABILITY_SCALE
    ) -> None:
        try:
            import cudnn  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                f"8-bit attention needs cuDNN's frontend: pip install shotstream[float8] ({error})"
            ) from error
        self._cudnn: Any = cudnn
        self._handle = cudnn.create_handle()
        cudnn.set_stream(handle=self._handle, stream=stream)
        fixed = dict.fromkeys(("descale_q", "descale_k", "descale_v", "scale_o"), 1.0)
        fixed |= {"descale_s": 1 / probability_scale, "scale_s": probability_scale}
        fixed |= {"amax_s": 0.0, "amax_o": 0.0}  # written, and read by nothing
        self._numbers = {
            name: torch.full((1, 1, 1, 1), number, device=device) for name, number in fixed.items()
        }
        self._workspace = torch.empty(1, device=device, dtype=torch.uint8)
        self._plans: dict[tuple[Any, ...], _Plan | None] = {}
        self._lock = threading.Lock()

    def attend(self, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> bool:
        """Attend, if cuDNN has a plan for such tensors.

        Args:
            query: float8_e4m3fn [B, T, H, d].
            key: float8_e4m3fn [B, S, H, d]; its tokens may lie anywhere, numbers of a head side by side.
            value: Like `key`.
            out: The result is written here, like `query`.

        Returns:
            Whether there is a plan. Once for each shape without one, a warning says why.

        Raises:
            Exception: The frontend's own, if the very first plan cannot be built.
        """
        with self._lock:
            plan = self._plan(query, key, value)
            if plan is None:
                return False
            if plan.workspace > self._workspace.numel():
                self._workspace = torch.empty(plan.workspace, device=query.device, dtype=torch.uint8)
            given = (part.data_ptr() for part in (query, key, value, out))
            addresses = plan.fixed | dict(zip(plan.given, given, strict=True))
            plan.graph.execute(addresses, self._workspace.data_ptr(), handle=self._handle)
            return True

    def _plan(self, *given: Tensor) -> _Plan | None:
        """Look a plan up, or build it; None if cuDNN has none, though it has others."""
        form = tuple((part.shape, part.stride()) for part in given)
        if form not in self._plans:
            try:
                plan = self._build(*given)
            except Exception as error:  # its errors have no common class
                if not any(self._plans.values()):
                    raise
                plan = None
                shapes = " and ".join(str(list(part.shape)) for part in given[:2])
                warnings.warn(
                    f"cuDNN has no 8-bit attention of {shapes}, torch's is used: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._plans[form] = plan
        return self._plans[form]

    def _build(self, query: Tensor, key: Tensor, value: Tensor) -> _Plan:
        graph, tensors = describe(self._cudnn, query, key, value, handle=self._handle)
        modes = self._cudnn.heur_mode
        graph.build([modes.A, modes.FALLBACK])
        uids = {name: tensor.get_uid() for name, tensor in tensors.items()}
        fixed = {uids[name]: number.data_ptr() for name, number in self._numbers.items()}
        given = (uids["q"], uids["k"], uids["v"], uids["out"])
        return _Plan(graph, given, fixed, graph.get_workspace_size())


def describe(
    cudnn: Any, query: Tensor, key: Tensor, value: Tensor, **place: Any
) -> tuple[Any, dict[str, Any]]:
    """Describe the attention as a graph of cuDNN's.

    Args:
        cudnn: The frontend.
        query: float8_e4m3fn [B, T, H, d]; of all three only shapes and strides are read.
        key: float8_e4m3fn [B, S, H, d].
        value: Like `key`.
        place: What the graph is for: ``handle`` or ``device_property``.

    Returns:
        The graph, and its tensors by name.
    """
    kinds = cudnn.data_type
    graph = cudnn.pygraph(
        io_data_type=kinds.FP8_E4M3,
        intermediate_data_type=kinds.FLOAT,
        compute_data_type=kinds.FLOAT,
        **place,
    )
    inputs = {
        name: graph.tensor(name=name, dim=list(x.shape), stride=list(x.stride()), data_type=kinds.FP8_E4M3)
        for name, x in zip("qkv", (part.transpose(1, 2) for part in (query, key, value)), strict=True)
    }
    names = ("descale_q", "descale_k", "descale_v", "descale_s", "scale_s", "scale_o")
    scales = {
        name: graph.tensor(name=name, dim=[1] * 4, stride=[1] * 4, data_type=kinds.FLOAT) for name in names
    }
    out, _, amax_s, amax_o = graph.sdpa_fp8(
        **inputs, **scales, is_inference=True, attn_scale=query.shape[-1] ** -0.5
    )
    laid = query.transpose(1, 2)
    out.set_output(True).set_dim(list(laid.shape)).set_stride(list(laid.stride()))
    out.set_data_type(kinds.FP8_E4M3)  # the only one on Hopper
    for amax in (amax_s, amax_o):  # typed like the result unless it is said
        amax.set_output(True).set_dim([1] * 4).set_stride([1] * 4).set_data_type(kinds.FLOAT)
    return graph, {**inputs, **scales, "out": out, "amax_s": amax_s, "amax_o": amax_o}


def of_current_stream(device: torch.device) -> CudnnAttention:
    """Plans for the current stream of the current device.

    Raises:
        ImportError: If the package is missing.
    """
    return _of_stream(device, torch.cuda.current_stream(device).cuda_stream)


@lru_cache(maxsize=8)
def _of_stream(device: torch.device, stream: int) -> CudnnAttention:
    return CudnnAttention(device, stream)
