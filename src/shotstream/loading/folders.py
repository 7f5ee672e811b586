"""Finding a model, and saying in one sentence why it cannot be used.

torch is loaded only where weights are looked at: what cannot be used is refused before.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shotstream.prompts.prompt_form import PromptForm, read_prompt_form

if TYPE_CHECKING:
    from torch import Tensor, nn

SHIPPED = Path(__file__).parents[1] / "weights"
"""Models that come with the package."""


_MADV_PAGEOUT = 21
_MOST_CONFIG_BYTES = 2**24
_SIZED = ("model_index.json", "transformer/config.json", "vae/config.json")
_CONFIGS = ("model_index.json", "config.json", "scheduler_config.json")
_MOST_REPEATS, _MOST_SIZE, _MOST_PIXELS = 2**10, 2**20, 2**14
_REPEATED = re.compile(r"layers|blocks|depth|heads$|chunks|frames|spatial_embedding")
"""Entries of configs that count layers of a network, frames of a video or tokens in a row."""
_SMALL_BYTES = 2**20


class ModelError(ValueError):
    """A model cannot be used; the message says why and what to do."""


def locate_model(name: str | Path) -> str:
    """Turn a model's name into a folder, or leave it for the hub.

    Args:
        name: The name of a shipped model, a folder, or "owner/name" on the hub.

    Raises:
        ModelError: If it is meant to be here and is not.
    """
    shipped, folder = SHIPPED / str(name), Path(name).expanduser()
    if str(name).isidentifier() and shipped.is_dir():
        folder = shipped
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelError(f"the folder {folder} holds no model (no model_index.json); export one there")
        return str(folder)
    if len(folder.parts) == 2 and not folder.is_absolute() and folder.parts[0] not in ("..", "~"):
        return str(name)
    raise ModelError(
        f"there is no model {str(name)!r} here: it does not come with this installation and is no folder; "
        'give the folder of an exported model, or "owner/name" of one on the hub'
    )


class PictureSizes(NamedTuple):
    """What pictures a model makes, in pixels."""

    height: int
    """That it was trained at."""
    width: int
    rows: int
    """Heights must be multiples of it."""
    columns: int
    """Widths must be multiples of it."""


def read_sizes(folder: Path) -> PictureSizes | None:
    """Read from a model's configs which pictures it makes; None if they cannot be read: loading tells why."""
    try:
        index, transformer, vae = (json.loads((folder / path).read_text(encoding="utf-8")) for path in _SIZED)
        (_, rows, columns), ratio = transformer["patch_size"], int(vae.get("scale_factor_spatial", 8))
        return PictureSizes(
            int(index["height"]), int(index["width"]), ratio * int(rows), ratio * int(columns)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def read_form(folder: Path) -> PromptForm | None:
    """Read the form of a model's prompts from its folder; None if it reads plain text.

    Raises:
        ModelError: If the folder is not there, or its form cannot be used.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        form = index.get("prompt_form")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the form of the prompts of {str(folder)!r} cannot be read: the model is not on this disk, or "
            "damaged; fetch it first (shotstream download)"
        ) from error
    try:
        return None if form is None else read_prompt_form(form)
    except ValueError as error:
        raise ModelError(str(error)) from error


def fetch_configs(name: str) -> Path:
    """Fetch from the hub what `read_sizes` reads, which is little; what is here is not asked for.

    Returns:
        The model's folder; one without those files if they cannot be had, which loading tells.
    """
    if Path(name).is_dir():
        return Path(name)
    import huggingface_hub
    from huggingface_hub import constants

    cache = constants.HF_HUB_CACHE
    known = [huggingface_hub.try_to_load_from_cache(name, file, cache_dir=cache) for file in _SIZED]
    try:
        files = [
            here if isinstance(here, str) else huggingface_hub.hf_hub_download(name, file, cache_dir=cache)
            for file, here in zip(_SIZED, known, strict=True)
        ]
    except Exception:  # the hub's client and what is below it each raise their own
        return Path(name)
    return Path(files[0]).parent


@contextmanager
def load_errors(name: str | Path) -> Iterator[None]:
    """Turn what libraries raise while a model is loaded into one sentence.

    Raises:
        ModelError: In place of any other error.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # diffusers, transformers, safetensors and the hub each raise their own
        raise ModelError(
            f"the model {str(name)!r} cannot be loaded: {shorten(error)}; "
            "check the folder or name, or fetch or export the model again"
        ) from error


def check_configs(folder: Path) -> None:
    """Refuse sizes in a model's configs that no model has, before anything is made of them.

    Args:
        folder: The folder of a model, or of a part.

    Raises:
        ModelError: With the first of them.
    """
    for path in sorted(folder.rglob("*.json")):
        if path.name not in _CONFIGS or not path.is_file():
            continue
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            raise ModelError(f"{path} is too big for a config; it is damaged, or something else")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{path} cannot be loaded: it is no JSON ({shorten(error)}); fetch or export the model again"
            ) from error
        for entry, size in _sizes(config):
            most = _MOST_REPEATS if _REPEATED.search(entry) else _MOST_SIZE
            most = _MOST_PIXELS if entry in ("height", "width") else most
            if size > most:
                raise ModelError(
                    f"{path} has {entry} {size}, and no model has more than {most}; it is damaged: fetch or "
                    "export the model again"
                )


