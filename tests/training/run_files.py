"""What a stage leaves in its folder: metrics and weights."""

import json

from safetensors.torch import load_file


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "steps_per_second"} for line in lines]


def weights(folder):
    files = sorted((folder / "export").rglob("*.safetensors"))
    return {f"{file.name}.{name}": tensor for file in files for name, tensor in load_file(file).items()}
