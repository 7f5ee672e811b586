"""What each of two processes does in test_context_parallel."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from diffusers.hooks.context_parallel import apply_context_parallel
from diffusers.models._modeling_parallel import ParallelConfig

from shotstream.models.attention import SelfAttention
from shotstream.models.transformer import CausalWanTransformer3DModel


def share_tokens(transformer: CausalWanTransformer3DModel) -> None:
    """What ``enable_parallelism`` does, which itself asks for GPUs."""
    mesh = dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("ring", "ulysses"))
    config = ParallelConfig(ContextParallelConfig(ulysses_degree=2, mesh=mesh))
    config.setup(dist.get_rank(), 2, torch.device("cpu"), mesh=mesh)
    transformer._parallel_config = config
    for module in transformer.modules():
        if isinstance(module, SelfAttention):
            module.processor._parallel_config = config
    assert transformer._cp_plan is not None
    assert config.context_parallel_config is not None
    apply_context_parallel(transformer, config.context_parallel_config, transformer._cp_plan)


def tell_in_two(rank: int, port: int, folder: Path) -> None:
    """Tell two short shots together; the first process leaves their latents."""
    from ..conftest import tiny_pipeline

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    pipeline = tiny_pipeline()
    share_tokens(pipeline.transformer)
    latents = tell(pipeline)
    if rank == 0:
        torch.save(latents, folder / "latents.pt")
    dist.barrier()
    dist.destroy_process_group()


def tell(pipeline) -> torch.Tensor:
    session = pipeline.open("a red fox", seed=2)
    chunks = [chunk for prompt in ("runs", "sleeps") for chunk in session.shoot(prompt, chunks=4)]
    return torch.cat([chunk.latents for chunk in chunks])
