"""Writes and builds what every mode compiles for an H100, where there is none, and counts what comes of it.

    python benchmarks/compile_for_sm90.py --out FILE [--only NAME ...]

Inductor writes its kernels for Wan 2.1 T2V 1.3B at 480x832 on fake tensors (`fake_cuda.py`), and Triton
builds each for sm_90, as on the first start on such a card. Counted are the kernels that are launched and the
bytes that they read and write, by Inductor's own plan. It needs torch's CUDA wheel (5 GB with all that it
needs), diffusers, transformers and pydantic, and takes one core for some minutes. Nothing runs on a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import fake_cuda  # noqa: E402
import torch  # noqa: E402

fake_cuda.install()

from diffusers import AutoencoderKLWan  # noqa: E402
from torch._inductor import config as inductor  # noqa: E402
from torch._inductor.compile_fx import compile_fx  # noqa: E402
from torch._inductor.dependencies import MemoryDep, StarDep  # noqa: E402
from torch._inductor.graph import GraphLowering  # noqa: E402
from torch._inductor.runtime.triton_heuristics import CachingAutotuner  # noqa: E402
from torch._inductor.scheduler import (  # noqa: E402
    BaseSchedulerNode,
    ExternKernelSchedulerNode,
    NopKernelSchedulerNode,
)
from torch._inductor.virtualized import V  # noqa: E402

from shotstream.benchmark.work import CELL, CHUNK_FRAMES  # noqa: E402
from shotstream.diffusion.schedule import FlowSchedule  # noqa: E402
from shotstream.loading.networks import cast_weights  # noqa: E402
from shotstream.machine import provenance as origin  # noqa: E402
from shotstream.machine.attention_choice import use_attention, use_float8_attention  # noqa: E402
from shotstream.media.files import atomic_path  # noqa: E402
from shotstream.models import autoencoder_wan  # noqa: E402
from shotstream.models.autoencoder_wan import WanVideoAutoencoder  # noqa: E402
from shotstream.models.captions import Captions  # noqa: E402
from shotstream.models.float8 import FORMAT, use_float8  # noqa: E402
from shotstream.models.transformer import CausalWanTransformer3DModel  # noqa: E402
from shotstream.streaming.rollout import ShotRollout  # noqa: E402
from shotstream.streaming.vram_sizes import fake_tensors  # noqa: E402

CAPTIONS = (1, 2, 3)
"""Of the contexts that `speed.prepare` runs."""


class Builder:
    """A back end for ``torch.compile``: builds every graph for sm_90, notes it, and runs it uncompiled.

    Args:
        names: What the graphs are for, in the order in which they are met; more than these are an error.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.graphs: list[dict[str, Any]] = []
        self._names = names
        self._built = self._configurations = 0
        GraphLowering.save_output_code = self._note
        CachingAutotuner.precompile = lambda kernel, *_, **__: self._build(kernel)

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """Build one graph."""
        started, self._built, self._configurations = time.perf_counter(), 0, 0
        noted = len(self.graphs)
        compile_fx(graph, inputs)
        assert len(self.graphs) == noted + 1, "Inductor wrote more than one graph, or none"
        self.graphs[-1] |= {
            "graph": self._names[noted],
            "kernels_built": self._built,
            "configurations_built": self._configurations,
            "seconds": round(time.perf_counter() - started, 1),
        }
        print(json.dumps(self.graphs[-1]), flush=True)
        return graph.forward

    def _build(self, kernel: CachingAutotuner) -> None:
        kernel._precompile_worker()  # what Inductor does in processes that have no device
        self._built += 1
        self._configurations += len(kernel.compile_results)

    def _note(self, code: str) -> None:
        """Note the plan of the graph whose code was just written."""
        nodes = [node for node in V.graph.scheduler.nodes if not isinstance(node, NopKernelSchedulerNode)]
        light = [node for node in nodes if not isinstance(node, ExternKernelSchedulerNode)]
        others = [node for node in nodes if isinstance(node, ExternKernelSchedulerNode)]
        self.graphs.append(
            {
                "light_kernels": len(light),
                "other_kernels": len(others),
                "light_bytes": sum(map(_bytes, light)),
                "other_bytes": sum(node.get_read_write_buffers_sizes() for node in others),
                "light_kernels_reading_the_cache": sum(map(_reads_cache, light)),
                "code_lines": code.count("\n"),
            }
        )


def _bytes(node: BaseSchedulerNode) -> int:
    """Bytes that a kernel reads and writes."""
    read, written = (node.get_read_write_buffer_accesses(way, not way) for way in (True, False))
    return sum(written.values()) + sum(size for name, size in read.items() if name not in _only_changed(node))


def _only_changed(node: BaseSchedulerNode) -> set[str]:
    """What a kernel changes in place and does not read; Inductor lists it so that the order stays."""
    reads = node.read_writes.reads
    return {dependency.name for dependency in reads if isinstance(dependency, StarDep)} - {
        dependency.name for dependency in reads if isinstance(dependency, MemoryDep)
    }


