"""Stage 2: the student, block-causal, learns x0 from states of the teacher's ODE (paper section 3.3).

Legend: B batch, F latent frames of a shot, states: before each student step, then the clean end.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.next_shot import BatchChoice, NextShots
from shotstream.data.shards import Shards, ShardWriter
from shotstream.diffusion.losses import regression_loss
from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.hashes import hash_parameters
from shotstream.machine.cluster import Workers, in_order
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.training.denoiser import Denoiser, rollout_sheet
from shotstream.training.settings import CausalInitSettings
from shotstream.training.stage import Role, step_generator


def student_entries(schedule: FlowSchedule, ode_steps: int) -> tuple[int, ...]:
    """Which steps of an ODE of so many steps start at the student's timesteps (0, 13, 25, 37 of 50)."""
    timesteps = schedule.ode_timesteps(ode_steps)
    return tuple(int((timesteps - step).abs().argmin()) for step in schedule.student_steps())


class PairRecorder:
    """Follows the teacher's ODE for the shots of one batch after the other.

    Args:
        teacher: The teacher.
        data: The stories that it is shown.
        settings: How many shots, which, and in how many steps.
    """

    def __init__(self, teacher: Denoiser, data: NextShots, settings: CausalInitSettings) -> None:
        self._teacher, self._data, self._settings = teacher, data, settings
        self._keep = student_entries(teacher.schedule, settings.ode_steps)

    def __call__(self, number: int) -> tuple[dict[str, Any], Tensor]:
        """Record a batch: which shots it is made of, and states [B, 5, F, C, h, w], float16, on the CPU."""
        settings, teacher = self._settings, self._teacher
        generator = step_generator(settings.loop.seed + 1, number)
        choice = self._data.choose(settings.loop.batch, generator, settings.mixture)
        device = teacher.transformer.device
        shot = self._data.make(choice).to(device)
        noise = torch.randn(shot.target.shape, generator=generator).to(device)
        end, states = teacher.sample(shot, noise, settings.ode_steps, settings.guidance, self._keep)
        return asdict(choice), torch.stack([*states, end], dim=1).half().cpu()


def record_pairs(
    folder: Path,
    teacher: Denoiser,
    data: NextShots,
    settings: CausalInitSettings,
    elsewhere: Workers[int, tuple[dict[str, Any], Tensor]] | None = None,
) -> Shards:
    """Follow the teacher's ODE for `settings.pairs` shots and keep the states the student starts from.

    A record says which shots a batch is made of; its tensor `states [B, 5, F, C, h, w]` holds them, float16.
    Goes on where an earlier call stopped.

    Args:
        folder: Of the records.
        teacher: Whose ODE it is.
        data: The stories that it is shown.
        settings: How many shots, which, and in how many steps.
        elsewhere: Processes that record batches, each a `PairRecorder`; without them it is done here.
    """
    made_with = {
        "teacher": hash_parameters(teacher.transformer, teacher.text.text_encoder),
        "timesteps": teacher.schedule.student_steps().tolist(),
        "data": data.made_with,
        **settings.model_dump(include={"ode_steps", "guidance", "mixture"}),
        **settings.loop.model_dump(include={"batch", "seed"}),
    }
    if teacher.negative_prompt:
        made_with["negative_prompt"] = teacher.negative_prompt
    writer = ShardWriter(folder, made_with, records_per_shard=4)
    missing = range(writer.written, -(-settings.pairs // settings.loop.batch))
    record = PairRecorder(teacher, data, settings)
    recorded = map(record, missing) if elsewhere is None else in_order(elsewhere.map(missing))
    for choice, states in track(recorded, description="recording the teacher", total=len(missing)):
        writer.add({"choice": choice}, {"states": states})
    writer.flush()
    return Shards(folder)


class CausalInitStage:
    """Regression of x0 under the block-causal mask, every chunk at a step of its own.

    Some chunks are shown clean at timestep 0, as they stand in the local cache when a story is told; those
    teach nothing themselves.
    """

    name = "causal-init"

    def __init__(
        self,
        settings: CausalInitSettings,
        student: Denoiser,
        pairs: Shards,
        data: NextShots,
        validation: NextShots,
        autoencoder: VideoAutoencoder,
    ):
        self.settings, self.loop = settings, settings.loop
        self._student, self._pairs, self._data = student, pairs, data
        self._validation, self._autoencoder = validation, autoencoder
        self.roles = {self.name: Role(student.transformer, settings.optimiser)}
        self._device = student.transformer.device
        student.text.text_encoder.requires_grad_(False)

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Regression loss of a recorded batch, the mean over all frames of the batch that learn."""
        number = int(torch.randint(len(self._pairs), (), generator=generator))
        choice = BatchChoice(**self._pairs.records[number]["choice"])
        rows = batch_slice.rows(len(choice.stories))
        shot = self._data.make(choice.rows(rows)).to(self._device)
        states = self._pairs.tensor(number, "states")[rows]  # [B, steps + 1, F, C, h, w]
        states = states.float().to(self._device)
        _, count, frames = states.shape[:3]
        entries = self._draw_entries(len(choice.stories), count, frames, generator).to(self._device)
        entry, learnt = batch_slice.of(entries), entries < count - 1  # [B, F], `learnt` of the whole batch
        noisy = states.gather(1, entry[:, None, :, None, None, None].expand_as(states[:, :1]))[:, 0]
        steps = torch.cat([self._student.schedule.student_steps(), torch.zeros(1)]).to(self._device)
        timestep = steps[entry]
        context_timestep = timestep.new_zeros(len(timestep), shot.context_frames)

        dropped = batch_slice.of(torch.rand(len(choice.stories), generator=generator))
        dropped = dropped < self.settings.drop_text
        captions = self._student.captions_or_none(shot, dropped, self.settings.dropped_text)
        all_timesteps = torch.cat([context_timestep, timestep], dim=1)
        flow = self._student.flow(noisy, all_timesteps, shot, captions, causal=True)
        x0 = self._student.schedule.to_x0(noisy, flow.float(), timestep)
        own = batch_slice.of(learnt)
        weight = own.float().mean() / learnt.float().mean()  # parts differ in how many frames learn
        return weight * regression_loss(x0, states[:, -1], own), {}

    def _draw_entries(self, batch: int, entries: int, frames: int, generator: torch.Generator) -> Tensor:
        """Draw which of the states each chunk starts from; a chunk of every sample learns.

        Returns:
            One number per latent frame [B, F], in 0..entries - 1.
        """
        chunk_frames = self._student.transformer.config["chunk_frames"]
        chunks = -(-frames // chunk_frames)
        entry = torch.randint(entries - 1, (batch, chunks), generator=generator)
        clean = torch.rand(batch, chunks, generator=generator) < self.settings.clean_fraction
        clean[:, -1] &= self.settings.clean_last & ~clean.all(dim=1)
        return entry.masked_fill(clean, entries - 1).repeat_interleave(chunk_frames, dim=1)[:, :frames]

    def sample(self) -> np.ndarray:
        """First and last shots of held-out stories told through the cache, the true ones beside them."""
        return rollout_sheet(self._student, self._validation, self._autoencoder)

    def export(self, folder: Path) -> None:
        """Save the student's transformer."""
        self._student.transformer.save_pretrained(folder / "transformer")
