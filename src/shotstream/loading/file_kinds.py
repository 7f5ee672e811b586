"""What a file is that somebody brings as weights, told from its first bytes; nothing here loads torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

_SIGNS = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights; fetch them with `git lfs pull`",
    b"<!doctype html": "a web page, not weights; download the file itself",
    b"<html": "a web page, not weights; download the file itself",
    b"gguf": "in GGUF's format, with weights of few bits; get the weights in bfloat16, float16 or float32",
    b"\x93numpy": "a NumPy array; get the weights as safetensors",
    b"\x89png": "a picture (PNG), not weights; give a weight file",
    b"\xff\xd8\xff": "a picture (JPEG), not weights; give a weight file",
    b"\x1f\x8b": "packed with gzip; unpack it and give the weight file in it",
    b"7z\xbc\xaf": "a 7z archive; unpack it and give the weight file in it",
    b"rar!": "a RAR archive; unpack it and give the weight file in it",
}
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_OLD_PICKLE = re.compile(rb"[(}\]]?c[\w.]+\n[\w.]+\n")
"""How a pickle of letters begins that calls something."""
_START_BYTES = 4096
_SHOWN = 30


class CheckpointError(ValueError):
    """Weights cannot be used; the message says why and what to do."""


def check_weight_file(path: Path) -> None:
    """Refuse what cannot be a weight file by its name and its first bytes.

    Args:
        path: ``.safetensors``, or any other name for what ``torch.save`` wrote.

    Raises:
        CheckpointError: If it is not there, is empty, or is something else.
    """
    if not path.is_file():
        if path.exists():
            raise CheckpointError(f"{path} is no file (a pipe or a device); give a weight file")
        raise CheckpointError(f"there is no weight file {path}; check the path, or download it")
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start:
        raise CheckpointError(f"{path} is empty; download it again")
    for sign, what in _SIGNS.items():
        if start.lower().startswith(sign):
            raise CheckpointError(f"{path} is {what}")
    what = _safetensors_instead(path, start) if path.suffix == ".safetensors" else _torch_instead(path, start)
    if what:
        raise CheckpointError(f"{path} is {what}")


def _safetensors_instead(path: Path, start: bytes) -> str | None:
    """What a file called ``.safetensors`` is instead; None if it may be that."""
    if _is_safetensors(start):
        return None
    if start.startswith(_ZIP) and _names_in(path, "data.pkl"):
        return "a file of torch.save under another name; call it .pt"
    return _text_of(start)


def _torch_instead(path: Path, start: bytes) -> str | None:
    """What a file of any other name is instead of one that ``torch.save`` wrote; None if it may be that."""
    if start.startswith(_PICKLE) or _OLD_PICKLE.match(start):
        return None
    if _is_safetensors(start):
        return "a safetensors file under another name; call it .safetensors"
    if not start.startswith(_ZIP):
        return _text_of(start) or (
            "no weight file: neither torch.save nor safetensors wrote it; download it again, or give another"
        )
    if not is_zipfile(path):
        return "cut off (a zip archive without its end); download it again"
    if _names_in(path, "data.pkl") or any("/code/" in name for name in _names_in(path)):
        return None
    names = ", ".join(_names_in(path)[:2]) or "nothing"
    return f"a zip archive of {names}, not of weights; unpack it and give the weight file in it"


def _is_safetensors(start: bytes) -> bool:
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


def _names_in(path: Path, end: str = "") -> list[str]:
    """Names in a zip archive that end so; none if it is damaged."""
    try:
        with ZipFile(path) as archive:
            return [name for name in archive.namelist() if name.endswith(end)]
    except (BadZipFile, OSError, ValueError):
        return []


def _text_of(start: bytes) -> str | None:
    """What a text is; None if the bytes are none."""
    try:
        text = start[: -3 if len(start) == _START_BYTES else None].decode()
    except UnicodeDecodeError:
        return None
    if not all(sign.isprintable() or sign.isspace() for sign in text):
        return None
    line = " ".join(text.split())
    shown = json.dumps(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...", ensure_ascii=False)
    return f"a text that begins with {shown}, not weights; give a weight file"
