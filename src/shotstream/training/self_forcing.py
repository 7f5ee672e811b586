"""Stages 3 and 4: the student learns on its own rollouts, by distribution matching (paper section 3.3).

Three roles: the *student* tells shots through the cache, as users are served; the frozen *teacher* says how
true latents would change what it made; the *critic*, a second teacher that keeps learning what the student
makes, says how the student's own would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.next_shot import BatchChoice, NextShot, NextShots
from shotstream.diffusion.losses import distribution_matching_loss, flow_matching_loss
from shotstream.diffusion.samplers import guided, rescaled
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.chunk import to_pictures, to_pixels
from shotstream.training.denoiser import Denoiser, rollout_sheet
from shotstream.training.settings import SelfForcingSettings
from shotstream.training.stage import Role, step_generator


class History(Protocol):
    """Draws a batch of shots to make, with what is remembered when they are made."""

    def __call__(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> NextShot:
        """Return a part of the batch of a step, whose random numbers `generator` has."""
        ...


def true_history(data: NextShots, settings: SelfForcingSettings) -> History:
    """Stage 3: earlier shots are the true ones."""
    batch, mixture = settings.loop.batch, settings.mixture
    return lambda step, generator, batch_slice=WHOLE_BATCH: data.draw(batch, generator, mixture, batch_slice)


def own_history(
    data: NextShots,
    settings: SelfForcingSettings,
    student: Denoiser,
    autoencoder: VideoAutoencoder,
) -> History:
    """Stage 4: the student tells stories up to a random shot; earlier shots are its own, decoded.

    A batch of stories serves all steps until the student has learnt again: telling is most of the work; in
    return critic and student see the same memories. It depends on nothing but the student, the seed and the
    number of the batch, so that a run that was stopped tells it again.
    """
    told: dict[tuple[int, BatchSlice], NextShot] = {}

    def recall(step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH) -> NextShot:
        number = step // (settings.critic_updates + 1)
        if (number, batch_slice) not in told:
            for former in [key for key in told if key[0] != number]:
                del told[former]
            told[number, batch_slice] = tell(step_generator(settings.loop.seed, -1 - number), batch_slice)
        return told[number, batch_slice]

    @torch.no_grad()
    def tell(generator: torch.Generator, batch_slice: BatchSlice) -> NextShot:
        newest = int(torch.randint(data.shots, (), generator=generator))
        long_enough = torch.tensor([s for s in range(len(data.records)) if data.shots_of(s) > newest])
        drawn = torch.randint(len(long_enough), (settings.loop.batch,), generator=generator)
        stories = long_enough[batch_slice.of(drawn)].tolist()
        stills = torch.zeros(len(stories), data.shots, len(data.positions), *data.stills.shape)
        for shot in range(newest):
            earlier = data.make(_same_shot(stories, shot), stills).to(student.transformer.device)
            latents = student.roll_out(earlier, generator, batch_slice=batch_slice)
            frames = autoencoder.open_decoder().decode(latents)
            seen = to_pixels(to_pictures(frames[:, data.positions].flatten(0, 1)))
            seen = seen.unflatten(0, (len(stories), -1)).to(frames.device)
            stills[:, shot] = autoencoder.encode_stills(seen).to(stills)
        return data.make(_same_shot(stories, newest), stills)

    return recall


def _same_shot(stories: list[int], shot: int) -> BatchChoice:
    """The same shot of several stories, with all that is remembered."""
    return BatchChoice(stories, [shot] * len(stories), remembered=shot > 0)


class SelfForcingStage:
    """Distribution matching distillation: `critic_updates` steps of the critic for each of the student's."""

    def __init__(
        self,
        name: str,
        settings: SelfForcingSettings,
        student: Denoiser,
        teacher: Denoiser,
        critic: Denoiser,
        history: History,
        validation: NextShots,
        autoencoder: VideoAutoencoder,
    ):
        self.name, self.settings, self.loop = name, settings, settings.loop
        self._student, self._teacher, self._critic = student, teacher, critic
        self._history, self._validation, self._autoencoder = history, validation, autoencoder
        self._device = student.transformer.device
        for frozen in (teacher.transformer, *(role.text.text_encoder for role in (student, teacher, critic))):
            frozen.requires_grad_(False)
        for role, rank in ((student, settings.lora_rank), (critic, settings.critic_lora_rank)):
            if rank is not None:
                role.transformer.add_adapter(lora_config(rank))
        self.roles = {
            "student": Role(student.transformer, settings.optimiser),
            "teacher": Role(teacher.transformer, None),
            "critic": Role(critic.transformer, settings.critic_optimiser, averaged=False),
        }

    def role(self, step: int) -> str:
        """The critic goes first, and stays ahead."""
        return "student" if (step + 1) % (self.settings.critic_updates + 1) == 0 else "critic"

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Distribution matching loss of the student, or flow-matching loss of the critic, on new rollouts."""
        learning = self.role(step)
        shot = self._draw_shot(step, generator, batch_slice).to(self._device)
        count = len(self._student.schedule.student_steps())
        steps = 1 + int(torch.randint(count, (), generator=generator))
        with torch.set_grad_enabled(learning == "student"):
            rollout = self._student.roll_out(shot, generator, steps, batch_slice)
        noise = batch_slice.randn(rollout.shape, generator, rollout.device)
        timestep = batch_slice.of(self._draw_timestep(generator))
        noisy = self._student.schedule.add_noise(rollout.detach(), noise, timestep)
        if learning == "student":
            return self._student_loss(shot, rollout, noisy, timestep)
        captions = self._critic.captions(shot.ids, shot.mask)
        return flow_matching_loss(self._critic.flow(noisy, timestep, shot, captions), rollout, noise), {}

    def _draw_shot(self, step: int, generator: torch.Generator, batch_slice: BatchSlice) -> NextShot:
        """What a step rolls out; now and then without the context that it would have."""
        shot, often = self._history(step, generator, batch_slice), self.settings.drop_context
        if often and float(torch.rand((), generator=generator)) < often:
            return shot.without_context(padded=self._student.transformer.config["pad_context"])
        return shot

    def _draw_timestep(self, generator: torch.Generator) -> Tensor:
        """One timestep of the table for each sample [B], never the ends, where scores say nothing."""
        timesteps = self._student.schedule.timesteps
        entry = torch.randint(len(timesteps), (self.loop.batch,), generator=generator)
        return timesteps[entry].clamp(*self.settings.timestep_range).to(self._device)

    def _student_loss(
        self, shot: NextShot, rollout: Tensor, noisy: Tensor, timestep: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        schedule, settings = self._student.schedule, self.settings
        with torch.no_grad():
            flows = self._teacher.flows(shot)(noisy, timestep)
            cond, uncond = (schedule.to_x0(noisy, flow.float(), timestep) for flow in flows)
            real = rescaled(guided(cond, uncond, settings.guidance), cond, settings.guidance_rescale)
            captions = self._critic.captions(shot.ids, shot.mask)
            fake_flow = self._critic.flow(noisy, timestep, shot, captions)
            fake = schedule.to_x0(noisy, fake_flow.float(), timestep)
        figures = {"deviation": float(rollout.detach().std(dim=(1, 2, 3, 4)).mean())}
        return distribution_matching_loss(rollout, real, fake), figures

    def sample(self) -> np.ndarray:
        """First and last shots of held-out stories told through the cache, the true ones beside them."""
        return rollout_sheet(self._student, self._validation, self._autoencoder)

    def export(self, folder: Path) -> None:
        """Save the student's transformer, its adapter merged."""
        if self.settings.lora_rank is not None:
            self._student.transformer.fuse_lora()
            self._student.transformer.unload_lora()
        self._student.transformer.save_pretrained(folder / "transformer")


def lora_config(rank: int) -> Any:
    """Low-rank adapters on all linear layers of the blocks (paper: rank 256).

    Raises:
        ImportError: If PEFT is missing, with the line that installs it.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ImportError('LoRA needs PEFT: pip install "shotstream[wan]"') from error
    linear = r"blocks\.\d+\.(attn\d\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))"
    return LoraConfig(r=rank, lora_alpha=rank, target_modules=linear)
