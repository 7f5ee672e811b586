"""How long a process takes from its start to a story's first frames: what somebody waits for who starts anew.

Run as a module, this file is that process: it reads what to run from its first argument.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import BaseModel

from shotstream.benchmark.record import ColdStart

if TYPE_CHECKING:
    import torch

    from shotstream.streaming.pipeline import ShotStreamPipeline

PARTS = ("imports", "loading", "preparing", "first chunk")
"""What a process does until its first frames are there, in this order."""
_ANSWER = "@@ "


class ColdStartError(ValueError):
    """A process that was to be timed has failed."""


class ColdCase(BaseModel):
    """What a new process runs."""

    model: str
    """Name or folder; a size if `random`."""
    random: bool
    """Whether its weights are random."""
    device: str
    dtype: str
    """As on the command line."""
    mode: str
    """One of `speed.MODES`."""
    decoder: str
    height: int | None
    width: int | None


def load_pipeline(model: str, random: bool, device: torch.device, dtype: torch.dtype) -> ShotStreamPipeline:
    """Load a model, or make one up.

    Args:
        model: Name or folder, or a size of `random_models.SIZES`.
        random: Whether weights are made up.
        device: Where it is to be.
        dtype: Its number format.

    Raises:
        ValueError: If there is no such model.
    """
    if random:
        from shotstream.benchmark.random_models import make_random_pipeline

        return make_random_pipeline(model, device, dtype)
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from shotstream.streaming.pipeline import ShotStreamPipeline

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    return ShotStreamPipeline.from_pretrained(ShotStreamPipeline.fetch(model), dtype=dtype).to(device)


def measure_cold_start(case: ColdCase, compiles: bool) -> ColdStart:
    """Start a process and take the time until its first frames are in memory.

    Args:
        case: What it runs.
        compiles: Whether its mode compiles. Then one process more runs before: it fills the caches on disk.

    Raises:
        ColdStartError: If the process fails; its last words are in the message.
    """
    for _ in range(1 + compiles):
        parts = _run(case)
    return ColdStart(seconds=sum(parts.values()), parts=parts, compiled_before=compiles)


def _run(case: ColdCase) -> dict[str, float]:
    started = time.time()
    command = [sys.executable, "-m", "shotstream.benchmark.cold", case.model_dump_json()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [line for line in ended.stdout.splitlines() if line.startswith(_ANSWER)]
    if ended.returncode or not answers:
        last_words = " ".join(ended.stderr.splitlines()[-1:]) or f"exit status {ended.returncode}"
        raise ColdStartError(f"the process that was to start cold has failed: {last_words}")
    moments = [started, *json.loads(answers[-1].removeprefix(_ANSWER))]
    seconds = [after - before for before, after in pairwise(moments)]
    return dict(zip(PARTS, seconds, strict=True))


def main() -> None:
    """Make the first chunk of a story, and tell when each of `PARTS` had ended (seconds since 1970)."""
    case = ColdCase.model_validate_json(sys.argv[1])
    from shotstream.benchmark.timed_story import SETTING, prompt
    from shotstream.machine.device import choose_device, choose_dtype
    from shotstream.streaming.speed import MODES, prepare

    device = choose_device(case.device).value
    moments = [time.time()]
    pipeline = load_pipeline(case.model, case.random, device, choose_dtype(device, case.dtype).value)
    moments.append(time.time())
    prepare(pipeline, MODES[case.mode], case.height, case.width)
    moments.append(time.time())
    session = pipeline.open(SETTING, 0, case.height, case.width, decoder=case.decoder)
    session.cut(prompt(0), chunks=1)
    session.next_chunk()
    moments.append(time.time())
    print(_ANSWER + json.dumps(moments), flush=True)
    session.close()


if __name__ == "__main__":
    main()
