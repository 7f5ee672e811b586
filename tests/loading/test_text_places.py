from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import UMT5Config, UMT5EncoderModel

from shotstream import ShotStreamPipeline, Story
from shotstream.loading.eight_bit import EightBitLinear
from shotstream.loading.folders import ModelError
from shotstream.loading.text_source import TextSource, choose_text_place
from shotstream.machine.free_space import free_memory


@pytest.fixture(scope="module")
def story() -> Story:
    shots = [{"prompt": "runs", "chunks": 1}, {"prompt": "sleeps", "chunks": 1}]
    return Story.model_validate({"setting": "a red fox", "seed": 4, "shots": shots})


@pytest.fixture(scope="module")
def saved(make_pipeline, tmp_path_factory) -> Path:
    """A tiny model with a tiny umT5, whose cache does not see where the user's is."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline = make_pipeline()
    torch.manual_seed(0)
    sizes = {"vocab_size": len(pipeline.tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2}
    pipeline.text_encoder = UMT5EncoderModel(UMT5Config(**sizes, num_heads=2)).eval()
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def loads(monkeypatch) -> list[weakref.ref]:
    """Text encoders that were read after loading."""
    found: list[weakref.ref] = []
    read = TextSource.read

    def watched(self):
        encoder = read(self)
        found.append(weakref.ref(encoder))
        return encoder

    monkeypatch.setattr(TextSource, "read", watched)
    return found


def tell(pipeline: ShotStreamPipeline, story: Story) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in pipeline.stream(story)])


@pytest.mark.system
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frames_do_not_depend_on_where_captions_are_encoded(saved, story, dtype, tmp_path):
    resident = tell(ShotStreamPipeline.from_pretrained(saved, dtype=dtype), story)
    for place in ("cpu", "release"):
        for cache in ("off", tmp_path, tmp_path):  # the second time from the cache
            pipeline = ShotStreamPipeline.from_pretrained(saved, text=place, cache=cache, dtype=dtype)
            assert np.array_equal(tell(pipeline, story), resident), (place, cache)


@pytest.mark.system
def test_eight_bits_make_nearly_the_same_embeddings(saved, story):
    exact, eight = (ShotStreamPipeline.from_pretrained(saved, text=place) for place in ("resident", "int8"))
    assert any(isinstance(module, EightBitLinear) for module in eight.text_encoder.modules())
    difference = eight.embed("a red fox runs") - exact.embed("a red fox runs")
    assert 0 < difference.norm() < 0.02 * exact.embed("a red fox runs").norm()
    assert len(tell(eight, story)) == len(tell(exact, story))


@pytest.mark.system
def test_a_released_text_encoder_is_read_once_for_a_story_and_freed(saved, story, loads):
    pipeline = ShotStreamPipeline.from_pretrained(saved, text="release", cache="off")
    assert pipeline.text_encoder is None
    assert pipeline.components["text_encoder"] is None
    assert not loads
    tell(pipeline, story)
    assert [encoder() for encoder in loads] == [None]
    tell(pipeline, story)
    assert len(loads) == 1


@pytest.mark.system
def test_the_second_run_of_a_story_reads_no_text_encoder_nor_the_network(
    saved, story, loads, tmp_path, monkeypatch
):
    monkeypatch.setattr("socket.socket.connect", None)
    for _ in range(2):
        pipeline = ShotStreamPipeline.from_pretrained(saved, text="release", cache=tmp_path)
        tell(pipeline, story)
    assert len(loads) == 1
    names = [path.name for path in (tmp_path / "captions").iterdir()]
    assert len(names) == 2
    assert not any(
        word in path.read_text("latin-1") for path in tmp_path.rglob("*.*") for word in ("fox", "runs")
    )


@pytest.mark.system
def test_a_damaged_entry_is_made_again(saved, story, loads, tmp_path):
    told = [tell(ShotStreamPipeline.from_pretrained(saved, text="release", cache=tmp_path), story)]
    entry = next((tmp_path / "captions").iterdir())
    whole = entry.read_bytes()
    entry.write_bytes(whole[:50])
    told.append(tell(ShotStreamPipeline.from_pretrained(saved, text="release", cache=tmp_path), story))
    assert len(loads) == 2
    assert entry.read_bytes() == whole
    assert np.array_equal(*told)


@pytest.mark.system
def test_other_weights_vocabulary_or_precision_have_entries_of_their_own(saved, tmp_path):
    def entries(folder: Path, text: str = "resident", **settings) -> int:
        ShotStreamPipeline.from_pretrained(folder, text=text, cache=tmp_path / "c", **settings).embed("a fox")
        return len(list((tmp_path / "c" / "captions").iterdir()))

    assert entries(saved) == 1
    assert entries(saved, "release") == entries(saved, "cpu") == 1
    assert entries(saved, "int8") == 2
    assert entries(saved, dtype=torch.bfloat16) == 3
    other = Path(shutil.copytree(saved, tmp_path / "other"))
    assert entries(other) == 3
    weights = other / "text_encoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert entries(other) == 4
    words = other / "tokenizer" / "tokenizer.json"
    words.write_text(words.read_text() + "\n")
    assert entries(other) == 5


@pytest.mark.system
def test_small_text_encoders_have_no_cache_unless_one_is_asked_for(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("SHOTSTREAM_CACHE", str(tmp_path))
    ShotStreamPipeline.from_pretrained(saved).embed("a fox")
    assert not list(tmp_path.iterdir())
    ShotStreamPipeline.from_pretrained(saved, text="release").embed("a fox")
    assert len(list((tmp_path / "captions").iterdir())) == 1


@pytest.mark.system
def test_another_text_encoder_is_not_mistaken_for_the_one_that_was_loaded(saved, tmp_path):
    pipeline = ShotStreamPipeline.from_pretrained(saved, text="release", cache=tmp_path)
    before = pipeline.embed("a fox")
    torch.manual_seed(5)
    pipeline.text_encoder = UMT5EncoderModel(
        UMT5Config(vocab_size=40, d_model=16, num_layers=1, num_heads=2)
    ).eval()
    assert pipeline.text_place == "resident"
    assert not torch.equal(pipeline.embed("a fox"), before)


@pytest.mark.system
def test_a_text_encoder_on_the_cpu_stays_when_the_rest_moves(saved):
    pipeline = ShotStreamPipeline.from_pretrained(saved, text="cpu")
    encoder, before = pipeline.text_encoder, pipeline.embed("a fox")
    pipeline.to("meta")
    assert (encoder.device.type, pipeline.transformer.device.type) == ("cpu", "meta")
    assert pipeline.text_encoder is encoder
    assert pipeline.components["text_encoder"] is encoder
    assert pipeline.config["text_encoder"] == ("transformers", "UMT5EncoderModel")
    assert torch.equal(pipeline.embed("a fox"), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("place", ["resident", "cpu", "int8", "release"])
def test_every_place_tells_on_a_gpu_and_with_offloading(saved, story, place):
    whole = ShotStreamPipeline.from_pretrained(saved, text=place, cache="off").to("cuda")
    before = whole.embed("a fox")
    assert before.device.type == "cuda"
    if place == "cpu":
        assert whole.text_encoder.device.type == "cpu"
    told = tell(whole, story)
    offloaded = ShotStreamPipeline.from_pretrained(saved, text=place, cache="off")
    offloaded.enable_model_cpu_offload()
    assert offloaded._execution_device.type == "cuda"
    assert torch.equal(offloaded.embed("a fox"), before)
    if place == "cpu":
        assert not hasattr(offloaded.text_encoder, "_hf_hook")
    assert np.array_equal(tell(offloaded, story), told)


@pytest.mark.system
@pytest.mark.parametrize("place", ["int8", "release"])
def test_what_cannot_be_saved_is_refused(saved, tmp_path, place):
    pipeline = ShotStreamPipeline.from_pretrained(saved, text=place)
    with pytest.raises(ModelError, match="load the model with text='resident' and save that"):
        pipeline.save_pretrained(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.system
def test_a_released_text_encoder_of_another_width_is_refused(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "d_model": 24}))
    with pytest.raises(ModelError, match="reads captions of width 16, the text encoder makes 24"):
        ShotStreamPipeline.from_pretrained(folder, text="release")


@pytest.mark.system
def test_a_released_text_encoder_that_is_gone_or_damaged(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    pipeline = ShotStreamPipeline.from_pretrained(folder, text="release", cache="off")
    weights = folder / "text_encoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\xc0\x7f")
    with pytest.raises(ModelError, match=r"is damaged: .* of its text_encoder is not a finite number"):
        pipeline.embed("a fox")
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        pipeline.embed("a fox")


@pytest.mark.system
def test_places_that_are_none():
    with pytest.raises(ValueError, match="cannot live in 'disk'; give one of resident, cpu, int8, release"):
        ShotStreamPipeline.from_pretrained("mini", text="disk")


@pytest.mark.system
def test_a_pipeline_without_a_text_encoder_says_so(pipeline):
    bare = ShotStreamPipeline(**{**pipeline.components, "text_encoder": None})
    with pytest.raises(ModelError, match="has no text encoder"):
        bare.embed("a fox")


@pytest.mark.system
def test_a_text_encoder_is_released_where_the_model_would_take_most_of_the_memory():
    cpu = torch.device("cpu")
    free = free_memory(cpu)
    assert free is None or 2**20 < free < 2**50
    assert choose_text_place(cpu, "auto", 2**20).value == "resident"
    released = choose_text_place(cpu, "auto", 2**60)
    assert released.value == ("resident" if free is None else "release")
    assert choose_text_place(cpu, "int8", 2**60).value == "int8"
    with pytest.raises(ValueError, match="cannot live in 'gpu'"):
        choose_text_place(cpu, "gpu", 1)
