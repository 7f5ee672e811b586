"""ShotStream: tell a story shot by shot and watch it while it is generated.

Names are loaded when first used, so that ``import shotstream`` stays light (no torch).
"""

from importlib import import_module
from typing import Any

from shotstream.machine.threads import limit_spinning

__version__ = "0.1.0"

limit_spinning()  # torch, which comes later, reads the environment once

_EXPORTS = {
    "BestTakes": "shotstream.streaming.best_take",
    "CausalWanTransformer3DModel": "shotstream.models.transformer",
    "Chunk": "shotstream.streaming.chunk",
    "FlowSchedule": "shotstream.diffusion.schedule",
    "Shot": "shotstream.story",
    "ShotStreamPipeline": "shotstream.streaming.pipeline",
    "Story": "shotstream.story",
    "StorySession": "shotstream.streaming.session",
    "TakeRule": "shotstream.streaming.best_take",
    "TinyVideoAutoencoder": "shotstream.models.autoencoder_tiny",
    "TinyWanDecoder": "shotstream.models.autoencoder_taew",
    "find_meter": "shotstream.evaluation.continuity_tools",
    "write_story": "shotstream.streaming.exported",
}

# diffusers looks beside a component's class for the base class that says how to load it.
_BASES = {"ModelMixin": "diffusers", "SchedulerMixin": "diffusers"}

__all__ = [*sorted(_EXPORTS), "__version__"]


def __getattr__(name: str) -> Any:
    home = _EXPORTS.get(name) or _BASES.get(name)
    if home is None:
        raise AttributeError(f"module 'shotstream' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
