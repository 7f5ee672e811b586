"""The model of a command: loaded, and prepared for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from shotstream import __version__
from shotstream.cli.shared.console import console

if TYPE_CHECKING:
    from shotstream.streaming.pipeline import ShotStreamPipeline


CHOICES = {
    "dtype": ("auto", "float32", "bfloat16", "float16"),
    "text": ("auto", "resident", "cpu", "int8", "release"),
    "mode": ("auto", "plain", "compiled", "fast", "exact"),
    "kv-cache": ("auto", "float8"),
    "decoder": ("full", "tiny"),
    "memory-rule": ("auto", "spread", "words"),
}
"""What options of these names take; exact is the former name of compiled."""

KvCacheFormat = Annotated[str, typer.Option(help="auto, or float8: half the memory for keys and values.")]
MemoryRuleName = Annotated[
    str,
    typer.Option(
        "--memory-rule",
        help="auto (the model's own), spread (evenly over earlier shots) or words (what a shot needs).",
    ),
]


def check_choices(**given: str | None) -> None:
    """Refuse options that take one of a few words and have another, before anything is loaded.

    Args:
        **given: What each has, by its name with ``_`` for ``-``; None if it was not given.

    Raises:
        ValueError: With the first of them.
    """
    for name, value in given.items():
        option = name.replace("_", "-")
        if value is not None and value not in CHOICES[option]:
            *most, last = [word for word in CHOICES[option] if word != "exact"]
            raise ValueError(f"--{option} is {value!r}; give {', '.join(most)} or {last}.")


def load(
    model: str, device_name: str, dtype_name: str = "auto", text_name: str = "auto"
) -> tuple[ShotStreamPipeline, dict[str, Any]]:
    """Load a model, and say what was chosen for a big one.

    Returns:
        The pipeline, and what story.json tells of it.

    Raises:
        ValueError: If there is no such model, device, number format or place for the text encoder.
    """
    from shotstream.loading.folders import locate_model

    locate_model(model)  # before what takes long to import
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from shotstream.loading.hashes import count_weights, weight_files
    from shotstream.loading.text_source import choose_text_place
    from shotstream.machine.device import choose_device, choose_dtype
    from shotstream.streaming.pipeline import ShotStreamPipeline

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    device = choose_device(device_name).value
    with console.status(f"loading {escape(model)}"):
        folder = ShotStreamPipeline.fetch(model)
        stored_bytes = sum(path.stat().st_size for path in weight_files(folder))
        dtype = choose_dtype(device, dtype_name, stored_bytes)
        text = choose_text_place(device, text_name, count_weights(folder) * dtype.value.itemsize)
        pipeline = ShotStreamPipeline.from_pretrained(folder, text=text.value, dtype=dtype.value).to(device)
    if text.value != "resident":
        console.print(f"computing in {str(dtype.value).removeprefix('torch.')}: {dtype.reason}", markup=False)
        console.print(f"text encoder: {text.value}, {text.reason}", markup=False)
    facts = {"device": str(device), "dtype": str(dtype.value), "text": text.value}
    return pipeline, {"shotstream": __version__, "model": model, **facts}


def apply_mode(
    pipeline: ShotStreamPipeline,
    mode: str,
    kv_cache: str,
    height: int | None = None,
    width: int | None = None,
) -> dict[str, Any]:
    """Choose the ways to compute, for pictures of a size or of the trained one, and say why.

    Returns:
        What story.json tells of them.

    Raises:
        ValueError: If there is no such mode or cache.
    """
    import torch

    from shotstream.streaming.speed import MODES, choose_mode, prepare

    check_choices(mode=mode, kv_cache=kv_cache)
    pipeline.cache_dtype = torch.float8_e4m3fn if kv_cache == "float8" else None
    with console.status("choosing the fastest ways to compute"):
        chosen = prepare(pipeline, MODES[choose_mode(mode, pipeline._execution_device).value], height, width)
    for what, choice in chosen:
        console.print(f"{what}: {choice.value} ({choice.reason})", markup=False)
    return {"kv_cache": kv_cache, "computing": {what: choice.value for what, choice in chosen}}


def set_memory_rule(pipeline: ShotStreamPipeline, rule: str) -> None:
    """Have a model's stories remember by another rule; "auto" leaves it its own.

    Raises:
        ValueError: If there is no such rule.
    """
    from shotstream.streaming.memory_rules import find_rule

    if rule != "auto":
        find_rule(rule, "")
        pipeline.register_to_config(memory_rule=rule)
