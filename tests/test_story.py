from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shotstream.story import Shot, Story, StoryError, parse_lora_choice

pytestmark = pytest.mark.unit

GOOD = """\
title: A walk
setting: A red cat in a meadow.
seed: 7
shots:
  - A wide shot of the cat.
  - prompt: The cat waves.
    seconds: 2.5
  - {prompt: "The cat: asleep.", chunks: 4, seed: 1}
"""


def saved(folder: Path, content: str | bytes, name: str = "story.yaml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_yaml(tmp_path):
    story = Story.read(saved(tmp_path, GOOD))
    assert (story.title, story.setting, story.seed) == ("A walk", "A red cat in a meadow.", 7)
    assert story.shots == [
        Shot(prompt="A wide shot of the cat."),
        Shot(prompt="The cat waves.", seconds=2.5),
        Shot(prompt="The cat: asleep.", chunks=4, seed=1),
    ]


def test_published_json_with_tabs_and_escapes(tmp_path):
    text = r"""{
	"global_caption":"A caf\u00e9 \ud83d\ude00",
	"shot2":"Two.",
	"shot1":"One \/ \"1\"."
}"""
    story = Story.read(saved(tmp_path, text, "story.json"))
    assert story.setting == "A café 😀"
    assert [shot.prompt for shot in story.shots] == ['One / "1".', "Two."]


def test_text_may_run_over_several_lines(tmp_path):
    story = Story.read(saved(tmp_path, "setting: |\n  A cat,\n   a hat.\nshots:\n  - The cat\n    waves.\n"))
    assert (story.setting, story.shots[0].prompt) == ("A cat, a hat.", "The cat waves.")


def test_ten_numbered_shots_stay_in_numeric_order(tmp_path):
    text = "global_caption: g\n" + "".join(f"shot{i}: number {i}\n" for i in range(1, 12))
    prompts = [shot.prompt for shot in Story.read(saved(tmp_path, text)).shots]
    assert prompts == [f"number {i}" for i in range(1, 12)]


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path):
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert Story.read(saved(tmp_path, content)) == Story.read(saved(tmp_path, GOOD, "plain.yaml"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
prompts = texts.map(lambda text: f"{text}!")
seeds = st.integers(0, 2**63 - 1)
lengths = st.one_of(
    st.just({}),
    st.builds(lambda seconds: {"seconds": seconds}, st.floats(0, 3600, exclude_min=True)),
    st.builds(lambda chunks: {"chunks": chunks}, st.integers(1, 10_000)),
)
loras = st.none() | st.lists(
    st.sampled_from(["style", "grain:0.5", "1e3", "yes", "1:30", "a b:-2e1"]), max_size=2
)
shots = st.builds(
    lambda prompt, seed, length, lora: Shot(prompt=prompt, seed=seed, lora=lora, **length),
    prompts,
    st.none() | seeds,
    lengths,
    loras,
)
stories = st.builds(
    Story,
    title=st.none() | texts,
    setting=texts,
    seed=seeds,
    lora=loras,
    shots=st.lists(shots, min_size=1, max_size=4),
)


@example(story=Story(setting="1e3", shots=["0E0", "null", "yes", "2026-01-01"]), suffix="yaml")
@settings(max_examples=60, deadline=None)
@given(story=stories, suffix=st.sampled_from(["yaml", "json"]))
def test_what_is_written_is_read_back(tmp_path_factory, story, suffix):
    path = tmp_path_factory.mktemp("story") / f"story.{suffix}"
    story.write(path)
    assert Story.read(path) == story


BOMB = "a: &a [x, x, x]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}]\n" for i in range(9))

BROKEN = {
    "empty": ("", None, "empty"),
    "only a comment": ("# soon\n", None, "empty"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0", None, "binary.*YAML or JSON"),
    "not UTF-8": ("setting: x\nshots: [café]\n".encode("latin-1"), 2, "0xe9 is not UTF-8.*save"),
    "too large": (b"#" * 300_000, None, "larger than 256 KiB"),
    "control character": ("setting: x\nshots: [a\x07b]", 2, r"'\\x07' is not allowed"),
    "tab": ("setting: x\nshots:\n\t- a\n", 3, "tab; use spaces"),
    "unclosed quote": ('setting: "x\nshots: [a]\n', 1, "quote is never closed"),
    "unclosed list": ("setting: x\nshots: [a\n", 2, "bracket is never closed"),
    "colon in text": ("setting: x\nshots:\n  - prompt: He says: no\n", 3, "in quotes"),
    "alias": ("setting: &who A cat\nshots:\n - *who\n", 3, "alias.*write the text out"),
    "alias bomb": (BOMB, 2, "alias"),
    "bottomless": ("setting: x\nshots: " + "[" * 5000, 2, "nested more than"),
    "python object": (
        "setting: !!python/object/apply:os.getcwd []\nshots: [a]",
        1,
        "a list, but should be text",
    ),
    "python name": ("setting: !!python/name:os.getcwd x\nshots: [a]", 1, "cannot be read"),
    "two documents": ("setting: x\nshots: [a]\n---\nsetting: y\n", 3, "second document"),
    "a list": ("- a\n- b\n", 1, "mapping with 'setting' and 'shots', not a list"),
    "a text": ("once upon a time", 1, "not 'once upon a time'"),
    "no setting": ("shots: [a]", 1, "setting is missing"),
    "setting left open": ("setting:\nshots: [a]", 1, "setting is nothing.*text"),
    "no shots key": ("setting: x", 1, "shots is missing"),
    "no shots": ("setting: x\nshots: []", 2, "no shots; add"),
    "shots as a text": ("setting: x\nshots: a", 2, "should be a list.*dash"),
    "empty prompt": ("setting: x\nshots:\n - a\n - prompt: '  '", 4, "prompt of shot 2 is empty"),
    "empty shot": ("setting: x\nshots:\n - ''", 3, "prompt of shot 1 is empty"),
    "no prompt": ("setting: x\nshots:\n - seconds: 2", 3, "prompt of shot 1 is missing"),
    "number for prompt": ("setting: x\nshots:\n - prompt: 12", 3, "is 12, but should be text.*quotes"),
    "yes for prompt": ("setting: x\nshots: [prompt: yes]", 2, "is true, but should be text"),
    "number for shot": ("setting: x\nshots:\n - 5", 3, "shot 1 is 5, but should be a prompt"),
    "both lengths": (
        "setting: x\nshots:\n - {prompt: a, seconds: 1, chunks: 1}",
        3,
        "both seconds and chunks",
    ),
    "negative seconds": (
        "setting: x\nshots:\n - prompt: a\n   seconds: -1",
        4,
        "-1, but should be greater than 0",
    ),
    "NaN seconds": ("setting: x\nshots:\n - prompt: a\n   seconds: .nan", 4, "nan, but should be a finite"),
    "endless seconds": ("setting: x\nshots: [{prompt: a, seconds: .inf}]", 2, "inf, but should be"),
    "huge seconds": (
        "setting: x\nshots: [{prompt: a, seconds: 1e9}]",
        2,
        "is 1000000000.0, but should be less",
    ),
    "seconds as text": ("setting: x\nshots: [{prompt: a, seconds: 2s}]", 2, "'2s', but should be a number"),
    "half a chunk": ("setting: x\nshots: [{prompt: a, chunks: 1.5}]", 2, "1.5, but should be a whole number"),
    "no chunk": ("setting: x\nshots: [{prompt: a, chunks: 0}]", 2, "0, but should be greater"),
    "true chunks": ("setting: x\nshots: [{prompt: a, chunks: true}]", 2, "true, but should be a whole"),
    "seed as text": ("setting: x\nseed: lucky\nshots: [a]", 2, "'lucky', but should be a whole number"),
    "negative seed": ("setting: x\nseed: -3\nshots: [a]", 2, "greater than or equal to 0"),
    "huge seed": (f"setting: x\nseed: {2**63}\nshots: [a]", 2, "should be less than"),
    "endless seed": (f"setting: x\nseed: 0x{'f' * 5000}\nshots: [a]", 2, "cannot be read"),
    "impossible date": ("setting: 2024-13-45\nshots: [a]", 1, "cannot be read.*quotes"),
    "misspelt key": ("setting: x\nshots:\n - promt: a", 3, "'promt' is unknown; did you mean 'prompt'"),
    "unknown key": (
        "setting: x\nmusic: loud\nshots: [a]",
        2,
        "'music' is unknown; known here: title, setting",
    ),
    "key twice": ("setting: x\nshots:\n - prompt: a\n   prompt: b", 4, r"second time \(first in line 3\)"),
    "a list as key": ("setting: x\n? [a, b]\n: c\nshots: [a]", 2, "single word"),
    "merge key": ("setting: x\nshots:\n - <<: {prompt: a}", 3, "'<<' is unknown"),
    "gap in numbers": ("global_caption: x\nshot1: a\nshot3: b", 3, "shot3 stands where shot2"),
    "numbers from 0": ("global_caption: x\nshot0: a\nshot1: b", 2, "shot0 stands where shot1"),
    "no global caption": ("shot1: a", 1, "global_caption is missing"),
    "misspelt caption": ("globl_caption: x\nshot1: a", 1, "did you mean 'global_caption'"),
    "caption without shots": ("global_caption: x", 1, "no shots"),
    "empty numbered shot": ("global_caption: x\nshot1: a\nshot2: ''", 3, "shot 2 is empty"),
    "a LoRA as a text": ("setting: x\nlora: style\nshots: [a]", 2, "lora is 'style', but should be a list"),
    "a LoRA with a blank": (
        "setting: x\nshots:\n - {prompt: a, lora: [style: 0.5]}",
        3,
        "a LoRA of shot 1 is a mapping, but should be text",
    ),
    "a LoRA's scale": (
        "setting: x\nshots:\n - prompt: a\n   lora:\n   - style:0.5\n   - style:much",
        6,
        "a LoRA of shot 1 is 'style:much', but should be NAME or NAME:SCALE, for example style:0.8",
    ),
    "an endless scale": ("setting: x\nlora: ['style:inf']\nshots: [a]", 2, "a LoRA is 'style:inf'"),
    "no LoRA's name": ("setting: x\nlora: [':1']\nshots: [a]", 2, "a LoRA is ':1'"),
    "very many LoRAs": (f"setting: x\nlora: [{'a, ' * 17}]\nshots: [a]", 2, "names more than 16 LoRAs"),
    "list and numbers": ("global_caption: x\nshots: [a]\nshot1: a", 2, "do not go together"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_explained_at_its_line(tmp_path, case):
    content, line, words = BROKEN[case]
    path = saved(tmp_path, content)
    with pytest.raises(StoryError) as caught:
        Story.read(path)
    place = f"{path}:{line}: " if line else f"{path}: "
    assert re.search(re.escape(place) + ".*" + words, str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 1000


def test_every_mistake_comes_in_one_message_in_order(tmp_path):
    text = "setting: x\nsed: 4\nshots:\n  - promt: a\n    seconds: -1\n  - prompt: b\n    prompt: c\n"
    with pytest.raises(StoryError) as caught:
        Story.read(saved(tmp_path, text))
    first, *others = str(caught.value).splitlines()
    assert first.endswith("has 5 mistakes:")
    assert [int(re.search(r"yaml:(\d+):", other)[1]) for other in others] == [2, 4, 4, 5, 7]


LORAS = """\
setting: x
lora: [style, grain:0.5]
shots:
  - a
  - prompt: b
    lora: []
  - prompt: c
    lora:
      - stile:-0.5
      - style
      - style:2
"""


def test_loras_are_read_and_checked_against_what_is_loaded(tmp_path):
    path = saved(tmp_path, LORAS)
    story = Story.read(path)
    wanted = [["style", "grain:0.5"], [], ["stile:-0.5", "style", "style:2"]]
    assert [story.lora_of(shot) for shot in story.shots] == wanted
    assert [parse_lora_choice(choice) for choice in wanted[2]] == [
        ("stile", -0.5),
        ("style", 1),
        ("style", 2),
    ]
    with pytest.raises(StoryError) as caught:
        Story.read(path, ["style", "grain"])
    first, *others = str(caught.value).splitlines()
    assert first.endswith("has 2 mistakes:")
    assert re.search(r"yaml:9: shot 3: the LoRA 'stile' is not loaded; did you mean 'style'\?", others[0])
    assert re.search(r"yaml:11: shot 3: the LoRA 'style' is named twice", others[1])
    with pytest.raises(
        StoryError, match="the story: the LoRA 'style' is not loaded, nor is any other; load it"
    ):
        Story.read(path, [])


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    saved(tmp_path, GOOD, "first_story.yaml")
    with pytest.raises(StoryError, match=r"no such file; did you mean .*first_story\.yaml"):
        Story.read(tmp_path / "first-story.yaml")
    with pytest.raises(StoryError, match="no such file; check the path"):
        Story.read(tmp_path / "nowhere" / "x.yaml")


def test_a_folder_is_not_a_story(tmp_path):
    with pytest.raises(StoryError, match="name a file in it"):
        Story.read(tmp_path)


def test_stories_made_in_code_are_checked_too():
    with pytest.raises(ValidationError, match="both seconds and chunks"):
        Shot(prompt="a", seconds=1, chunks=1)
    with pytest.raises(ValidationError, match="at least 1"):
        Story(setting="x", shots=[])
