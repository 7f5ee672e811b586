"""What the student makes of drawn shots, kept for its decoder to learn from."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from shotstream.data.latent_table import LatentTable
from shotstream.data.next_shot import BatchChoice, NextShots
from shotstream.data.shards import Shards, ShardWriter
from shotstream.loading.hashes import hash_parameters
from shotstream.training.denoiser import Denoiser
from shotstream.training.stage import step_generator

BATCH = 8
"""Stories that are told together; every second time from noise."""


@torch.no_grad()
def write_student_latents(
    folder: Path, student: Denoiser, data: NextShots, stories: int, seed: int
) -> Shards:
    """Tell drawn stories with the student, memory as drawn, and keep its latents.

    Half of the stories are told *again*: from the drawn latents, noised to the student's last step, so that
    the drawn frames are what its latents mean. The others are told from noise, as people see them.

    A record is the story of that number. `again` says how it was told; its tensor, float16, is
    `latents [shots, F, C, h, w]`. Goes on where an earlier call stopped.

    Args:
        folder: Of the records.
        student: Who tells.
        data: The drawn stories, all of one length.
        stories: How many of them.
        seed: Of the noise.
    """
    made_with = {
        "student": hash_parameters(student.transformer, student.text.text_encoder),
        "timesteps": student.schedule.student_steps().tolist(),
        "data": data.made_with,
        "seed": seed,
    }
    writer = ShardWriter(folder, made_with, records_per_shard=BATCH)
    device = student.transformer.device
    batches = range(writer.written // BATCH, -(-stories // BATCH))
    for number in track(batches, description="telling with the student", total=len(batches)):
        rows = list(range(number * BATCH, min((number + 1) * BATCH, stories)))
        generator, again = step_generator(seed, number), number % 2 == 0
        shots: list[Tensor] = []
        for shot in range(data.shots):
            choice = BatchChoice(rows, [shot] * len(rows), remembered=shot > 0)
            shots.append(student.roll_out(data.make(choice).to(device), generator, again=again))
        for latents in torch.stack(shots, dim=1).half().cpu():
            writer.add({"again": again}, {"latents": latents})
    writer.flush()
    return Shards(folder, stories)


def told_latents(made: Shards, data: NextShots, device: torch.device) -> LatentTable:
    """Open what `write_student_latents` wrote of `data`."""
    return LatentTable(made, "latents", [[data.latent_frames] * data.shots] * len(made), device)


def told_again(made: Shards) -> tuple[list[int], list[int]]:
    """Numbers of the stories that were told again, and of those told from noise (all, where none was)."""
    again = [bool(record["again"]) for record in made.records]
    numbers = range(len(again))
    own = [story for story in numbers if not again[story]]
    return [story for story in numbers if again[story]], own or list(numbers)