def _reads_cache(node: BaseSchedulerNode) -> bool:
    """Whether a kernel reads what came into the graph as a layer's keys or values."""
    inputs = {name: value for name, value in V.graph.graph_inputs.items() if hasattr(value, "get_size")}
    stored = {name for name, value in inputs.items() if CACHE_TOKENS in value.get_size()}
    before_changes = V.graph.scheduler.mutation_real_name  # what was changed in place has another name after
    read = {dependency.name for dependency in node.read_writes.reads} - _only_changed(node)
    return any(before_changes.get(name, name) in stored for name in read)


def build_blocks(
    builder: Builder, layers: bool = False, attention: bool = False, at_once: bool = False
) -> None:
    """Build a block as `speed.prepare` compiles it: for contexts, and for the chunks of a window.

    Args:
        builder: Builds it.
        layers: Whether linear layers are in 8 bits.
        attention: Whether attention, and with it the cache, is in 8 bits.
        at_once: Whether one kernel norms, turns and writes into the cache.
    """
    with torch.device("cuda"):
        transformer = CausalWanTransformer3DModel(num_layers=1)
    cast_weights(transformer, torch.bfloat16, transformer._keep_in_fp32_modules)
    use_attention(transformer, "torch-cudnn")
    if layers:
        use_float8(transformer)
    use_float8_attention(transformer, attention)
    block: Any = transformer.blocks[0]
    block.ffn.gelu_in_product = True  # where it can be
    assert block.attn1.join_projections()
    block.attn1.writes_at_once = at_once
    transformer.compile_repeated_blocks(backend=builder, fullgraph=True)

    config = transformer.config
    text = torch.zeros(1, 1, config["text_length"], config["text_dim"], device="cuda", dtype=torch.bfloat16)
    caption = transformer.encode_captions(text)
    cache = transformer.new_cache(
        batch=1, tokens_per_frame=FRAME_TOKENS, dtype=FORMAT if attention else torch.bfloat16, device="cuda"
    )
    rollout = ShotRollout(transformer, FlowSchedule(), cache, caption, 1)
    stills = torch.zeros(1, config["context_frames"], *CELL, device="cuda")
    for count in CAPTIONS:
        index = torch.zeros(len(stills[0]), dtype=torch.long, device="cuda") if count > 1 else None
        rollout.fill_context(stills, Captions.join([caption] * count), index, 0)
    for _ in range(config["window_chunks"]):
        rollout.clean_pass(torch.zeros(1, CHUNK_FRAMES, *CELL, device="cuda"))


def build_decoder(builder: Builder) -> None:
    """Build Wan's decoder: a shot's first frame, the rest of its first chunk, other chunks."""
    with torch.device("cuda"):
        vae = AutoencoderKLWan()
    cast_weights(vae, torch.bfloat16, vae._keep_in_fp32_modules)
    # torch makes tensors of numbers by a copy from the host
    autoencoder_wan.per_channel = lambda values, *where: torch.empty(
        len(values), device=where[0], dtype=where[1]
    )
    autoencoder = WanVideoAutoencoder(vae)
    autoencoder.compile_decoder(backend=builder)
    decoder = autoencoder.open_decoder()
    for _ in range(2):
        decoder.decode(torch.zeros(1, CHUNK_FRAMES, *CELL, device="cuda", dtype=vae.dtype))


FRAME_TOKENS = CELL[1] * CELL[2] // 4
CACHE_TOKENS = 27 * FRAME_TOKENS
"""Of a layer: six frames of context, and seven chunks."""
BLOCK_GRAPHS = ("context, one caption", "context, several captions", "chunk")
DECODER_GRAPHS = ("first frame", "rest of the first chunk", "chunk")
PARTS: dict[str, tuple[Callable[[Builder], None], Sequence[str]]] = {
    "compiled: a block": (build_blocks, BLOCK_GRAPHS),
    "compiled: a block, cache written by one kernel": (partial(build_blocks, at_once=True), BLOCK_GRAPHS),
    "fast: a block, layers in 8 bits": (partial(build_blocks, layers=True), BLOCK_GRAPHS),
    "fast: a block, layers and attention in 8 bits": (
        partial(build_blocks, layers=True, attention=True),
        BLOCK_GRAPHS,
    ),
    "compiled and fast: the decoder": (build_decoder, DECODER_GRAPHS),
}


def main() -> None:
    """Build what was asked for, and write what came of it after every part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the counts")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS, metavar="PART")
    asked = parser.parse_args()
    inductor.compile_threads = 1
    inductor.joint_graph_constant_folding = False  # it makes constants on the device
    inductor.force_disable_caches = True  # what was built before would not be counted
    record: dict[str, Any] = {
        "commit": origin.commit(),
        "date": origin.now(),
        "torch": torch.__version__,
        "card": f"none; built for {fake_cuda.PROPERTIES.name}, sm_90",
        "graphs": {},
    }
    for name in asked.only:
        print(name, flush=True)
        torch._dynamo.reset()
        build, graphs = PARTS[name]
        builder = Builder(graphs)
        with fake_tensors(), torch.no_grad():
            build(builder)
        record["graphs"][name] = builder.graphs
        with atomic_path(asked.out) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
