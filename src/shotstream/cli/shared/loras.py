"""LoRAs that a command is given: ``--lora FILE[:SCALE]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotstream.loading.lora_files import Lora, adapter_name

if TYPE_CHECKING:
    from shotstream.loading.lora import Adapter
    from shotstream.streaming.pipeline import ShotStreamPipeline

Loras = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:SCALE]",
        help="Use a LoRA in shots that name none; `lora:` in a story calls it by its file's name. May be "
        "given again.",
    ),
]


def name_loras(given: Sequence[str]) -> dict[str, Lora]:
    """Read what --lora says.

    Args:
        given: ``FILE`` or ``FILE:SCALE`` each.

    Returns:
        The LoRAs by the names that stories call them by.

    Raises:
        ValueError: If one cannot be understood, or two have one name.
    """
    loras: dict[str, Lora] = {}
    for lora in map(Lora.parse, given):
        lora.check()
        name = adapter_name(lora.path)
        if name in loras:
            raise ValueError(f"--lora gives two LoRAs called {name!r}; rename one of the files.")
        loras[name] = lora
    return loras


def read_loras(loras: Mapping[str, Lora]) -> dict[str, Adapter]:
    """Read LoRAs, which takes less time than the model: what is wrong with one is told before that is loaded.

    Raises:
        ValueError: If one cannot be used.
    """
    if not loras:
        return {}
    from shotstream.loading.lora import read_lora

    return {name: read_lora(lora.path) for name, lora in loras.items()}


def use_loras(
    pipeline: ShotStreamPipeline, loras: Mapping[str, Lora], adapters: Mapping[str, Adapter]
) -> dict[str, Any]:
    """Give LoRAs to a model, and set it to them.

    Returns:
        What story.json tells of them.

    Raises:
        ValueError: If one does not fit the model.
    """
    if not loras:
        return {}
    for name, adapter in adapters.items():
        pipeline.load_lora_weights(adapter, name)
    pipeline.set_adapters(list(loras), [lora.scale for lora in loras.values()])
    every = {use.name: use for use in pipeline.adapters.choose(loras)}
    return {
        "loras": [
            {"name": name, "file": str(lora.path), "sha256": every[name].sha256, "scale": lora.scale}
            for name, lora in loras.items()
        ]
    }
