"""The one training loop. Stages say what is learnt; the loop steps, averages, logs, saves and resumes."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
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

from shotstream.media.files import whole_folder
from shotstream.media.sheet import write_png
from shotstream.training.optimiser import build_optimisers, lr_factor
from shotstream.training.run import RunFolder
from shotstream.training.stage import Role, Stage, step_generator


class TrainingError(ValueError):
    """Training cannot go on; the message says what happened and where the last good state is."""


class Learner:
    """A role with its optimisers and the moving average of its weights."""

    def __init__(self, role: Role, decay: float, steps: int):
        self.role, self.steps = role, steps
        self.decay = decay if role.averaged else 0.0
        self.optimisers = build_optimisers(role.module, role.optimiser)
        self.average = {name: p.detach().clone() for name, p in role.module.named_parameters()}

    def update(self, step: int) -> float:
        """Apply the gradients and return their norm; gradients that are not finite are not applied."""
        settings = self.role.optimiser
        norm = float(nn.utils.clip_grad_norm_(self.role.module.parameters(), settings.gradient_clip))
        if not math.isfinite(norm):
            return norm
        factor = lr_factor(step, self.steps, settings)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        decay = min(self.decay, (1 + step) / (10 + step))
        names, values = zip(*self.role.module.named_parameters(), strict=True)
        torch._foreach_lerp_([self.average[name] for name in names], [v.detach() for v in values], 1 - decay)
        return norm

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the module holds its averaged weights."""
        own = {name: p.detach().clone() for name, p in self.role.module.named_parameters()}
        try:
            self.role.module.load_state_dict(self.average, strict=False)
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
        """Go on from a state; learning rates and the like stay as they are set now."""
        self.role.module.load_state_dict(state["module"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            settings = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
            optimiser.load_state_dict(saved)
            for group, own in zip(optimiser.param_groups, settings, strict=True):
                group.update(own)


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
    figures = {"loss": float(loss.detach()), **figures, "gradient_norm": learners[name].update(step)}
    for figure in ("loss", "gradient_norm"):
        if not math.isfinite(figures[figure]):
            raise TrainingError(
                f"The {figure.replace('_', ' ')} of {stage.name} became {figures[figure]} at step {step}. "
                "The last checkpoint is good: start again from it with a lower learning rate "
                f"({stage.name.replace('-', '_')}.optimiser.lr=...)."
            )
    return figures


def train(stage: Stage, run: RunFolder) -> None:
    """Run a stage from its last checkpoint to its end, then export the averaged weights.

    Ctrl-C finishes the step, saves a checkpoint and stops; the same command goes on from there.

    Raises:
        TrainingError: when loss or gradient is no finite number.
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

    with _progress() as bar, _stop_requests() as stopping:
        task = bar.add_task(stage.name, total=loop.steps, completed=start, figures="")
        began = time.monotonic()
        for done in range(start + 1, loop.steps + 1):
            figures = _step(stage, learners, done - 1)
            bar.update(task, completed=done, figures=f"loss {figures['loss']:.4f}")
            if done % loop.log_every == 0:
                figures["steps_per_second"] = (done - start) / (time.monotonic() - began)
                run.log(done, figures)
            if done % loop.checkpoint_every == 0 or done == loop.steps or stopping:
                save(done)
            if stopping:
                bar.console.print(
                    f"Stopped at step {done}, which is saved; the same command goes on from there."
                )
                raise KeyboardInterrupt
            if done % loop.sample_every == 0 or done == loop.steps:
                _sample(stage, learners, run, done)
    with contextlib.ExitStack() as stack:
        for learner in learners.values():
            stack.enter_context(learner.averaged())
        with whole_folder(run.path / "export") as folder:
            stage.export(folder)


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect Ctrl-C and termination, so that a step is always finished; a second one stops at once."""
    requests: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _sample(stage: Stage, learners: dict[str, Learner], run: RunFolder, step: int) -> None:
    with contextlib.ExitStack() as stack, torch.no_grad():
        for learner in learners.values():
            stack.enter_context(learner.averaged())
        write_png(run.path / "samples" / f"{step:06d}.png", stage.sample())
