"""What ComfyUI gives a node: progress, previews, an interrupt, folders and video objects.

Everything here also works without ComfyUI: there is then no progress, no interrupt, and a folder of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PREVIEW_PIXELS = 512
"""Longest side of a preview."""


class Host:
    """Progress, previews and interrupts of a run.

    Args:
        steps: Denoising steps that will be made.
    """

    def __init__(self, steps: int) -> None:
        self._done = 0
        self._steps = steps
        self._bar: Any = None
        if steps:
            try:
                from comfy.utils import ProgressBar  # pyright: ignore[reportMissingImports]
            except ImportError:
                return
            self._bar = ProgressBar(steps)

    def step(self, *_: Any) -> None:
        """Count a denoising step; raises ComfyUI's exception if the user wants to stop."""
        check_interrupt()
        self._done += 1
        if self._bar is not None:
            self._bar.update_absolute(self._done, self._steps)

    def show(self, picture: np.ndarray) -> None:
        """Show a picture, uint8 ``[H, W, 3]``, in the running node."""
        if self._bar is not None:
            preview = ("JPEG", Image.fromarray(picture), PREVIEW_PIXELS)
            self._bar.update_absolute(self._done, self._steps, preview)


def check_interrupt() -> None:
    """Raise ComfyUI's exception if the user wants to stop."""
    try:
        from comfy.model_management import (  # pyright: ignore[reportMissingImports]
            throw_exception_if_processing_interrupted,
        )
    except ImportError:
        return
    throw_exception_if_processing_interrupted()


def temporary_folder() -> Path:
    """The folder of files that need not outlive ComfyUI."""
    try:
        import folder_paths  # pyright: ignore[reportMissingImports]
    except ImportError:
        return Path(tempfile.gettempdir(), "comfyui_shotstream")
    return Path(folder_paths.get_temp_directory())


def model_names() -> list[str]:
    """Models to choose from: mini, and the folders in ComfyUI's ``models/shotstream``."""
    folder = _models_folder()
    found = sorted(path.parent.name for path in folder.glob("*/model_index.json")) if folder else []
    return ["mini", *found]


def find_model(name: str) -> str:
    """The folder of a model of `model_names`; other names are left as they are."""
    folder = _models_folder()
    if folder and name != "mini" and (folder / name / "model_index.json").is_file():
        return str(folder / name)
    return name


def lora_names() -> list[str]:
    """LoRA files in ComfyUI's folders."""
    try:
        import folder_paths  # pyright: ignore[reportMissingImports]
    except ImportError:
        return []
    return list(folder_paths.get_filename_list("loras"))


def find_lora(name: str) -> Path:
    """The file of one of `lora_names`; a path is left as it is."""
    try:
        import folder_paths  # pyright: ignore[reportMissingImports]
    except ImportError:
        return Path(name)
    return Path(folder_paths.get_full_path("loras", name) or name)


def video_of(path: Path) -> Any:
    """ComfyUI's VIDEO of a file, as core nodes take it; the path itself where there is none."""
    try:
        from comfy_api.input_impl import VideoFromFile  # pyright: ignore[reportMissingImports]
    except ImportError:
        return str(path)
    return VideoFromFile(file=str(path))


def _models_folder() -> Path | None:
    try:
        import folder_paths  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return Path(folder_paths.models_dir, "shotstream")
