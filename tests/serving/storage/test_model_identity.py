"""A story goes on with the weights that began it, wherever they lie now."""

from __future__ import annotations

import pytest

from shotstream.serving.storage.stored import MadeWith

pytestmark = pytest.mark.unit

HASH, OTHER = "0123456789ab", "ba9876543210"


def identity(model: str, *size: float) -> object:
    height, width, fps = size or (128, 192, 12.0)
    return MadeWith(model, int(height), int(width), fps).identity


@pytest.mark.parametrize(
    "numbers",
    ["", " bfloat16", " bfloat16 fast float8 float8 attention", " float8 attention=flash blocks=compiled"],
)
@pytest.mark.parametrize("decoder", ["", " tiny"])
@pytest.mark.parametrize("folder", ["copy of mini", "fast", "mini tiny", "bfloat16 fast", HASH])
def test_the_folders_name_makes_no_other_model(numbers, decoder, folder):
    known = identity(f"mini{numbers} {HASH}{decoder}")
    named = f"{folder}{numbers} {HASH}{decoder}"
    if folder == "bfloat16 fast":  # its last word cannot be told from what changes numbers
        named = named.replace("bfloat16 fast", "fast bfloat17", 1)
    assert identity(named) == known


def test_other_weights_numbers_decoders_and_sizes_are_another_model():
    models = [
        f"mini {HASH}",
        f"mini {OTHER}",
        f"mini fast {HASH}",
        f"mini float8 {HASH}",
        f"mini {HASH} tiny",
        f"mini blocks=compiled {HASH}",
    ]
    others = {identity(model) for model in models} | {identity(models[0], 128, 192, 16.0)}
    assert len(others | {identity(models[0], 64, 192, 12.0)}) == 8


def test_a_name_of_another_kind_is_compared_as_it_is():
    assert identity("tiny") == identity("tiny") != identity("mini")
