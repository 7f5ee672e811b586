"""What a stage would take: parameters, memory of a device, steps. Networks are built without weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch

from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.training.autoencoder import AutoencoderStage
from shotstream.training.captions import CaptionsStage
from shotstream.training.causal_init import CausalInitStage
from shotstream.training.denoiser import Denoiser
from shotstream.training.fresh_networks import (
    make_autoencoder,
    make_captions,
    make_light_autoencoder,
    make_schedule,
    make_transformer,
    transformers_in,
)
from shotstream.training.judge import JudgeStage
from shotstream.training.loop import check_parts
from shotstream.training.self_forcing import SelfForcingStage
from shotstream.training.settings import Recipe, StageSettings
from shotstream.training.stage import Role, Stage
from shotstream.training.student_decoder import StudentDecoderStage
from shotstream.training.student_pictures import StudentPicturesStage
from shotstream.training.teacher import TeacherStage
from shotstream.training.workspace import SMALL_STAGES
from shotstream.world.judge import Judge

GIGABYTE = 1e9
FLOAT = 4
"""Bytes of a weight, a gradient, an average: all are kept in float32."""

NOTHING: Any = None
"""Stands for data and autoencoders, which a stage keeps but does not touch until it runs."""

KEPT_WIDTHS, KEPT_HIDDEN = 24, 3
"""Rough count of the activations that a block keeps per token for the gradient, in widths of the transformer
and of the feed-forward's hidden layer: norms, projections, attention, gates."""


@dataclass(frozen=True)
class Estimate:
    """What one stage takes."""

    stage: str
    settings: StageSettings
    parameters: dict[str, tuple[int, int]]
    """Of each role: all parameters, and those that learn."""
    memory: dict[str, float]
    """Bytes on each device, by purpose; the activations are rough."""
    devices: int

    def lines(self) -> Iterator[str]:
        """Describe it in words and numbers."""
        loop, total = self.settings.loop, sum(self.memory.values())
        shared = f"devices: {self.devices}, passes of each: {loop.accumulate}"
        yield f"{self.stage}: {loop.steps} steps of {loop.batch} samples; {shared}"
        for name, (count, learning) in self.parameters.items():
            yield f"  {name}: {count / 1e6:.2f} M parameters, {learning / 1e6:.2f} M learn"
        yield f"  memory of a device: about {total / GIGABYTE:.2f} GB"
        for name, size in self.memory.items():
            yield f"    {name}: {size / GIGABYTE:.2f} GB"


def estimate(recipe: Recipe, stage: str, devices: int = 1) -> Estimate:
    """Work out what a stage of a recipe takes.

    Frozen text encoders and autoencoders, and what CUDA itself takes, are not counted.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        devices: How many train together.

    Raises:
        TrainingError: If they cannot share a batch equally.
    """
    with torch.device("meta"):
        blueprint, autoencoder = _blueprint(recipe, stage), make_autoencoder(recipe)
    parameters = {name: _count(role) for name, role in blueprint.roles.items()}
    transformers = {name: next(transformers_in(role.module), None) for name, role in blueprint.roles.items()}
    devices = 1 if stage in SMALL_STAGES else devices
    check_parts(stage, blueprint.settings, devices)
    learning = {name: role for name, role in blueprint.roles.items() if role.optimiser is not None}
    shard = FLOAT / devices
    memory = {
        "weights": shard * sum(count for count, _ in parameters.values()),
        "gradients": shard * max(parameters[name][1] for name in learning),
        "optimisers": 2 * shard * sum(parameters[name][1] for name in learning),
        "averages": shard * sum(parameters[name][1] for name, role in learning.items() if role.averaged),
    }
    network = transformers[next(iter(learning))]
    if network is not None:
        if devices > 1:  # the block in use and the one fetched meanwhile
            block = sum(p.numel() for p in network.blocks[0].parameters())
            memory["blocks being collected"] = 2.0 * FLOAT * block
        memory |= _passes(recipe, blueprint, network, autoencoder, devices)
    return Estimate(stage, _settings(recipe, stage), parameters, memory, devices)


