"""ShotStream: tell a story shot by shot and watch it while it is generated.

Names are loaded when first used, so that ``import shotstream`` stays light (no torch).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "CausalWanTransformer3DModel": "shotstream.models.transformer",
    "Chunk": "shotstream.streaming.chunk",
    "FlowSchedule": "shotstream.diffusion.schedule",
    "Shot": "shotstream.story",
    "ShotStreamPipeline": "shotstream.streaming.pipeline",
    "Story": "shotstream.story",
    "StorySession": "shotstream.streaming.session",
    "TinyVideoAutoencoder": "shotstream.models.autoencoder_tiny",
}

__all__ = [*sorted(_EXPORTS), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'shotstream' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
