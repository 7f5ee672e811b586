"""The one training loop. Stages say what is learnt; the loop steps, averages, logs, saves and resumes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import nn

from shotstream.media.sheet import write_png
from shotstream.training.optimiser import build_optimisers, lr_factor
from shotstream.training.run import RunFolder
from shotstream.training.stage import Role, Stage, step_generator


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what happened and where the last good state is."""


class Learner:
    """A role with its optimisers and the moving average of its weights."""

    def __init__(self, role: Role, decay: float, steps: int):
        self.role, self.steps = role, steps
        self.decay = decay if role.averaged else 0.0
        self.optimisers = build_optimisers(role.module, role.optimiser)
        self.average = {name: p.detach().clone() for name, p in role.module.named_parameters()}

    def update(self, step: int) -> float:
        """Apply the gradients, return their norm."""
        settings = self.role.optimiser
        norm = nn.utils.clip_grad_norm_(self.role.module.parameters(), settings.gradient_clip)
        factor = lr_factor(step, self.steps, settings)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        decay = min(self.decay, (1 + step) / (10 + step))
        names, values = zip(*self.role.module.named_parameters(), strict=True)
        torch._foreach_lerp_([self.average[name] for name in names], [v.detach() for v in values], 1 - decay)
        return float(norm)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the module holds its averaged weights."""
        own = {name: p.detach().clone() for name, p in self.role.module.named_parameters()}
        self.role.module.load_state_dict(self.average, strict=False)
        try:
            yield
        finally:
            self.role.module.load_state_dict(own, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "module": self.role.module.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.role.module.load_state_dict(state["module"])
        self.average = state["average"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )


def _step(stage: Stage, learners: dict[str, Learner], step: int) -> dict[str, float]:
    name = stage.role(step)
    device = next(learners[name].role.module.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=stage.loop.precision == "bfloat16"):
        loss, figures = stage.loss(step, step_generator(stage.loop.seed, step))
    loss.backward()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss of {stage.name} became {value} at step {step}. The last checkpoint is good: start "
            f"again from it with a lower learning rate ({stage.name.replace('-', '_')}.optimiser.lr=...)."
        )
    return {"loss": value, **figures, "gradient_norm": learners[name].update(step)}


def train(stage: Stage, run: RunFolder) -> None:
    """Run a stage from its last checkpoint to its end, then export the averaged weights.

    Ctrl-C saves a checkpoint and stops; the same command goes on from there.

    Raises:
        TrainingError: when the loss is not a number.
    """
    loop = stage.loop
    learners = {name: Learner(role, loop.ema, loop.steps) for name, role in stage.roles.items()}
    start, saved = 0, run.load()
    if saved is not None:
        start = saved["step"]
        for name, learner in learners.items():
            learner.load_state_dict(saved["learners"][name])
        run.forget_after(start)

    def save(step: int) -> None:
        run.save(
            {"step": step, "learners": {name: learner.state_dict() for name, learner in learners.items()}}
        )

    step = start
    with _progress() as bar:
        task = bar.add_task(stage.name, total=loop.steps, completed=start, figures="")
        try:
            began = time.monotonic()
            for step in range(start, loop.steps):
                figures = _step(stage, learners, step)
                done = step + 1
                bar.update(task, completed=done, figures=f"loss {figures['loss']:.4f}")
                if done % loop.log_every == 0:
                    figures["steps_per_second"] = (done - start) / (time.monotonic() - began)
                    run.log(done, figures)
                if done % loop.checkpoint_every == 0 or done == loop.steps:
                    save(done)
                if done % loop.sample_every == 0 or done == loop.steps:
                    _sample(stage, learners, run, done)
        except KeyboardInterrupt:
            save(step)
            bar.console.print(
                f"Stopped; {run.path} is saved at step {step}. The same command goes on from there."
            )
            raise
    with contextlib.ExitStack() as stack:
        for learner in learners.values():
            stack.enter_context(learner.averaged())
        stage.export(run.path / "export")


def _sample(stage: Stage, learners: dict[str, Learner], run: RunFolder, step: int) -> None:
    with contextlib.ExitStack() as stack, torch.no_grad():
        for learner in learners.values():
            stack.enter_context(learner.averaged())
        write_png(run.path / "samples" / f"{step:06d}.png", stage.sample())
