"""A model's folder for the hub: its own files, the card, and what plain diffusers opens it with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from shotstream.loading.folder_code import FOLDER_CODE, folder_code
from shotstream.loading.folders import check_configs, locate_model
from shotstream.loading.model_card import model_card

_KINDS = (".json", ".safetensors", ".txt", ".model", ".jinja")
_TOP = ("LICENSE", "NOTICE", "sources.json", "model_index.json")


@dataclass(frozen=True)
class Upload:
    """What is sent to the hub."""

    repository: str
    """"owner/name"."""
    files: dict[str, Path | str]
    """Every file by its name there: where it is here, or its text."""
    left_out: list[str]
    """What lies in the folder and is no part of the model."""

    def size(self, name: str) -> int:
        """Bytes of a file."""
        content = self.files[name]
        return content.stat().st_size if isinstance(content, Path) else len(content.encode())


def plan_upload(model: str | Path, repository: str, licence: str | None = None) -> Upload:
    """Choose and make the files of a model on the hub; nothing is sent.

    Args:
        model: A folder, or the name of a model that comes with the package.
        repository: "owner/name".
        licence: See `model_card`.

    Raises:
        ValueError: In a sentence, if it is no model, its name is none, or no licence is known.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"a model on the hub cannot be called {repository!r}: {error}") from error
    if repository.count("/") != 1:
        raise ValueError(f"{repository!r} is no place on the hub; give owner/name")
    folder = Path(locate_model(model))
    if not folder.is_dir():
        raise ValueError(f"{model} is no folder here; give the folder of a model")
    check_configs(folder)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts = {name for name, value in index.items() if isinstance(value, list) and value[0]}
    if missing := sorted(part for part in parts if not (folder / part).is_dir()):
        raise ValueError(f"{folder} lacks its {missing[0]}; export the model again")
    made: dict[str, Path | str] = {"README.md": str(model_card(folder, repository, licence))}
    made.update(folder_code(index, repository))
    files: dict[str, Path | str] = {}
    left_out = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        top, _, inside = name.partition("/")
        if name in _TOP or (inside and top in parts and path.suffix in _KINDS):
            files[name] = path
        elif name not in (*FOLDER_CODE, "README.md"):
            left_out.append(name)
    return Upload(repository, {**files, **made}, left_out)


def send(upload: Upload, *, private: bool = False, message: str = "Upload model") -> str:
    """Send a model to the hub in one commit; the repository is made if there is none.

    Args:
        upload: See `plan_upload`.
        private: Whether a new repository is for its owner alone.
        message: Of the commit.

    Returns:
        Where it is now.

    Raises:
        ValueError: In a sentence, if the hub refuses it.
    """
    api = HfApi(library_name="shotstream")
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in upload.files.items()}
    try:
        api.create_repo(upload.repository, private=private, exist_ok=True)
        made = api.create_commit(
            upload.repository,
            [CommitOperationAdd(name, content) for name, content in contents.items()],
            commit_message=message,
        )
    except HfHubHTTPError as error:
        raise ValueError(
            f"the hub refused {upload.repository} ({str(error).splitlines()[0]}); log in with "
            "`hf auth login` as somebody who may write there"
        ) from error
    return made.commit_url
