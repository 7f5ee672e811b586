"""Why a studio does not go on with a story, and what to do: another model told it, or other LoRAs did."""

from __future__ import annotations

from collections.abc import Iterator

from shotstream.serving.storage.stored import MadeWith


def say_other_model(told: MadeWith, here: MadeWith) -> str:
    """Say what the studio has not that a story was told with.

    Args:
        told: What the story was told with.
        here: What the studio runs, which is another model.
    """
    if not _differ_in_loras_alone(told, here):
        return (
            f"the story was told by {told.model}, this studio runs {here.model}; it can be watched and "
            "exported here, and goes on where that model runs"
        )
    options = [f"--lora {name}.safetensors{_behind(scale)}" for name, (_, scale) in told.loras.items()]
    how = f"with {' '.join(options)} (the files that have these names)" if options else "without --lora"
    return (
        f"the story was told with {'other' if told.loras else 'no'} LoRAs: this studio "
        f"{', and '.join(_differences(told, here))}. To go on, start the studio again {how}. The story can "
        "be watched and exported here"
    )


def _differ_in_loras_alone(told: MadeWith, here: MadeWith) -> bool:
    return told.loras != here.loras and told.without_loras.identity == here.without_loras.identity


def _differences(told: MadeWith, here: MadeWith) -> Iterator[str]:
    """What of the LoRAs is another, each as what the studio does."""
    by_hash = {sha256: name for name, (sha256, _) in here.loras.items()}
    renamed: set[str] = set()
    for name, (sha256, scale) in told.loras.items():
        known = here.loras.get(name)
        if known is None and sha256 in by_hash:
            renamed.add(by_hash[sha256])
            yield f"calls {name!r} {by_hash[sha256]!r}"
        elif known is None:
            yield f"lacks {name!r}"
        elif known[0] != sha256:
            yield f"has another LoRA called {name!r}"
        elif known[1] != scale:
            yield f"uses {name!r} at {known[1]} instead of {scale}"
    for name in here.loras:
        if name not in told.loras and name not in renamed:
            yield f"has {name!r} besides"


def _behind(scale: str) -> str:
    return "" if scale == "1" else f":{scale}"
