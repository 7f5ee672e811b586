"""The files that let plain diffusers open a saved model: they import this package, and are no copy of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PIPELINE_FILE = "pipeline.py"
"""diffusers' own name for it: ``custom_pipeline`` may be the folder, or "pipeline"."""
BLOCKS_FILE = "modular_blocks.py"
BLOCKS_CONFIG, MODULAR_INDEX = "modular_config.json", "modular_model_index.json"
FOLDER_CODE = (PIPELINE_FILE, BLOCKS_FILE, BLOCKS_CONFIG, MODULAR_INDEX)
"""Names of all files that `folder_code` makes."""

_IMPORT = '''"""{title}; the code is in the package shotstream."""

try:
    import shotstream  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "shotstream":
        raise
    raise ImportError(
        "this model is made by ShotStream's own networks, and the package shotstream is not installed: "
        'pip install "shotstream[video]"'
    ) from error

from {module} import {name}

__all__ = ["{name}"]
'''
_PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
_SETTINGS = ("fps", "height", "width", "caption_template", "memory_rule", "prompt_form")


def folder_code(index: Mapping[str, Any], repository: str | None = None) -> dict[str, str]:
    """Make the files that plain diffusers opens a model with.

    Args:
        index: Its ``model_index.json``.
        repository: The hub's name of the model, if that is where it will be; None for a folder on a disk.

    Returns:
        Their texts by name.
    """
    pipeline = _IMPORT.format(
        title="Opens this model with DiffusionPipeline.from_pretrained(..., custom_pipeline=...)",
        module="shotstream",
        name="ShotStreamPipeline",
    )
    blocks = _IMPORT.format(
        title="Opens this model with ModularPipeline.from_pretrained",
        module="shotstream.streaming.blocks",
        name="ShotStreamBlocks",
    )
    config = {
        "_class_name": "ShotStreamBlocks",
        "_diffusers_version": index["_diffusers_version"],
        "auto_map": {"ModularPipelineBlocks": f"{Path(BLOCKS_FILE).stem}.ShotStreamBlocks"},
    }
    modular: dict[str, Any] = {
        "_class_name": "ModularPipeline",
        "_diffusers_version": index["_diffusers_version"],
        "_blocks_class_name": "ShotStreamBlocks",
        **{setting: index[setting] for setting in _SETTINGS if setting in index},
    }
    for part in _PARTS:
        place = {
            "pretrained_model_name_or_path": repository,
            "subfolder": part,
            "variant": None,
            "revision": None,
        }
        modular[part] = [*index[part], {"type_hint": index[part], **place}]
    return {
        PIPELINE_FILE: pipeline,
        BLOCKS_FILE: blocks,
        BLOCKS_CONFIG: json.dumps(config, indent=2) + "\n",
        MODULAR_INDEX: json.dumps(modular, indent=2) + "\n",
    }
