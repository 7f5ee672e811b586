from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from shotstream.loading.text_source import load_text_encoder
from shotstream.models.text import (
    CaptionEncoder,
    clean_caption,
    make_text_encoder,
    make_tokenizer,
)

pytestmark = pytest.mark.unit

WORDS = ["a", "red", "cat", "rabbit", "waves", "close-up", "in", "the", "meadow", "Hat"]


@pytest.fixture(scope="module")
def encoder() -> CaptionEncoder:
    torch.manual_seed(0)
    tokenizer = make_tokenizer(WORDS)
    return CaptionEncoder(tokenizer, make_text_encoder(len(tokenizer), width=16, heads=2), max_length=8)


def test_tokens_of_a_caption(encoder):
    ids, mask = encoder.tokenize(["Close-up: the RED cat!", "A hat."])
    words = encoder.tokenizer.convert_ids_to_tokens(ids[0].tolist())
    assert words == ["close", "up", "the", "red", "cat", "</s>"]
    assert ids[1].tolist()[2:] == [1, 0, 0, 0]
    assert mask.sum(dim=1).tolist() == [6, 3]
    assert (ids != 2).all()


def test_special_tokens_come_first(encoder):
    assert encoder.tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    assert len(encoder.tokenizer) == 3 + len(WORDS) + 1


def test_long_captions_are_cut_and_closed(encoder):
    ids, _ = encoder.tokenize(["cat " * 50])
    assert ids.shape == (1, 8)
    assert ids[0, -1] == 1


def test_zero_after_each_caption(encoder):
    text = encoder.encode(["a red cat in the meadow", "a cat"])
    assert text.shape == (2, 7, 16)
    assert (text[1, 3:] == 0).all()
    assert (text[1, :3].abs().sum(dim=-1) > 0).all()


@settings(max_examples=30, deadline=None)
@given(captions=st.lists(st.lists(st.sampled_from(WORDS)).map(" ".join), min_size=1, max_size=4))
def test_neighbours_do_not_matter(encoder, captions):
    together = encoder.encode(captions)
    for caption, row in zip(captions, together, strict=True):
        alone = encoder.encode([caption])[0]
        assert torch.equal(row[: len(alone)], alone)
        assert (row[len(alone) :] == 0).all()
    torch.testing.assert_close(encoder.embed(*encoder.tokenize(captions)), together)


def test_an_empty_caption_is_its_end_alone(encoder):
    assert encoder.tokenize([""])[0].tolist() == [[1]]
    assert encoder.encode([""]).shape == (1, 1, 16)


def test_embedding_is_differentiable(encoder):
    encoder.embed(*encoder.tokenize(["a cat"])).square().sum().backward()
    gradient = encoder.text_encoder.embeddings.token_embedding.weight.grad
    cat, rabbit = encoder.tokenizer.convert_tokens_to_ids(["cat", "rabbit"])
    assert gradient[cat].abs().sum() > 0
    assert gradient[rabbit].abs().sum() == 0
    encoder.text_encoder.zero_grad()


def test_unknown_words_come_with_near_ones(encoder):
    unknown = encoder.unknown_words("The rabit waves at a ZEBRA, close-up; zebra!")
    assert list(unknown) == ["rabit", "at", "zebra"]
    assert (unknown["rabit"], set(unknown["at"]), unknown["zebra"]) == (["rabbit"], {"cat", "hat"}, [])
    assert encoder.unknown_words("A red cat waves.") == {}


@pytest.mark.parametrize("words", [0, 1, 7, 8, 12])
def test_what_is_cut_off_is_the_end_that_tokens_leave_out(encoder, words):
    caption = " ".join(["red", "cat", "waves", "hat"][number % 4] for number in range(words))
    read = encoder.tokenize([caption])[0][0, :-1]  # the last closes it
    assert encoder.cut_off(caption) == " ".join(caption.split()[len(read) :])
    assert len(read) == min(words, 7)


def test_an_open_vocabulary_knows_every_word():
    open_tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(
            models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0, byte_fallback=False)
        )
    )
    assert CaptionEncoder(open_tokenizer, make_text_encoder(8, 8, 1, 1)).unknown_words("zebra") == {}


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [("  a\n\tcat ", "a cat"), ("cat &amp;amp; hat", "cat & hat"), ("caf\u00e9", "café"), ("", "")],
)
def test_cleaning(dirty, clean):
    assert clean_caption(dirty) == clean


def test_saved_parts_load_and_agree(encoder, tmp_path):
    encoder.tokenizer.save_pretrained(tmp_path / "tokenizer")
    encoder.text_encoder.save_pretrained(tmp_path / "text_encoder")
    loaded = CaptionEncoder(
        AutoTokenizer.from_pretrained(tmp_path / "tokenizer"),
        load_text_encoder(tmp_path / "text_encoder"),
        max_length=8,
    )
    captions = ["Close-up: the RED cat!", "a zebra waves"]
    assert torch.equal(loaded.encode(captions), encoder.encode(captions))
    assert loaded.unknown_words("zebra") == {"zebra": []}


def test_a_width_that_heads_cannot_share():
    with pytest.raises(ValueError, match="multiple of 3"):
        make_text_encoder(10, width=16, heads=3)


def test_a_fresh_encoder_knows_the_places_of_words():
    torch.manual_seed(0)
    encoder = make_text_encoder(30).eval()

    def word_3_of(*ids: int) -> torch.Tensor:
        with torch.no_grad():
            return encoder(input_ids=torch.tensor([ids])).last_hidden_state[0, ids.index(3)]

    first, second = word_3_of(3, 4, 5, 6), word_3_of(5, 6, 3, 4)
    assert (first - second).norm() > 0.5 * first.norm()