def _sizes(config: object, entry: str = "") -> Iterator[tuple[str, int]]:
    """All whole numbers in a config, each with the name of its entry; a list counts by its length, too."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _sizes(value, str(name))
    elif isinstance(config, list):
        yield f"entries of {entry}", len(config)
        for value in config:
            yield from _sizes(value, entry)
    elif isinstance(config, int):
        yield entry, abs(config)


def check_weights(place: str, components: Mapping[str, Any]) -> None:
    """Refuse weights that are missing (libraries only warn, and go on with random ones) or no finite numbers.

    Args:
        place: The folder, where what is missing can be told, or a name on the hub.
        components: The loaded parts by name.

    Raises:
        ModelError: With the first such weight.
    """
    import torch

    networks = {part: module for part, module in components.items() if isinstance(module, torch.nn.Module)}
    for part, module in networks.items():
        missing = _missing_weights(Path(place, part), module)
        if missing:
            raise ModelError(f"the model {place!r} lacks {missing[0]} of its {part}; export it again")
        for weight, values in module.named_parameters():
            if type(values.detach()) is not torch.Tensor:
                continue  # a library quantised it, and may lack this question
            if values.numel() and not torch.stack(values.detach().aminmax()).isfinite().all():  # no copy
                raise ModelError(
                    f"the model {place!r} is damaged: {weight} of its {part} is not a finite number; "
                    "use an earlier checkpoint or fetch it again"
                )


def _missing_weights(folder: Path, module: nn.Module) -> list[str]:
    """Parameters that no file in `folder` holds, under this or a tied name; none if it holds no files."""
    from safetensors import safe_open

    stored: set[str] = set()
    for file in filter(Path.is_file, folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            stored |= set(weights.keys())
    parameters = list(module.named_parameters(remove_duplicate=False)) if stored else []
    found = {id(values) for weight, values in parameters if weight in stored}
    return [weight for weight, values in parameters if id(values) not in found]


def align_weights(components: Mapping[str, Any]) -> None:
    """Move weights that lie across cache lines, as they do in a mapped file, to memory of their own.

    Kernels round differently there (and may be slower), so the same weights would not give the same bytes.
    The file's pages are given back one weight after the other, so that a network is not in memory twice.
    """
    import torch

    for module in components.values():
        for values in module.parameters() if isinstance(module, torch.nn.Module) else ():
            if values.device.type == "cpu" and values.data_ptr() % 64:
                mapped, values.data = values.data, values.data.clone()
                if mapped.nbytes > _SMALL_BYTES:
                    _page_out(mapped)


def _page_out(values: Tensor) -> None:
    """Tell Linux that this memory will not be read soon; a file's pages leave it, nothing is ever lost."""
    if sys.platform != "linux":
        return
    start = -(-values.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    size = values.data_ptr() + values.nbytes - start
    if size > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_PAGEOUT)


def shorten(error: Exception) -> str:
    """The first sentence of a library's error, without its closing stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentence = lines[0] if lines else type(error).__name__
    return sentence.split(". ")[0].rstrip(".:;")[:300]
