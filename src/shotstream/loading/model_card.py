"""The card of a model: what the hub, and people, are told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from shotstream.loading.hashes import count_weights, hash_weights

TAGS = ["shotstream", "text-to-video", "multi-shot", "streaming", "autoregressive"]
PAPER = "2603.25746"

_TEXT = """
# {name}

Tells stories shot by shot: frames of a shot can be watched while it is being made, and a cut starts the next
shot, which remembers the cast and the place. Made for [ShotStream](https://arxiv.org/abs/{paper}).

## What it makes

| | |
|---|---|
| pictures | {height}x{width} pixels as trained, {fps:g} frames per second |
| shot | {window} chunks of {chunk} latent frames as trained; longer ones go on in a sliding window |
| memory | {context} frames of earlier shots |
| steps | {steps} for each chunk, without guidance |
| caption | `{template}` |

## Parts

| part | class | parameters |
|---|---|---|
{parts}

SHA-256 over all weight files: `{sha256}`.

## Use

```bash
pip install "shotstream[video]"
```

```python
from shotstream import ShotStreamPipeline, Story

pipe = ShotStreamPipeline.from_pretrained("{repository}")
for chunk in pipe.stream(Story(setting="...", shots=["...", "..."])):
    ...  # chunk.frames, uint8 [T, H, W, 3]
```

With diffusers alone in the script; the package must be installed all the same, for the files here import it:

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained(
    "{repository}", custom_pipeline="{repository}", trust_remote_code=True
)
frames = pipe(["...", "..."], setting="...").frames  # a shot each
```

## Where it comes from

{sources}

## Limits

It makes fiction: what is seen did not happen, and must not be passed off as if it had. Nothing here looks for
harmful prompts or frames. It favours and lacks what its training data do. How well this copy follows prompts
was not measured for this card.
"""


def model_card(folder: Path, repository: str, licence: str | None = None) -> ModelCard:
    """Make the card of a model. A README.md that the folder has keeps its text; missing metadata is added.

    Args:
        folder: The model's folder.
        repository: Its name on the hub, "owner/name".
        licence: The hub's name of its licence; None for what the README.md or sources.json says.

    Raises:
        ValueError: If no licence is known, or a file cannot be read.
    """
    own = folder / "README.md"
    card = ModelCard(own.read_text(encoding="utf-8")) if own.is_file() else None
    sources = _read(folder / "sources.json") if (folder / "sources.json").is_file() else []
    known = {str(source["licence"]).lower() for source in sources}
    licence = (
        licence or (card.data.get("license") if card else None) or (known.pop() if len(known) == 1 else None)
    )
    if not isinstance(licence, str):
        raise ValueError(
            "nothing here says under which licence this model is; say it as the hub calls it, "
            "e.g. --licence apache-2.0"
        )
    added = ModelCardData(
        license=licence,
        library_name="diffusers",
        pipeline_tag="text-to-video",
        tags=TAGS,
        base_model=sorted({str(source["repository"]) for source in sources}) or None,
    )
    if card is None:
        text = _TEXT.format(repository=repository, sources=_sources(sources), **_facts(folder, repository))
        return ModelCard(f"---\n{added.to_yaml()}\n---\n{text}")
    for field, value in added.to_dict().items():
        if field == "license" or card.data.get(field) is None:
            card.data[field] = value
    return card


def _facts(folder: Path, repository: str) -> dict[str, Any]:
    index = _read(folder / "model_index.json")
    transformer = _read(folder / "transformer" / "config.json")
    schedule = _read(folder / "scheduler" / "scheduler_config.json")
    names = [name for name, value in index.items() if isinstance(value, list) and value[0]]
    rows = [f"| {name} | `{index[name][1]}` | {_millions(folder / name)} |" for name in names]
    return {
        "name": repository.partition("/")[2],
        "paper": PAPER,
        "height": index["height"],
        "width": index["width"],
        "fps": index["fps"],
        "template": index["caption_template"],
        "window": transformer["window_chunks"],
        "chunk": transformer["chunk_frames"],
        "context": transformer["context_frames"],
        "steps": len(schedule["student_timesteps"]),
        "parts": "\n".join(rows),
        "sha256": hash_weights(folder),
    }


def _millions(part: Path) -> str:
    count = count_weights(part)
    return f"{count / 1e6:.1f} million" if count else "none"


def _sources(sources: list[Mapping[str, Any]]) -> str:
    if not sources:
        return "The folder keeps no record of where its weights come from."
    rows = [
        f"| {source['part']} | [{source['repository']}](https://huggingface.co/{source['repository']}) "
        f"| {source['revision']} | {source['licence']} |"
        for source in sources
    ]
    return "\n".join(["| part | from | revision | licence |", "|---|---|---|---|", *rows])


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); export the model again") from error
