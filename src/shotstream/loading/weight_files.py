"""Weight files made elsewhere: read without running code in them, or refused in a sentence."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from shotstream.loading.file_kinds import CheckpointError, check_weight_file

WRAPPERS = ("generator_ema", "generator", "model_ema", "model", "state_dict")
"""Names under which training code keeps a network's weights; the first that is there is taken."""
NETWORKS = (
    *WRAPPERS,
    "critic",
    "fake_score",
    "real_score",
    "teacher",
    "discriminator",
    "generator_lora",
    "critic_lora",
)
"""What training code calls the networks of a checkpoint."""
PREFIX = re.compile(
    r"(?:^|(?<=\.))(model|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module|_orig_mod|generator"
    r"|generator_ema|generator_lora|diffusion_model|base_model\.model|transformer|pipe|dit)\."
)
"""What wrappers and programs put before, or between, the names of weights."""
_NUMBERS = (
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_MOST_INDEX_BYTES = 2**26
_SHARD = re.compile(r"[^/\\\0]+\.safetensors")
_PART_OF_SEVERAL = (
    "holds one process's part of a network that several shared out (DTensor); gather it with "
    "torch.distributed.checkpoint.state_dict.get_model_state_dict (full_state_dict=True), and save that"
)
_IN_PICKLE = re.compile(r"GLOBAL:? (?:`)?([\w.]+)")
"""How torch names what a file would call; see `_say_refused`."""


class CheckpointWarning(UserWarning):
    """Weights can be used, and something about them should be known."""


def read_weights(path: Path) -> dict[str, Any]:
    """Read a weight file, or a folder of safetensors files.

    Args:
        path: ``.safetensors``, or what ``torch.save`` wrote; a folder with one safetensors file or with the
            index of several.

    Returns:
        What is in it by name: tensors, mapped from the file where that is possible, or dicts of such.

    Raises:
        CheckpointError: If it is not there, cut off, something else, or would run code.
    """
    if path.is_dir():
        return _read_folder(path)
    check_weight_file(path)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the headers of safetensors files.

    Args:
        path: A file or folder that `read_weights` has read; other kinds of file have none.
    """
    told: dict[str, str] = {}
    for file in path.glob("*.safetensors") if path.is_dir() else [path]:
        if file.suffix == ".safetensors" and file.is_file():
            with safe_open(file, framework="pt") as weights:
                told |= weights.metadata() or {}
    return told


@dataclass(frozen=True)
class WeightFile:
    """The weights of one network, and the file that errors about them name."""

    path: Path
    """The file, or the folder of several."""
    tensors: dict[str, Tensor]
    """Weights by name."""

    @classmethod
    def read(cls, path: Path, wrapper: str | None = None) -> WeightFile:
        """Read the weights of one network.

        Args:
            path: See `read_weights`.
            wrapper: See `pick`.

        Raises:
            CheckpointError: If the file cannot be read or holds no such network.
        """
        return cls.pick(read_weights(path), path, wrapper)

    @classmethod
    def pick(cls, found: Mapping[str, Any], path: Path, wrapper: str | None = None) -> WeightFile:
        """Find the weights of one network in what `read_weights` returned.

        Prefixes of wrappers are taken off the names.

        Args:
            found: What `read_weights` returned.
            path: The file it was read from.
            wrapper: Name of the network to take; None for the first of `WRAPPERS` that is there, with a
                `CheckpointWarning` where ``generator`` and ``generator_ema`` differ.

        Raises:
            CheckpointError: If there is no network in it, several and none of `WRAPPERS`, or one name stands
                for two tensors.
        """
        networks = networks_in(found)
        if wrapper is not None and wrapper not in networks:
            names = ", ".join(networks) or "none"
            raise CheckpointError(f"{path} holds no {wrapper!r}; the networks in it: {names}")
        taken = wrapper or next((name for name in WRAPPERS if name in networks), None)
        if taken is None and networks:
            raise CheckpointError(
                f"{path} holds {', '.join(networks)}; say which of them to take (--network, in Python "
                "wrapper=)"
            )
        if taken == "generator_ema" and wrapper is None and _differ(networks, "generator"):
            warnings.warn(
                f"{path} holds generator and generator_ema, which differ; generator_ema, the averaged one, "
                "was taken",
                CheckpointWarning,
                stacklevel=3,
            )
        network = networks[taken] if taken else found
        tensors: dict[str, Tensor] = {}
        for name, value in network.items():
            if _is_part(value):
                raise CheckpointError(f"{path} {_PART_OF_SEVERAL}")
            if not isinstance(value, Tensor):
                raise CheckpointError(
                    f"{path} holds {name!r} of type {type(value).__name__} where a tensor was expected; "
                    "give a file with the weights of one network"
                )
            plain = PREFIX.sub("", str(name))
            if plain in tensors:
                raise CheckpointError(
                    f"{path} holds {plain!r} twice, once as {name!r}; give one of the networks"
                )
            tensors[plain] = value
        if not tensors:
            raise CheckpointError(f"{path} holds no weights")
        return cls(path, tensors)

    def having(self, tensors: Mapping[str, Tensor]) -> WeightFile:
        """Return other weights as those of the same file."""
        return WeightFile(self.path, dict(tensors))

    def converted(self, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> WeightFile:
        """Return the weights by the names that `convert` gives them.

        Raises:
            CheckpointError: In place of the ``ValueError`` that `convert` raises.
        """
        try:
            return self.having(convert(dict(self.tensors)))
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {error}") from error

    def shape(self, name: str, dims: int) -> torch.Size:
        """Return the shape of a weight that tells sizes of its network.

        Args:
            name: Name of the weight.
            dims: Number of dimensions of the shape.

        Raises:
            CheckpointError: If the weight is missing, or such a network cannot have it.
        """
        if name not in self.tensors:
            raise self._lacks(name)
        self.check_numbers(name)
        shape = self.tensors[name].shape
        if len(shape) != dims or 0 in shape:
            raise CheckpointError(
                f"{self.path} holds {name} of shape {list(shape)} where {dims} sizes above 0 are expected; "
                "it is damaged, or of another model"
            )
        return shape

    def count_layers(self, prefix: str) -> int:
        """Count the layers whose weights are named `prefix` and a number, from 0 to the last without gaps.

        Raises:
            CheckpointError: If a number is missing.
        """
        found = {name.removeprefix(prefix).split(".")[0] for name in self.tensors if name.startswith(prefix)}
        wanted = {str(layer) for layer in range(max(len(found), 1))}
        if found != wanted:
            strange = f" and holds {prefix}{min(found - wanted)}" if found else ""
            raise self._lacks(f"{prefix}{min(wanted - found, key=int)}{strange}")
        return len(found)

    def _lacks(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} lacks {what}; is it cut off, or of another model?")

    def check_finite(self) -> None:
        """Refuse weights that are no finite numbers, or whose values are not in the file.

        Raises:
            CheckpointError: With the first of them.
        """
        for name, value in self.tensors.items():
            if value.is_meta or not torch.isfinite(value.sum(dtype=torch.float32)):
                raise CheckpointError(
                    f"{self.path} is damaged: {name} is not a finite number; download it again, or use "
                    "another one"
                )

    def check_fit(self, expected: Mapping[str, Tensor]) -> None:
        """Compare names and shapes with those of a network, whose weights are floating-point numbers.

        Args:
            expected: The network's `state_dict`; may be on the meta device.

        Raises:
            CheckpointError: With the first name that is missing or unknown, or the first shape or kind of
                number that is not right.
        """
        for name, value in expected.items():
            if name not in self.tensors:
                raise self._lacks(f"{name} {list(value.shape)}")
            self.check_numbers(name)
            if self.tensors[name].shape != value.shape:
                found = list(self.tensors[name].shape)
                raise CheckpointError(
                    f"{self.path} holds {name} of shape {found} where {list(value.shape)} is expected; "
                    "it belongs to a model of another size"
                )
        unknown = next((name for name in self.tensors if name not in expected), None)
        if unknown is not None:
            raise CheckpointError(
                f"{self.path} holds {unknown}, which the model does not have; it is of another model"
            )

    def check_numbers(self, name: str) -> None:
        """Refuse a weight whose values are not stored one by one as floating-point numbers.

        Raises:
            CheckpointError: If it is one.
        """
        value = self.tensors[name]
        if (
            value.layout == torch.strided
            and not value.is_nested
            and value.nbytes > value.untyped_storage().nbytes()
        ):
            raise CheckpointError(
                f"{self.path} holds {name} of shape {list(value.shape)}, more values than are in the "
                "file; it is damaged"
            )
        if value.is_nested or value.layout != torch.strided or value.dtype not in _NUMBERS:
            dense = value.layout == torch.strided and not value.is_nested
            kind = str(value.dtype).removeprefix("torch.") if dense else "sparse or nested"
            raise CheckpointError(
                f"{self.path} holds {name} as {kind} values where plain floating-point numbers are expected; "
                "get the weights in bfloat16, float16 or float32"
            )


def networks_in(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Find the networks of a training checkpoint.

    Args:
        found: What `read_weights` returned: dicts of weights, or weights by ``NETWORK.`` and their own names.

    Returns:
        Weights by network; empty if they are those of a single one.
    """
    nested = {str(name): value for name, value in found.items() if isinstance(value, Mapping)}
    nested = {
        name: value for name, value in nested.items() if any(isinstance(v, Tensor) for v in value.values())
    }
    if nested or not found:
        return nested
    groups: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        network, _, rest = str(name).partition(".")
        groups.setdefault(network, {})[rest] = value
    return dict(groups) if len(groups) > 1 and set(groups) <= set(NETWORKS) else {}


def _differ(networks: Mapping[str, Mapping[str, Any]], other: str) -> bool:
    """Whether a checkpoint's averaged generator is another one than `other`, if it has that."""
    if other not in networks:
        return False
    one, two = (
        {PREFIX.sub("", str(name)): value for name, value in networks[network].items()}
        for network in ("generator_ema", other)
    )
    if not all(isinstance(value, Tensor) and not _is_part(value) for value in (*one.values(), *two.values())):
        return False  # it is refused for that
    return one.keys() != two.keys() or not all(torch.equal(value, two[name]) for name, value in one.items())


def _is_part(value: object) -> bool:
    """Whether a tensor is one process's part of one."""
    return type(value).__name__ in ("DTensor", "ShardedTensor")


def _read_folder(folder: Path) -> dict[str, Any]:
    if next(folder.glob("*.distcp"), None):
        raise CheckpointError(
            f"{folder} is a checkpoint of several processes; put it together first: "
            "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE"
        )
    indices, files = sorted(folder.glob("*.safetensors.index.json")), sorted(folder.glob("*.safetensors"))
    if len(indices) == 1:
        try:
            if not indices[0].is_file() or indices[0].stat().st_size > _MOST_INDEX_BYTES:
                raise ValueError
            names = sorted(set(json.loads(indices[0].read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{indices[0]} is no index of weight files; download it again") from error
        if any(not _SHARD.fullmatch(str(name)) for name in names):
            raise CheckpointError(f"{indices[0]} names files outside its folder, so it is not trusted")
        files = [folder / name for name in names]
    elif len(files) != 1:
        count = f"{len(files)} weight files and no index" if files else "no safetensors file"
        raise CheckpointError(f"the folder {folder} has {count}; name the file")
    weights: dict[str, Any] = {}
    for file in files:
        weights |= read_weights(file)
    return weights


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own, and OSError
        raise CheckpointError(f"{path} is damaged or cut off ({error}); download it again") from error


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        zipped = is_zipfile(path)
        if zipped and any("/code/" in name for name in ZipFile(path).namelist()):
            raise CheckpointError(
                f"{path} is a program (TorchScript), so it was not opened; get the weights as safetensors"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells of pickles that it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except Exception as error:  # pickle, zip and torch each raise their own
        raise CheckpointError(f"{path} {_say_refused(error)}") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__} instead of named weights")
    return dict(found)


def _say_refused(error: Exception) -> str:
    """Say in a sentence why torch did not read a file."""
    reason = str(error)
    if "DTensor" in reason or "ShardedTensor" in reason:
        return _PART_OF_SEVERAL
    if "Unsupported operand" in reason or "magic number" in reason:
        return (
            "is a pickle that torch.save did not write; opening it would run what stands in it, so it was "
            "not opened; get the weights as safetensors"
        )
    if isinstance(error, UnpicklingError) and "unsupported" in reason.lower():
        called = _IN_PICKLE.search(reason)
        what = f"code besides weights ({called[1]})" if called else "more than weights"
        return (
            f"holds {what}, which opening it would run, so it was not opened; get the weights as "
            "safetensors, or have their owner save the weights alone"
        )
    if isinstance(error, EOFError) or "unexpected EOF" in reason:
        return "is cut off; download it again"
    return "is damaged or cut off; download it again"
