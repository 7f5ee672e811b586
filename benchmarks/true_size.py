"""Write a model folder of Wan 2.1 T2V 1.3B's true size with random weights, umT5-xxl included: 14 GiB.

    python benchmarks/true_size.py FOLDER
    shotstream generate STORY --model FOLDER

It shows that a machine can carry the model, not what the model can do: its pictures are noise. The tokenizer
is a small one that knows the words of the examples in stories/, because umT5's cannot be made up.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.benchmark.random_models import make_random_pipeline
from shotstream.models.text import make_tokenizer
from shotstream.streaming.vram_sizes import UMT5_XXL

STORIES = Path(__file__).parents[1] / "src/shotstream/stories"


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Random matrices, norms of one and biases of zero."""
    for name, values in network.named_parameters():
        if values.ndim > 1:
            values.normal_(std=0.02)
        else:
            values.fill_(0.0 if "bias" in name else 1.0)


def write(folder: Path) -> None:
    """Write the folder; takes 12 GiB of memory, one part after the other, and some minutes."""
    pipeline = make_random_pipeline("wan-1.3b", torch.device("cpu"), torch.bfloat16)
    words = " ".join(path.read_text(encoding="utf-8") for path in STORIES.glob("*.yaml")).split()
    pipeline.tokenizer = make_tokenizer([*words, "shot", *"0123456789"])
    fill(pipeline.transformer)
    pipeline.save_pretrained(folder)
    del pipeline
    torch.set_default_dtype(torch.bfloat16)
    encoder = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
    fill(encoder)
    encoder.save_pretrained(folder / "text_encoder")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
