"""Training on many devices: one process each, started by torchrun; networks in shards (`fully_shard`).

Everything else is as with one process. Every process runs the same loop, takes its slice of each batch
(`shotstream.data.batch_slice`), and holds its shard of weights, gradients, optimiser state and averages.
Only the first one writes.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import rich
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from shotstream.data.batch_slice import BatchSlice
from shotstream.media.files import MediaError
from shotstream.models.transformer import CausalWanTransformer3DModel


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, as one of them sees it; by default it is alone."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Of this process."""
    rank: int = 0
    size: int = 1
    mesh: Any = None
    """The devices that networks are sharded over; None if alone."""
    cpu_group: Any = None
    """A patient process group on the CPU: to wait for one another, and for a few numbers."""

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def slices(self, accumulate: int) -> list[BatchSlice]:
        """Return this process's parts of a batch, one for each of its accumulated passes."""
        first = self.rank * accumulate
        return [BatchSlice(first + number, self.size * accumulate) for number in range(accumulate)]

    def mean(self, figures: Sequence[dict[str, float]]) -> dict[str, float]:
        """Average figures of the same names over the passes given, and over all processes."""
        values = torch.tensor([list(part.values()) for part in figures], dtype=torch.float64).mean(0)
        if self.size > 1:
            dist.all_reduce(values, group=self.cpu_group)
            values /= self.size
        return dict(zip(figures[0], values.tolist(), strict=True))

    def clock(self) -> float:
        """Seconds that all processes agree on, so that a lesson ends for all of them at the same step."""
        return self.mean([{"seconds": time.monotonic()}])["seconds"]

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        return self.mean([{"flag": float(flag)}])["flag"] > 0 if self.size > 1 else flag

    def wait(self) -> None:
        """Wait until all processes are here, for days if need be."""
        if self.size > 1:
            dist.barrier(group=self.cpu_group)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes in while the others wait; they follow, and find done what it has done."""
        if not self.writes:
            self.wait()
        yield
        if self.writes:
            self.wait()

    def shard(self, module: nn.Module) -> None:
        """Spread the weights of a network, as the first process has them; alone it stays as it is."""
        if self.size == 1:
            return
        for values in module.state_dict().values():
            dist.broadcast(values, 0)
        for network in module.values() if isinstance(module, nn.ModuleDict) else (module,):
            if isinstance(network, CausalWanTransformer3DModel):
                self._shard_transformer(network)
            else:
                fully_shard(network, mesh=self.mesh, reshard_after_forward=True)

    def _shard_transformer(self, transformer: CausalWanTransformer3DModel) -> None:
        """Block by block; what is called beside `forward` collects the weights it needs as `forward` does."""
        for block in transformer.blocks:
            for unit in (block.get_submodule("attn2"), block):
                fully_shard(unit, mesh=self.mesh, reshard_after_forward=True)
            register_fsdp_forward_method(block.get_submodule("attn2"), "encode")
        fully_shard(transformer, mesh=self.mesh, reshard_after_forward=True)
        register_fsdp_forward_method(transformer, "encode_captions")

    def gather(self, module: nn.Module) -> None:
        """Make a sharded network whole in the first process, on the CPU, for export; its training is over.

        All processes take part; in the others the network stays in shards.
        """
        if self.size == 1:
            return
        whole: dict[int, nn.Parameter] = {}  # by shard, so that tied weights stay tied
        for part in module.modules():
            for name, shard in part._parameters.items():
                if isinstance(shard, DTensor):
                    if id(shard) not in whole:
                        values = shard.full_tensor().detach()
                        kept = values.cpu() if self.writes else values.new_empty(0)
                        whole[id(shard)] = nn.Parameter(kept, shard.requires_grad)
                    if self.writes:
                        part._parameters[name] = whole[id(shard)]
            if self.writes and isinstance(part, FSDPModule):
                part.__class__ = type(part).__bases__[1]  # the network's own class, which its config names

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write nested tensors, every process what it holds, as safetensors.

        Raises:
            MediaError: If it cannot be written.
        """
        writer = dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            dcp.save(state, storage_writer=writer, process_group=self.cpu_group)
        except (CheckpointException, OSError) as error:
            raise unwritten(folder, error) from error

    def load(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what `save` wrote into tensors of the same names, however many processes wrote it."""
        reader = dcp.HuggingFaceStorageReader(str(folder))
        dcp.load(state, storage_reader=reader, process_group=self.cpu_group)


def unwritten(checkpoint: Path, error: BaseException) -> MediaError:
    """What to tell a person when a checkpoint could not be written."""
    return MediaError(
        f"Could not write {checkpoint}: {error}. Is the disk full? The checkpoint before it is whole; the "
        "same command goes on from there."
    )


SINGLE_PROCESS = ProcessGroup()
"""One process on the CPU: as far as files and shares of a batch go, any single process."""


def own_part(values: Tensor) -> Tensor:
    """Return what this process holds of a tensor: its shard, or all of it."""
    return values.to_local() if isinstance(values, DTensor) else values


@contextmanager
def join(device: torch.device) -> Iterator[ProcessGroup]:
    """Meet the other processes that torchrun or Ray Train has started; without them this one is alone.

    Args:
        device: cpu or cuda; each process of a machine takes a GPU of its own.

    Raises:
        ValueError: If there are fewer devices than processes, or a kind that cannot work together.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ProcessGroup(device)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"Several processes cannot train on {device.type}; use --device cpu or cuda.")
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"Process {local} of this machine has no GPU, there are {torch.cuda.device_count()}; "
                "start torchrun with --nproc-per-node of at most that."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")  # none is written to
    met_before = dist.is_initialized()  # by Ray Train, which parts them too
    if not met_before:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    cpu_group: Any = dist.new_group(backend="gloo", timeout=timedelta(days=7))
    if rank:
        rich.reconfigure(quiet=True)  # one progress bar is enough
    yield ProcessGroup(device, rank, size, init_device_mesh(device.type, (size,)), cpu_group)
    dist.destroy_process_group(cpu_group if met_before else None)
