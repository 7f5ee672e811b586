"""The one training loop. Stages say what is learnt; the loop steps, averages, logs, saves and resumes."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from shotstream.machine.device import choose_dtype
from shotstream.machine.stopping import stop_signals
from shotstream.media.files import whole_folder
from shotstream.media.pictures import write_png
from shotstream.training.distributed import ProcessGroup
from shotstream.training.fresh_networks import transformers_in
from shotstream.training.learner import Learner
from shotstream.training.lesson_timer import LessonTimer
from shotstream.training.run import RunFolder
from shotstream.training.settings import StageSettings
from shotstream.training.stage import Stage, step_generator


class TrainingError(ValueError):
    """Training cannot go on; the message says what happened and where the last good state is."""


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


def _step(
    stage: Stage, learners: dict[str, Learner], step: int, position: float, dtype: torch.dtype
) -> dict[str, float]:
    """Make one optimiser step: the passes over this process's slices of the batch, then the update."""
    learner, loop = learners[stage.role(step)], stage.loop
    passes = []
    for batch_slice in learner.world.slices(loop.accumulate):
        device = next(learner.role.module.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss, figures = stage.loss(step, step_generator(loop.seed, step), batch_slice)
        (loss / loop.accumulate).backward()
        passes.append({"loss": float(loss.detach()), **figures})
    figures = learner.world.mean(passes) | {"gradient_norm": learner.update(step, position)}
    _check_health(stage, step, figures)
    return figures


def _check_health(stage: Stage, step: int, figures: dict[str, float]) -> None:
    """Stop where going on would only spoil the checkpoint.

    Raises:
        TrainingError: If loss or gradient is no finite number, or the loss has exploded.
    """
    limits = {"loss": stage.loop.loss_limit, "gradient_norm": math.inf}
    for figure, limit in limits.items():
        value, role = figures[figure], stage.role(step)
        if not math.isfinite(value) or value > limit:
            over = f", above loop.loss_limit={limit:g}" if math.isfinite(value) else ""
            settings = "critic_optimiser" if role == "critic" else "optimiser"
            raise TrainingError(
                f"The {figure.replace('_', ' ')} of {stage.name} ({role}) became {value:.6g} at step {step}"
                f"{over}. The last checkpoint, if there is one yet, is good: go on from it with a lower "
                f"learning rate ({stage.name.replace('-', '_')}.{settings}.lr=...)."
            )


def check_parts(stage: str, settings: StageSettings, processes: int) -> None:
    """Complain if processes and their passes cannot share every batch equally.

    Raises:
        TrainingError: With what to set instead.
    """
    parts = processes * settings.loop.accumulate
    for batch in settings.batches:
        if batch % parts:
            raise TrainingError(
                f"A batch of {batch} cannot be shared equally by {processes} processes in "
                f"{settings.loop.accumulate} passes each; set loop.batch of {stage} to a multiple of {parts}."
            )


def _prepare(stage: Stage, world: ProcessGroup) -> dict[str, Learner]:
    """Spread the networks over the processes, and set up those that learn.

    Raises:
        TrainingError: If the batch has no equal parts, or there is nothing to checkpoint.
    """
    loop = stage.loop
    check_parts(stage.name, stage.settings, world.size)
    learning = {name: role for name, role in stage.roles.items() if role.optimiser is not None}
    if loop.checkpoint_activations:
        transformers = [found for role in learning.values() for found in transformers_in(role.module)]
        if not transformers:
            raise TrainingError(
                f"{stage.name} trains no transformer, so loop.checkpoint_activations would do nothing; "
                "leave it out."
            )
        for transformer in transformers:
            transformer.enable_gradient_checkpointing()
    for role in stage.roles.values():
        world.shard(role.module)
    return {name: Learner(role, loop.ema, loop.steps, world) for name, role in learning.items()}


def train(stage: Stage, run: RunFolder) -> None:
    """Run a stage from its last checkpoint to its end, then export the averaged weights.

    Ctrl-C finishes the step, saves a checkpoint and stops; the same command goes on from there. Every process
    of the run folder's world runs this loop; all but the first leave writing to it.

    Raises:
        TrainingError: when the loss explodes or is no number, or the settings do not fit the processes.
    """
    loop, world = stage.loop, run.world
    learners = _prepare(stage, world)
    start = run.resume(learners)  # before the bar: what it says stays readable
    with contextlib.closing(run), _progress() as bar, _stop_requests() as requests:
        task = bar.add_task(stage.name, total=loop.steps, completed=start, figures="")
        timer, dtype = LessonTimer(stage.settings.limits, world.clock), _precision(stage, world)
        began = time.monotonic()
        prefix = {name: f"{name}_" if len(learners) > 1 else "" for name in learners}
        newest: dict[str, float] = {}  # figures since the last entry, of every role that learnt
        done, made = start, 0
        while done < loop.steps:
            step = done
            figures = _step(stage, learners, step, timer.position(step), dtype)
            done, made = timer.after(step), made + 1
            bar.update(task, completed=done, figures=f"loss {figures['loss']:.4f}")
            newest |= {prefix[stage.role(step)] + name: value for name, value in figures.items()}
            passed_over = done > step + 1
            if done % loop.log_every == 0 or passed_over:
                newest["steps_per_second"] = made / (time.monotonic() - began)
                run.log(done, newest)
                newest = {}
            stopping = world.any(bool(requests))
            if done % loop.checkpoint_every == 0 or done == loop.steps or stopping or passed_over:
                run.save(done, learners, bar.console.print)
            if stopping:
                bar.console.print(
                    f"Stopped at step {done}, which is saved; the same command goes on from there."
                )
                raise KeyboardInterrupt
            if done % loop.sample_every == 0 or done == loop.steps or passed_over:
                _sample(stage, learners, run, done)
    for learner in learners.values():
        learner.finish()
    if world.writes:
        with whole_folder(run.path / "export") as folder:
            stage.export(folder)
    run.copy_export(done)
    world.wait()


def _precision(stage: Stage, world: ProcessGroup) -> torch.dtype:
    """Choose the number format of passes; processes that train together must choose the same."""
    module = next(iter(stage.roles.values())).module
    device = next(module.parameters()).device
    name = stage.loop.precision
    if name == "auto" and device.type == "cpu" and world.size > 1:
        return torch.float32
    return choose_dtype(device, name).value


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect what asks to stop, such as Ctrl-C: a step is finished first; a second one stops at once."""
    requests: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    former = {number: signal.signal(number, note) for number in stop_signals()}
    try:
        yield requests
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _sample(stage: Stage, learners: dict[str, Learner], run: RunFolder, step: int) -> None:
    """All processes draw the same picture, as all hold a part of the networks; the first one keeps it."""
    with contextlib.ExitStack() as stack, torch.no_grad():
        for learner in learners.values():
            stack.enter_context(learner.averaged())
        picture = stage.sample()
        if run.world.writes and picture is not None:
            write_png(run.path / "samples" / f"{step:06d}.png", picture)