def _settings(recipe: Recipe, stage: str) -> StageSettings:
    return getattr(recipe, stage.replace("-", "_"))


def _count(role: Role) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in role.module.parameters()]
    learning = sum(size for size, learns in sizes if learns) if role.optimiser is not None else 0
    return sum(size for size, _ in sizes), learning


def _passes(
    recipe: Recipe,
    stage: Stage,
    network: CausalWanTransformer3DModel,
    autoencoder: VideoAutoencoder,
    devices: int,
) -> dict[str, float]:
    """Bytes that a pass over a device's share of the batch takes: activations, and the cache of rollouts."""
    world, loop, config = recipe.world, stage.loop, network.config
    samples = max(1, loop.batch // (devices * loop.accumulate))
    _, rows, columns = config["patch_size"]
    ratio = autoencoder.spatial_ratio
    tokens = (world.height // ratio // rows) * (world.width // ratio // columns)
    frames = config["context_frames"] + 1 + (world.shot_frames - 1) // autoencoder.temporal_ratio
    width = config["num_attention_heads"] * config["attention_head_dim"]
    size = FLOAT if loop.precision == "float32" else 2
    per_block = samples * frames * tokens * size * (KEPT_WIDTHS * width + KEPT_HIDDEN * config["ffn_dim"])
    layers = config["num_layers"]
    if loop.checkpoint_activations:  # what enters each block, and all of the one that is run again
        activations = per_block + layers * samples * frames * tokens * size * width
    else:
        activations = layers * per_block
    memory = {"activations, roughly": float(activations)}
    if isinstance(stage, SelfForcingStage | StudentPicturesStage):
        cached = config["context_frames"] + config["window_chunks"] * config["chunk_frames"]
        memory["cache of the rollout"] = float(2 * layers * samples * cached * tokens * width * FLOAT)
    return memory


def _blueprint(recipe: Recipe, stage: str) -> Stage:
    """Make a stage with the networks it trains and nothing else."""
    autoencoder = make_autoencoder(recipe)

    def denoiser() -> Denoiser:
        captions = make_captions(recipe)
        captions.text_encoder.requires_grad_(False)
        return Denoiser(make_transformer(recipe, autoencoder), captions, make_schedule(recipe))

    def self_forcing() -> Stage:
        settings, roles = _settings(recipe, stage), (denoiser(), denoiser(), denoiser())
        return SelfForcingStage(stage, cast(Any, settings), *roles, NOTHING, NOTHING, NOTHING)

    def light(settings: Any) -> Stage:
        return AutoencoderStage(settings, make_light_autoencoder(recipe.autoencoder), NOTHING, NOTHING)

    def judge() -> Stage:
        settings = recipe.judge
        network = Judge(
            settings.height, settings.width, settings.frame_step, settings.widths, settings.features
        )
        return JudgeStage(settings, network, NOTHING, NOTHING, NOTHING)

    def student_decoder() -> Stage:
        return StudentDecoderStage(
            recipe.student_decoder, make_light_autoencoder(recipe.autoencoder), NOTHING, NOTHING, NOTHING
        )

    def student_pictures() -> Stage:
        network = make_light_autoencoder(recipe.autoencoder)
        return StudentPicturesStage(recipe.student_pictures, denoiser(), network, *nothing, NOTHING)

    nothing = (NOTHING, NOTHING, NOTHING)
    stages: dict[str, Callable[[], Stage]] = {
        "captions": lambda: CaptionsStage(recipe.captions, make_captions(recipe)),
        "autoencoder": lambda: light(recipe.autoencoder),
        "decoder": lambda: light(recipe.decoder),
        "teacher": lambda: TeacherStage(recipe.teacher, denoiser(), *nothing),
        "causal-init": lambda: CausalInitStage(recipe.causal_init, denoiser(), NOTHING, *nothing),
        "intra-shot": self_forcing,
        "inter-shot": self_forcing,
        "student-pictures": student_pictures,
        "student-decoder": student_decoder,
        "judge": judge,
    }
    return stages[stage]()
