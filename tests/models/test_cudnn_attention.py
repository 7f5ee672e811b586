"""What is asked of cuDNN's frontend, and when. A stand-in answers, because cuDNN needs a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from shotstream.models.cudnn_attention import CudnnAttention
from shotstream.models.float8 import FORMAT

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


class Symbol:
    """A tensor of a graph."""

    def __init__(self, uid: int, **known: Any) -> None:
        self.uid, self.known = uid, known

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("set_"):
            raise AttributeError(name)

        def keep(value: Any) -> Symbol:
            self.known[name.removeprefix("set_")] = value
            return self

        return keep

    def get_uid(self) -> int:
        return self.uid


class Graph:
    """Has a plan, unless more tokens are seen than `most_tokens`; counts its runs."""

    most_tokens = 100

    def __init__(self, **formats: Any) -> None:
        self.symbols: list[Symbol] = []
        self.runs: list[dict[int, int]] = []

    def tensor(self, **known: Any) -> Symbol:
        self.symbols.append(Symbol(len(self.symbols), **known))
        return self.symbols[-1]

    def sdpa_fp8(self, **given: Any) -> tuple[Symbol | None, ...]:
        self.seen = given["k"].known["dim"][2]
        self.results = self.tensor(), self.tensor(), self.tensor()
        return self.results[0], None, *self.results[1:]

    def build(self, modes: list[str]) -> None:
        if self.seen > self.most_tokens:
            raise RuntimeError("No valid execution plans built.")

    def get_workspace_size(self) -> int:
        return 10 * self.seen

    def execute(self, addresses: dict[int, int], workspace: int, handle: str) -> None:
        self.runs.append(addresses)


@pytest.fixture
def graphs(monkeypatch) -> list[Graph]:
    made: list[Graph] = []

    def make(**formats: Any) -> Graph:
        made.append(Graph(**formats))
        return made[-1]

    names = ("FP8_E4M3", "FLOAT")
    frontend = SimpleNamespace(
        create_handle=lambda: "handle",
        set_stream=lambda handle, stream: None,
        pygraph=make,
        data_type=SimpleNamespace(**{name: name for name in names}),
        heur_mode=SimpleNamespace(A="A", FALLBACK="FALLBACK"),
    )
    monkeypatch.setitem(sys.modules, "cudnn", frontend)
    return made


def given(tokens: int, seen: int) -> list[torch.Tensor]:
    query = torch.zeros(1, tokens, 2, 16).to(FORMAT)
    stored = [torch.zeros(1, 500, 2, 16).to(FORMAT)[:, :seen] for _ in range(2)]
    return [query, *stored, torch.empty_like(query)]


def test_a_plan_is_built_once_for_each_length_and_its_workspace_kept(graphs):
    attention = CudnnAttention(CPU, 0)
    for seen in (40, 80, 40, 80):
        assert attention.attend(*given(20, seen))
    assert [len(graph.runs) for graph in graphs] == [2, 2]
    assert attention._workspace.numel() == 800


def test_every_tensor_of_the_graph_has_an_address(graphs):
    tensors = given(20, 40)
    assert CudnnAttention(CPU, 0).attend(*tensors)
    [graph] = graphs
    [addresses] = graph.runs
    assert sorted(addresses) == [symbol.uid for symbol in graph.symbols]
    by_name = {symbol.known.get("name"): symbol for symbol in graph.symbols}
    assert addresses[by_name["v"].uid] == tensors[2].data_ptr()
    assert by_name["k"].known["dim"] == [1, 2, 40, 16]
    assert by_name["k"].known["stride"] == [500 * 32, 16, 32, 1]
    out, *largest = graph.results
    assert addresses[out.uid] == tensors[3].data_ptr()
    assert out.known["data_type"] == "FP8_E4M3"
    assert [amax.known["data_type"] for amax in largest] == ["FLOAT", "FLOAT"]


def test_a_length_without_a_plan_is_warned_of_once(graphs, recwarn):
    attention = CudnnAttention(CPU, 0)
    assert attention.attend(*given(20, 40))
    for _ in range(2):
        assert not attention.attend(*given(20, 200))
    [warning] = recwarn
    assert "no 8-bit attention of [1, 20, 2, 16] and [1, 200, 2, 16]" in str(warning.message)


def test_without_any_plan_the_reason_is_raised(graphs):
    with pytest.raises(RuntimeError, match="No valid execution plans"):
        CudnnAttention(CPU, 0).attend(*given(20, 200))


def test_without_the_package_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(ImportError, match=r"pip install shotstream\[float8\]"):
        CudnnAttention(CPU, 0)
