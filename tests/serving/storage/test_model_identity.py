"""A story goes on with the weights that began it, wherever they lie now."""

from __future__ import annotations

import pytest

from shotstream.serving.storage.other_model import say_other_model
from shotstream.serving.storage.stored import MadeWith
from tests.serving import conftest

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


GRAIN, STYLE = f" grain {OTHER} x0.5", f" style {HASH} x1"


def test_with_loras_too_the_folders_name_makes_no_other_model():
    assert identity(f"mini fast {HASH}{GRAIN}{STYLE} tiny") == identity(
        f"copy fast {HASH}{GRAIN}{STYLE} tiny"
    )
    assert MadeWith(f"mini {HASH}{GRAIN}{STYLE} tiny", 1, 1, 1.0).loras == {
        "grain": (OTHER, "0.5"),
        "style": (HASH, "1"),
    }


@pytest.mark.parametrize(
    ("told", "here", "said"),
    [
        (GRAIN + STYLE, "", "other LoRAs: this studio lacks 'grain', and lacks 'style'. "),
        (GRAIN + STYLE, STYLE, "other LoRAs: this studio lacks 'grain'. "),
        (GRAIN, STYLE, "other LoRAs: this studio lacks 'grain', and has 'style' besides. "),
        (GRAIN, f" grain {HASH} x0.5", "other LoRAs: this studio has another LoRA called 'grain'. "),
        (GRAIN, f" grain {OTHER} x1", "other LoRAs: this studio uses 'grain' at 1 instead of 0.5. "),
        (GRAIN, f" noise {OTHER} x0.5", "other LoRAs: this studio calls 'grain' 'noise'. "),
        ("", STYLE, "no LoRAs: this studio has 'style' besides. "),
    ],
)
@pytest.mark.parametrize("decoder", ["", " tiny"])
def test_other_loras_are_said_with_what_to_do(told: str, here: str, said: str, decoder: str):
    models = (MadeWith(f"mini {HASH}{loras}{decoder}", 16, 16, 8.0) for loras in (told, here))
    sentence = say_other_model(*models)
    assert sentence.startswith(f"the story was told with {said}To go on, start the studio again ")
    options = " ".join(
        f"--lora {one}"
        for name, one in (("grain", "grain.safetensors:0.5"), ("style", "style.safetensors"))
        if name in told
    )
    assert (f"with {options} (the files" if options else "again without --lora. ") in sentence
    assert sentence.endswith("The story can be watched and exported here")


def test_another_model_with_other_loras_is_another_model():
    told, here = (MadeWith(f"mini {weights}{STYLE}", 16, 16, 8.0) for weights in (HASH, OTHER))
    assert say_other_model(told, here).endswith("goes on where that model runs")
    assert say_other_model(told, told._replace(model=f"mini {OTHER}")).endswith("where that model runs")


def test_a_studio_without_a_storys_lora_says_so(make_studio, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(conftest, "MADE_WITH", MadeWith(f"tiny {HASH}{STYLE}", 16, 16, 8.0))
        studio = make_studio()
        story = studio.begin().story
    monkeypatch.setattr(conftest, "MADE_WITH", MadeWith(f"copy {HASH}", 16, 16, 8.0))
    with pytest.raises(ValueError, match=r"this studio lacks 'style'\. To go on, start the studio again"):
        make_studio(studio.store.copy()).open(story)
